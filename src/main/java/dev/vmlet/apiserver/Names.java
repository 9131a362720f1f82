package dev.vmlet.apiserver;

import java.security.SecureRandom;

/** Names that the server makes up. */
final class Names {
    /** Without vowels and look-alikes, as Kubernetes does it: no words arise. */
    private static final String LETTERS = "bcdfghjklmnpqrstvwxz2456789";

    private static final int RANDOM_LENGTH = 5;
    private static final int NAME_MAX = 63;
    private static final SecureRandom RANDOM = new SecureRandom();

    private Names() {}

    static String generate(String prefix) {
        int room = NAME_MAX - RANDOM_LENGTH;
        StringBuilder name = new StringBuilder(prefix.length() > room ? prefix.substring(0, room) : prefix);
        for (int i = 0; i < RANDOM_LENGTH; i++) {
            name.append(LETTERS.charAt(RANDOM.nextInt(LETTERS.length())));
        }
        return name.toString();
    }
}
