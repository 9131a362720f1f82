package dev.vmlet.host.survey;

import dev.vmlet.doctor.Facts;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Who runs this, and which user ids belong to whom. */
final class Selves {
    private Selves() {}

    static Facts.Identity look() throws IOException {
        long user = -1;
        long capabilities = 0;
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("Uid:")) {
                user = Long.parseLong(line.split("\\s+")[2]);
            } else if (line.startsWith("CapEff:")) {
                capabilities = Long.parseUnsignedLong(line.split("\\s+")[1], 16);
            }
        }
        return new Facts.Identity(user, capabilities, container());
    }

    /** By the marks that container runtimes leave (systemd's CONTAINER_INTERFACE, docker, podman, Kubernetes). */
    private static String container() {
        if (System.getenv("KUBERNETES_SERVICE_HOST") != null) {
            return "Kubernetes";
        }
        if (Files.exists(Path.of("/run/.containerenv"))) {
            return "podman";
        }
        if (Files.exists(Path.of("/.dockerenv"))) {
            return "Docker";
        }
        try {
            String environment = Files.readString(Path.of("/proc/1/environ"), StandardCharsets.ISO_8859_1);
            for (String variable : environment.split("\0")) {
                if (variable.startsWith("container=")) {
                    return variable.substring("container=".length());
                }
            }
        } catch (IOException e) {
            // Root may read it; for others there are the files.
        }
        return "";
    }

    /** Of passwd(5), and of subuid(5) and subgid(5): guests have groups of the same numbers. */
    static List<Facts.IdRange> takenIds() {
        List<Facts.IdRange> taken = new ArrayList<>();
        for (String line : lines(Path.of("/etc/passwd"))) {
            String[] fields = line.split(":", -1);
            if (fields.length > 2) {
                range("user " + fields[0], fields[2], "1", taken);
            }
        }
        for (String file : List.of("/etc/subuid", "/etc/subgid")) {
            for (String line : lines(Path.of(file))) {
                String[] fields = line.split(":", -1);
                if (fields.length == 3) {
                    range(file + " of " + fields[0], fields[1], fields[2], taken);
                }
            }
        }
        return taken;
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file, StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return List.of();
        }
    }

    private static void range(String whose, String first, String count, List<Facts.IdRange> taken) {
        try {
            taken.add(new Facts.IdRange(whose, Long.parseLong(first.strip()), Long.parseLong(count.strip())));
        } catch (NumberFormatException e) {
            // A broken line is its own owner's trouble.
        }
    }
}
