package dev.vmlet.model;

import java.util.regex.Pattern;

/** What a Kubernetes uid may look like before it becomes part of a path, an ifalias or an nft comment. */
final class Uids {
    /** Letters, digits and dashes only: no separator, no dot, no quote can reach a path or a ruleset. */
    private static final Pattern SAFE = Pattern.compile("[A-Za-z0-9-]{1,64}");

    private Uids() {}

    static boolean isSafe(String uid) {
        return SAFE.matcher(uid).matches();
    }
}
