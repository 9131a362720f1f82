package dev.vmlet.host.net;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Who listens on a TCP port of this machine, for a message: the sockets' inodes of /proc/net/tcp (proc_pid_net(5)),
 * sought among the descriptors of every process that we may look at.
 */
public final class PortHolder {
    private static final String LISTENING = "0A";
    private static final Pattern LINK = Pattern.compile("socket:\\[(\\d+)]");

    private PortHolder() {}

    /** {@code process 4711 (kube-apiserver)}; empty when nobody does or we may not look. */
    public static Optional<String> of(int port) {
        return of(port, Path.of("/proc"));
    }

    static Optional<String> of(int port, Path proc) {
        Set<String> inodes = new HashSet<>();
        for (String table : List.of("net/tcp", "net/tcp6")) {
            lines(proc.resolve(table)).forEach(line -> listener(line, port).ifPresent(inodes::add));
        }
        if (inodes.isEmpty()) {
            return Optional.empty();
        }
        try (DirectoryStream<Path> processes = Files.newDirectoryStream(proc, "[1-9]*")) {
            for (Path process : processes) {
                if (holds(process.resolve("fd"), inodes)) {
                    String name = String.join("", lines(process.resolve("comm")));
                    return Optional.of("process " + process.getFileName() + (name.isEmpty() ? "" : " (" + name + ")"));
                }
            }
        } catch (IOException | java.nio.file.DirectoryIteratorException e) {
            return Optional.empty();
        }
        return Optional.empty();
    }

    /** The inode, where the line is of a listener on the port: fields are number, local, remote, state, …, inode. */
    private static Optional<String> listener(String line, int port) {
        String[] fields = line.strip().split("\\s+");
        if (fields.length < 10 || !fields[3].equals(LISTENING)) {
            return Optional.empty();
        }
        String hex = fields[1].substring(fields[1].lastIndexOf(':') + 1);
        return hex.equalsIgnoreCase("%04X".formatted(port)) ? Optional.of(fields[9]) : Optional.empty();
    }

    private static boolean holds(Path descriptors, Set<String> inodes) {
        try (DirectoryStream<Path> links = Files.newDirectoryStream(descriptors)) {
            for (Path link : links) {
                Matcher socket = LINK.matcher(target(link));
                if (socket.matches() && inodes.contains(socket.group(1))) {
                    return true;
                }
            }
        } catch (IOException | java.nio.file.DirectoryIteratorException e) {
            // Ended meanwhile, or somebody else's.
            return false;
        }
        return false;
    }

    private static String target(Path link) {
        try {
            return Files.readSymbolicLink(link).toString();
        } catch (IOException e) {
            return "";
        }
    }

    private static List<String> lines(Path file) {
        try {
            return List.of(new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1).split("\n"));
        } catch (IOException e) {
            return List.of();
        }
    }
}
