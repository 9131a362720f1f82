package dev.vmlet.e2e;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.assertj.core.api.Assertions;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/**
 * Everything of vmlet that is to be found on this host at one moment, seen with the host's own tools and never through
 * vmlet: compare it with what was there before. Nothing in it changes while vmlet rests, so it compares as a whole.
 *
 * @param links links with our mark, {@code name kind alias}
 * @param tables firewall tables of the agents asked for
 * @param elements members of their sets, as nft lists them, but for those the kernel noted by itself and lets go of by
 *     itself: what a guest said of its address is kept for two minutes, longer than a test waits
 * @param cgroups guests' cgroups in every hierarchy
 * @param processes what runs in a cgroup of ours, or names one of the agents' directories, but for the agents themselves
 * @param mounts mount points beneath the agents' directories
 * @param files what lies in the agents' directories for VMs, Networks and forwarding flags
 */
public record Leftovers(
        SortedSet<String> links,
        SortedSet<String> tables,
        SortedSet<String> elements,
        SortedSet<String> cgroups,
        SortedSet<String> processes,
        SortedSet<String> mounts,
        SortedSet<String> files) {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Looks at the host, and at the files of the given agents. */
    public static Leftovers now(AgentProcess... agents) {
        SortedSet<String> tables = new TreeSet<>();
        SortedSet<String> elements = new TreeSet<>();
        // A stopped agent's tables go on guarding; they are asked for by naming it.
        Set<String> ours = new TreeSet<>();
        for (AgentProcess agent : agents) {
            ours.add("vmlet_" + agent.installation());
        }
        for (JsonNode item : json("nft", "-j", "list", "ruleset").path("nftables")) {
            JsonNode table = item.path("table");
            if (ours.contains(table.path("name").asText())) {
                tables.add(
                        table.path("family").asText() + " " + table.path("name").asText());
            }
            JsonNode set = item.path("set");
            if (ours.contains(set.path("table").asText())) {
                for (JsonNode element : set.path("elem")) {
                    if (element.path("elem").has("expires")) {
                        continue;
                    }
                    elements.add(set.path("family").asText() + " "
                            + set.path("table").asText() + " "
                            + set.path("name").asText() + " " + element);
                }
            }
        }
        SortedSet<String> mounts = new TreeSet<>();
        SortedSet<String> files = new TreeSet<>();
        for (AgentProcess agent : agents) {
            for (Path dir : List.of(
                    agent.stateDir().resolve("vms"),
                    agent.stateDir().resolve("networks"),
                    agent.stateDir().resolve("forwarding"),
                    agent.stateDir().resolve("retained"),
                    agent.runDir().resolve("vms"))) {
                files.addAll(beneath(dir));
            }
            for (String line : lines(Path.of("/proc/self/mountinfo"))) {
                String point = line.split(" ")[4];
                if (point.startsWith(agent.stateDir() + "/") || point.startsWith(agent.runDir() + "/")) {
                    mounts.add(point);
                }
            }
        }
        return new Leftovers(linksNow(), tables, elements, cgroupsNow(agents), processesNow(agents), mounts, files);
    }

    /** A look that is to be kept, for comparison with a later one. */
    public static Leftovers atRest(AgentProcess... agents) {
        return atRest(() -> now(agents));
    }

    /**
     * What two looks half a second apart agree on. An agent tries its Networks' way out with a tap that lives for some
     * hundredths of a second: a single look may catch it, and nothing would ever look so again.
     */
    static <T> T atRest(Supplier<T> look) {
        AtomicReference<T> last = new AtomicReference<>(look.get());
        Awaitility.await("two looks at the host agree")
                .atMost(Cluster.SOON)
                .pollDelay(Duration.ofMillis(500))
                .pollInterval(Duration.ofMillis(500))
                .untilAsserted(() -> {
                    T now = look.get();
                    Assertions.assertThat(now).isEqualTo(last.getAndSet(now));
                });
        return Objects.requireNonNull(last.get());
    }

    /** Waits until nothing is left but the tables of agents that run. */
    public static void awaitNone(AgentProcess... agents) {
        SortedSet<String> none = new TreeSet<>();
        SortedSet<String> tables = new TreeSet<>();
        for (AgentProcess agent : agents) {
            tables.add("bridge vmlet_" + agent.installation());
            tables.add("inet vmlet_" + agent.installation());
        }
        new Leftovers(none, tables, none, none, none, none, none).awaitAgain(agents);
    }

    /** Waits until the host looks as it did before, and fails with the difference when it does not. */
    public void awaitAgain(AgentProcess... agents) {
        Awaitility.await("the host looks as before")
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(500))
                .untilAsserted(() -> Assertions.assertThat(now(agents)).hasToString(toString()));
    }

    private static SortedSet<String> linksNow() {
        SortedSet<String> links = new TreeSet<>();
        for (JsonNode link : json("ip", "-j", "-d", "link", "show")) {
            String alias = link.path("ifalias").asText();
            String name = link.path("ifname").asText();
            // By name too: a link that lost its mark, or never got one, is a leak all the same.
            if (alias.startsWith("vmlet:") || name.startsWith("vmb-") || name.startsWith("vmt-")) {
                links.add(name + " " + link.path("linkinfo").path("info_kind").asText() + " " + alias);
            }
        }
        return links;
    }

    private static SortedSet<String> cgroupsNow(AgentProcess... agents) {
        // Of these agents only: control groups know no namespace, and others test on this machine too.
        Set<String> ours = new TreeSet<>();
        for (AgentProcess agent : agents) {
            ours.add("vmlet-" + agent.installation());
        }
        SortedSet<String> found = new TreeSet<>();
        for (String line : lines(Path.of("/proc/self/mountinfo"))) {
            String[] fields = line.split(" ");
            if (!line.contains(" - cgroup ") && !line.contains(" - cgroup2 ")) {
                continue;
            }
            try (Stream<Path> tops = Files.list(Path.of(fields[4]))) {
                for (Path top : tops.filter(d -> ours.contains(d.getFileName().toString()))
                        .toList()) {
                    try (Stream<Path> leaves = Files.list(top)) {
                        leaves.filter(Files::isDirectory)
                                .filter(d -> !d.endsWith("launchers"))
                                .forEach(d -> found.add(d.toString()));
                    }
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return found;
    }

    private static SortedSet<String> processesNow(AgentProcess... agents) {
        Set<Long> known = new TreeSet<>();
        for (AgentProcess agent : agents) {
            if (agent.isAlive()) {
                known.add(agent.pid());
            }
        }
        SortedSet<String> found = new TreeSet<>();
        try (Stream<Path> entries = Files.list(Path.of("/proc"))) {
            for (Path entry : entries.filter(p -> p.getFileName().toString().matches("[0-9]+"))
                    .toList()) {
                if (known.contains(Long.valueOf(entry.getFileName().toString()))) {
                    continue;
                }
                String commandLine = String.join(" ", lines(entry.resolve("cmdline")))
                        .replace('\0', ' ')
                        .strip();
                if (lines(entry.resolve("cgroup")).stream().anyMatch(l -> l.contains("/vmlet-"))
                        || Stream.of(agents)
                                .flatMap(a -> Stream.of(a.stateDir(), a.runDir()))
                                .anyMatch(dir -> commandLine.contains(dir.toString()))) {
                    found.add(entry.getFileName() + " " + commandLine);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return found;
    }

    private static JsonNode json(String... command) {
        try {
            return JSON.readTree(Command.of(command).run().mustSucceed());
        } catch (JsonProcessingException e) {
            throw new UncheckedIOException(String.join(" ", command), e);
        }
    }

    /** What goes while it is looked at is not there; nothing is beneath what does not exist. */
    static List<String> beneath(Path dir) {
        List<String> found = new ArrayList<>();
        try {
            Files.walkFileTree(dir, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
                    if (!folder.equals(dir)) {
                        found.add(folder.toString());
                    }
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                    found.add(file.toString());
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult visitFileFailed(Path file, IOException e) {
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path folder, @Nullable IOException e) {
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return found;
    }

    /** Lines of a file of /proc; none when its process is gone. */
    private static List<String> lines(Path file) {
        try {
            return List.of(new String(Files.readAllBytes(file), StandardCharsets.UTF_8).split("\n"));
        } catch (IOException e) {
            return List.of();
        }
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        section(text, "links", links);
        section(text, "tables", tables);
        section(text, "elements", elements);
        section(text, "cgroups", cgroups);
        section(text, "processes", processes);
        section(text, "mounts", mounts);
        section(text, "files", files);
        return text.toString();
    }

    private static void section(StringBuilder text, String name, SortedSet<String> lines) {
        text.append(name).append(":\n");
        lines.forEach(line -> text.append("  ").append(line).append('\n'));
    }
}
