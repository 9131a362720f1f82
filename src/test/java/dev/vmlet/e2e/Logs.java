package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Where the processes of a test write what they say. Each of surefire's JVMs has a cluster, and processes of the same
 * names in it, so each has a directory of its own.
 */
final class Logs {
    private static final Path DIRECTORY = Path.of("target", "e2e", System.getProperty("e2e.jvm", "jvm"));

    private Logs() {}

    /** An empty file for a process of this name; what one of that name said in this JVM before is gone. */
    static Path fresh(String name) {
        try {
            Files.createDirectories(DIRECTORY);
            return Files.writeString(DIRECTORY.resolve(name + ".log"), "");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
