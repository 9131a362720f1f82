package dev.vmlet.model;

/** Processor architectures by the names that {@code uname -m} prints. */
public final class Architecture {
    private Architecture() {}

    /** The kernel's name for what Debian, Go and Java call {@code amd64} and {@code arm64}; any other as it is. */
    public static String of(String name) {
        return switch (name) {
            case "amd64" -> "x86_64";
            case "arm64" -> "aarch64";
            default -> name;
        };
    }
}
