package dev.vmlet.cli;

import dev.vmlet.host.files.FileRecords;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.VmRecord;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * Tells a person how far the agent is with stopping this node's guests, from the agent's records: a launch leaves its
 * record only after its process is proved dead.
 */
final class EvacuationProgress {
    private static final Duration LOOK = Duration.ofSeconds(1);
    /** An agent that runs has pressed the button by then. */
    private static final Duration AGENT_PATIENCE = Duration.ofSeconds(10);

    private final HostPaths paths;
    private final Clock clock;
    private final PrintWriter out;
    private final Instant begun;
    /** What was said last of each VM, by its name. */
    private final Map<String, String> said = new TreeMap<>();

    EvacuationProgress(HostPaths paths, Clock clock, PrintWriter out) {
        this.paths = paths;
        this.clock = clock;
        this.out = out;
        this.begun = clock.instant();
    }

    /** Tells what runs, before the agent is asked: a guest may be down by the next look. */
    void announce() throws HostException {
        List<VmRecord> all = records(FileRecords.toLook(paths));
        List<VmRecord> up = up(all);
        out.println(up.isEmpty() ? "No guest of this node runs." : count(up.size()) + " of this node to be stopped.");
        all.forEach(this::tell);
    }

    private static List<VmRecord> records(FileRecords records) throws HostException {
        return records.vms().stream()
                .sorted(Comparator.comparing(record -> record.id().toString()))
                .toList();
    }

    private static List<VmRecord> up(List<VmRecord> all) {
        return all.stream().filter(r -> r.launch().isPresent()).toList();
    }

    /** Prints each change until all guests are stopped. Returns whether they were within the timeout. */
    boolean await(Duration timeout) throws HostException, InterruptedException {
        boolean warned = false;
        try (WatchService watch = Path.of(paths.vmsDir()).getFileSystem().newWatchService()) {
            Set<Path> watched = new HashSet<>();
            while (true) {
                FileRecords records = FileRecords.toLook(paths);
                List<VmRecord> all = records(records);
                List<VmRecord> up = up(all);
                // Of VMs only: a Network's record tells nothing of guests.
                List<String> unreadable = records.reservations().stream()
                        .map(Reservation::trouble)
                        .toList();
                all.forEach(this::tell);
                if (up.isEmpty() && unreadable.isEmpty()) {
                    say("Evacuated: nothing starts on this node until `vmlet evacuate --end`.");
                    return true;
                }
                Duration spent = Duration.between(begun, clock.instant());
                if (!warned
                        && spent.compareTo(AGENT_PATIENCE) > 0
                        && up.stream().anyMatch(r -> r.stop().isEmpty())) {
                    warned = true;
                    say("Nothing has happened to " + names(up, r -> r.stop().isEmpty()) + " for "
                            + AGENT_PATIENCE.toSeconds() + " s. Does the agent of " + paths.stateDir()
                            + " run? Guests are stopped as soon as it does.");
                }
                if (spent.compareTo(timeout) >= 0) {
                    String left = up.isEmpty()
                            ? ""
                            : "Not stopped within " + timeout.toSeconds() + " s: " + names(up, _ -> true)
                                    + ". The agent goes on; the same command shows how far it is.";
                    say((left + " " + String.join(" ", unreadable)).strip());
                    return false;
                }
                watch(watch, watched, all);
                WatchKey key = watch.poll(LOOK.toMillis(), TimeUnit.MILLISECONDS);
                if (key != null) {
                    key.pollEvents();
                    key.reset();
                }
            }
        } catch (IOException e) {
            throw new HostException.Refused("watch " + paths.vmsDir(), e);
        }
    }

    /** Records are replaced by a rename in their folders. */
    private void watch(WatchService watch, Set<Path> watched, List<VmRecord> all) {
        for (VmRecord record : all) {
            Path folder = Path.of(paths.vmDir(record.id().uid()));
            if (watched.add(folder)) {
                try {
                    folder.register(watch, StandardWatchEventKinds.ENTRY_CREATE);
                } catch (IOException e) {
                    // Deleted meanwhile; and who is not told looks every second.
                    watched.remove(folder);
                }
            }
        }
    }

    private void tell(VmRecord record) {
        String name = record.id().toString();
        String news = state(record);
        String before = said.put(name, news);
        boolean neverRan = before == null && record.launch().isEmpty();
        if (!news.equals(before) && !neverRan) {
            say("%5d s  %s: %s"
                    .formatted(Duration.between(begun, clock.instant()).toSeconds(), name, news));
        }
    }

    private static String state(VmRecord record) {
        if (record.launch().isEmpty()) {
            return record.lastExit()
                    .map(exit -> "stopped (" + exit.reason() + ")")
                    .orElse("stopped");
        }
        Optional<VmRecord.Stop> stop = record.stop();
        if (stop.isEmpty()) {
            return "runs";
        }
        return switch (stop.get().rung()) {
            case POWER_BUTTON ->
                "power button pressed; has until "
                        + stop.get().askedAt().plus(record.grace()).truncatedTo(ChronoUnit.SECONDS) + " to shut down";
            case POWER_OFF -> "power cut";
            case TERMINATE -> "its VMM is sent SIGTERM";
            case KILL -> "its VMM is killed";
        };
    }

    private static String names(List<VmRecord> records, java.util.function.Predicate<VmRecord> which) {
        return String.join(
                ", ", records.stream().filter(which).map(r -> r.id().toString()).toList());
    }

    private static String count(int guests) {
        return guests + (guests == 1 ? " guest" : " guests");
    }

    private void say(String line) {
        out.println(line);
        out.flush();
    }
}
