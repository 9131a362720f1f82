package dev.vmlet.host.docker;

import dev.vmlet.host.DockerChain;
import dev.vmlet.host.disk.Tool;
import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.DockerUser;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongSupplier;
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

    /** After a look that failed: who holds the lock of iptables keeps it while others change the tables all day. */
    private static final Duration RESPITE = Duration.ofSeconds(30);

    /** What iptables ends with where it got no lock, among others. */
    private static final int RESOURCE_PROBLEM = 4;

    private static final Pattern WORD = Pattern.compile("\"((?:\\\\.|[^\"\\\\])*)\"|\\S+");

    private static final String PRIVATE = "rw-------";

    private static final String BRIDGES = "vmb-+";

    /** Behind it no rule is asked; Docker before 28 writes one at the chain's end. */
    private static final List<String> RETURN = List.of(CHAIN, "-j", "RETURN");

    private final boolean asked;
    private final List<String> words;
    private final String comment;
    private final Path note;

    private final LongSupplier nanos;

    /** Written under this, and read by {@link #disturbed} without it, as is the next. */
    private volatile @Nullable Look last;

    private volatile boolean stale;

    /** @param at end of the look, by {@link #nanos} */
    private record Look(Optional<LinkName> uplink, Seen<DockerUser> seen, long at) {}

    /**
     * @param asked whether guests are to be let through there
     * @param entry before a command that is to run on the host; empty where this is the host
     * @param note file that says that there may be rules of ours
     * @param nanos a clock like {@link System#nanoTime}
     */
    public IptablesDockerChain(
            boolean asked, InstallationId installation, List<String> entry, Path note, LongSupplier nanos) {
        this.asked = asked;
        this.words = List.copyOf(entry);
        this.comment = "vmlet:" + installation;
        this.note = note;
        this.nanos = nanos;
    }

    @Override
    public synchronized Seen<DockerUser> look(Optional<LinkName> uplink) {
        boolean kept = Files.exists(note);
        if (!asked && !kept) {
            return Seen.missing();
        }
        Look before = last;
        if (before != null && isGood(before, uplink)) {
            return before.seen();
        }
        // First: a change while iptables reads may be one that it does not see.
        stale = false;
        Seen<DockerUser> seen = lookNow(kept, uplink);
        last = new Look(uplink, seen, nanos.getAsLong());
        return seen;
    }

    private boolean isGood(Look look, Optional<LinkName> uplink) {
        long age = nanos.getAsLong() - look.at();
        return look.seen() instanceof Seen.Unknown
                ? age < RESPITE.toNanos()
                : !stale && age <= FRESH.toNanos() && look.uplink().equals(uplink);
    }

    private Seen<DockerUser> lookNow(boolean kept, Optional<LinkName> uplink) {
        try {
            Optional<List<List<String>>> rules = rules();
            if (rules.isEmpty()) {
                return Seen.missing();
            }
            List<List<String>> ours = rules.get().stream().filter(this::isOurs).toList();
            boolean complete = uplink.isPresent()
                    && astray(rules.get(), uplink.get()).isEmpty()
                    && ours.containsAll(wanted(uplink.get()));
            return Seen.present(new DockerUser(asked, kept, complete, !ours.isEmpty()));
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
    }

    /**
     * Somebody changed a firewall. Returns at once, whatever iptables is waited for.
     *
     * @return whether to look at once; else the next look sees it
     */
    public boolean disturbed() {
        Look before = last;
        boolean news = before != null && !stale && nanos.getAsLong() - before.at() > QUIET.toNanos();
        stale = true;
        return news;
    }

    @Override
    public synchronized void accept(LinkName uplink) throws HostException {
        try {
            if (!Files.exists(note)) {
                DurableFiles.write(note, (comment + "\n").getBytes(StandardCharsets.UTF_8), PRIVATE);
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + note, e);
        }
        last = null;
        List<List<String>> there = new ArrayList<>(rules().orElseThrow(() -> new HostException.Refused(
                "let guests through in " + CHAIN + ": the chain is gone; it is tried again when Docker has made it",
                null)));
        for (List<String> rule : astray(there, uplink)) {
            while (there.remove(rule)) {
                delete(rule);
            }
        }
        for (List<String> rule : wanted(uplink)) {
            if (!there.contains(rule)) {
                insert(rule, there);
            }
        }
    }

    /** Behind the rules of others, whose drops are to keep their effect. */
    private void insert(List<String> rule, List<List<String>> there) throws HostException {
        int end = end(there);
        List<String> insert = new ArrayList<>(List.of(end == there.size() ? "-A" : "-I"));
        insert.addAll(rule);
        if (end < there.size()) {
            insert.add(2, String.valueOf(end + 1));
        }
        change(insert);
        there.add(end, rule);
    }

    /** How many rules there are before the first that sends everything back. */
    private static int end(List<List<String>> rules) {
        int end = 0;
        while (end < rules.size() && !isReturn(rules.get(end))) {
            end++;
        }
        return end;
    }

    /** A comment is no condition. */
    private static boolean isReturn(List<String> rule) {
        List<String> bare = new ArrayList<>(rule);
        int at = bare.indexOf("--comment");
        if (at >= 2 && at + 1 < bare.size()) {
            bare.subList(at - 2, at + 2).clear();
        }
        return bare.equals(RETURN);
    }

    /** Rules with our mark that are for another uplink, twice there, or where nothing comes by. */
    private Set<List<String>> astray(List<List<String>> there, LinkName uplink) {
        Set<List<String>> astray = new LinkedHashSet<>();
        Set<List<String>> missing = new HashSet<>(wanted(uplink));
        int end = end(there);
        for (int i = 0; i < there.size(); i++) {
            if (isOurs(there.get(i)) && !(i < end && missing.remove(there.get(i)))) {
                astray.add(there.get(i));
            }
        }
        return astray;
    }

    @Override
    public synchronized void withdraw() throws HostException {
        last = null;
        for (List<String> rule : rules().orElse(List.of())) {
            if (isOurs(rule)) {
                delete(rule);
            }
        }
        try {
            DurableFiles.delete(note);
        } catch (IOException e) {
            throw DurableFiles.refusal("delete " + note, e);
        }
    }

    private void delete(List<String> rule) throws HostException {
        List<String> delete = new ArrayList<>(List.of("-D"));
        delete.addAll(rule);
        change(delete);
    }

    /**
     * To the uplink, from it, for Docker's own rule for replies is for its own bridges, and between bridges of ours, of which
     * our own table judges. An accept here is the last word of Docker's whole table: without the other side it would open
     * every container to guests.
     */
    private List<List<String>> wanted(LinkName uplink) {
        return List.of(rule(BRIDGES, uplink.value()), rule(uplink.value(), BRIDGES), rule(BRIDGES, BRIDGES));
    }

    /** As iptables prints it, in words, without the command before it. */
    private List<String> rule(String from, String to) {
        return List.of(CHAIN, "-i", from, "-o", to, "-m", "comment", "--comment", comment, "-j", "ACCEPT");
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
        if (listed.code() == RESOURCE_PROBLEM) {
            throw new HostException.Refused(operation + ": " + listed.lastLine(), null);
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
        command.addAll(List.of("-w", "2"));
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
