package dev.vmlet.host.docker;

import dev.vmlet.host.DockerChain;
import dev.vmlet.host.disk.Tool;
import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.DockerUser;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * By the host's own {@code iptables}, which is the one that Docker uses, whichever of the two kinds it is: what the other
 * kind, or nft, wrote into these tables would make them unreadable to Docker.
 *
 * <p>What is ours is told by a comment. That there may be such rules is on disk before the first is made and until the last
 * is seen gone, so that an agent without the wish still finds them, and one that never had it runs no iptables at all.
 */
public final class IptablesDockerChain implements DockerChain {
    private static final String CHAIN = "DOCKER-USER";
    private static final Duration PATIENCE = Duration.ofSeconds(10);

    /** nf_tables tells of changes, iptables-legacy does not. */
    private static final Duration FRESH = Duration.ofMinutes(5);

    /** Between two wakes for changes that others make all day. */
    private static final Duration QUIET = Duration.ofSeconds(5);

    private static final Pattern WORD = Pattern.compile("\"((?:\\\\.|[^\"\\\\])*)\"|\\S+");

    private static final String PRIVATE = "rw-------";

    /** In and out: Docker's own rule for replies is for its own bridges. The first is to be the last that is inserted. */
    private static final List<String> SIDES = List.of("-i", "-o");

    private final boolean asked;
    private final List<String> words;
    private final String comment;
    private final Path note;

    /** The three below are guarded by this. Times are of {@link System#nanoTime}. */
    private @Nullable Seen<DockerUser> last;

    private long lastAt;
    private boolean stale;

    /**
     * @param asked whether guests are to be let through there
     * @param entry before a command that is to run on the host; empty where this is the host
     * @param note file that says that there may be rules of ours
     */
    public IptablesDockerChain(boolean asked, InstallationId installation, List<String> entry, Path note) {
        this.asked = asked;
        this.words = List.copyOf(entry);
        this.comment = "vmlet:" + installation;
        this.note = note;
    }

    @Override
    public synchronized Seen<DockerUser> look() {
        boolean kept = Files.exists(note);
        if (!asked && !kept) {
            return Seen.missing();
        }
        if (last == null || stale || System.nanoTime() - lastAt > FRESH.toNanos()) {
            last = lookNow(kept);
            lastAt = System.nanoTime();
            stale = false;
        }
        return last;
    }

    private Seen<DockerUser> lookNow(boolean kept) {
        try {
            Optional<List<List<String>>> rules = rules();
            if (rules.isEmpty()) {
                return Seen.missing();
            }
            boolean complete = SIDES.stream().allMatch(side -> rules.get().contains(rule(side)));
            boolean traces = rules.get().stream().anyMatch(this::isOurs);
            return Seen.present(new DockerUser(asked, kept, complete, traces));
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
    }

    /**
     * Somebody changed a firewall.
     *
     * @return whether to look at once; else the next look sees it
     */
    public synchronized boolean disturbed() {
        boolean news = last != null && !stale && System.nanoTime() - lastAt > QUIET.toNanos();
        stale = true;
        return news;
    }

    @Override
    public synchronized void accept() throws HostException {
        try {
            if (!Files.exists(note)) {
                DurableFiles.write(note, (comment + "\n").getBytes(StandardCharsets.UTF_8), PRIVATE);
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + note, e);
        }
        last = null;
        List<List<String>> there = rules().orElseThrow(() -> new HostException.Refused(
                "let guests through in " + CHAIN + ": the chain is gone; it is tried again when Docker has made it",
                null));
        for (String side : SIDES.reversed()) {
            if (!there.contains(rule(side))) {
                List<String> insert = new ArrayList<>(List.of("-I"));
                insert.addAll(rule(side));
                change(insert);
            }
        }
    }

    @Override
    public synchronized void withdraw() throws HostException {
        last = null;
        for (List<String> rule : rules().orElse(List.of())) {
            if (isOurs(rule)) {
                List<String> delete = new ArrayList<>(List.of("-D"));
                delete.addAll(rule);
                change(delete);
            }
        }
        try {
            DurableFiles.delete(note);
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + note, e);
        }
    }

    /** As iptables prints it, in words, without the command before it. */
    private List<String> rule(String side) {
        return List.of(CHAIN, side, "vmb-+", "-m", "comment", "--comment", comment, "-j", "ACCEPT");
    }

    private boolean isOurs(List<String> rule) {
        int at = rule.indexOf("--comment");
        return at >= 0 && at + 1 < rule.size() && rule.get(at + 1).equals(comment);
    }

    /** A printed rule as arguments: what stands in quotes is one. */
    static List<String> words(String rule) {
        List<String> words = new ArrayList<>();
        Matcher word = WORD.matcher(rule);
        while (word.find()) {
            words.add(word.group(1) == null ? word.group() : word.group(1).replaceAll("\\\\(.)", "$1"));
        }
        return words;
    }

    /** The chain's rules in words, the chain first; empty without the chain. */
    private Optional<List<List<String>>> rules() throws HostException {
        String operation = "look at " + CHAIN;
        Tool.Result listed = iptables(operation, List.of("-S", CHAIN));
        if (listed.code() == 0) {
            return Optional.of(rules(listed.output()));
        }
        if (listed.output().contains("No chain/target/match by that name")) {
            return Optional.empty();
        }
        // Some versions call a chain incompatible that is not there (1.8.9 with nf_tables): the whole table tells.
        Tool.Result all = iptables(operation, List.of("-S"));
        if (all.code() != 0) {
            throw new HostException.Refused(operation + ": " + all.lastLine(), null);
        }
        return all.output().lines().anyMatch(("-N " + CHAIN)::equals)
                ? Optional.of(rules(all.output()))
                : Optional.empty();
    }

    private static List<List<String>> rules(String output) {
        return output.lines()
                .filter(line -> line.startsWith("-A " + CHAIN + " "))
                .map(line -> words(line.substring("-A ".length())))
                .toList();
    }

    private void change(List<String> arguments) throws HostException {
        String operation = "iptables " + String.join(" ", arguments);
        Tool.Result result = iptables(operation, arguments);
        if (result.code() != 0) {
            throw new HostException.Refused(operation + ": " + result.lastLine(), null);
        }
    }

    private Tool.Result iptables(String operation, List<String> arguments) throws HostException {
        List<String> command = new ArrayList<>(words);
        if (words.isEmpty()) {
            command.add(
                    Tool.find("iptables").orElseThrow(() -> missing(operation)).toString());
        } else {
            command.add("iptables");
        }
        // Docker and others change these tables too; of iptables-legacy one at a time may.
        command.addAll(List.of("-w", "5"));
        command.addAll(arguments);
        try {
            Tool.Result result = Tool.run(Path.of("/"), PATIENCE, Map.of(), command);
            if (!words.isEmpty() && result.code() == 127) {
                throw missing(operation);
            }
            return result;
        } catch (IOException e) {
            throw new HostException.TimedOut(operation + ": " + e.getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HostException.TimedOut(operation + ": interrupted", e);
        }
    }

    private static HostException missing(String operation) {
        return new HostException.Unsupported(
                operation + ": --manage-docker-user needs iptables on this host: apt-get install iptables", null);
    }
}
