package dev.vmlet.host.net;

import dev.vmlet.host.Passages;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.ProbePacket;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * {@link Passages} by {@link PassageProbe}, on a thread of its own. A round tries every Network
 *
 * <ul>
 *   <li>soon after a Network, its policy or the uplink became another;
 *   <li>soon after somebody changed a table that is not ours, but ten seconds after the last such round, and so that it
 *       takes no more than a twentieth of the time: a proxy of Services changes its tables all day;
 * </ul>
 *
 * and one alone again after a while as long as its last try found something wrong, or could not be made: what mends it may
 * be told by no event. A minute in which nothing is changed and nothing is wrong costs nothing.
 */
public final class PassageWatch implements Passages, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(PassageWatch.class);

    private static final int SHARE = 20;
    private static final int FEW = 3;
    private static final int DOUBLINGS_MAX = 10;

    /**
     * When a round begins.
     *
     * @param soon after a change: somebody who replaces a firewall does it in several commits
     * @param pause at least between the beginnings of two that somebody else's changes led to
     * @param trouble after one that found something wrong
     * @param notMade after one in which a probe could not be made: the bridge may not be there yet, or our tables not whole
     * @param longest between two tries where none can be made
     */
    record Pace(Duration soon, Duration pause, Duration trouble, Duration notMade, Duration longest) {
        static final Pace USUAL = new Pace(
                Duration.ofMillis(300),
                Duration.ofSeconds(10),
                Duration.ofMinutes(1),
                Duration.ofSeconds(5),
                Duration.ofMinutes(10));

        /** @param failures tries in a row that could not be made, from 1 on */
        Duration afterFailures(int failures) {
            if (failures < FEW) {
                return notMade;
            }
            Duration grown = trouble.multipliedBy(1L << Math.min(failures - FEW, DOUBLINGS_MAX));
            return grown.compareTo(longest) < 0 ? grown : longest;
        }
    }

    private final Pace pace;
    private final PassageProbe probe;
    private final Consumer<String> changed;
    private final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("passages").factory());

    /** Written by the thread; of Networks by their uid. */
    private final Map<String, Seen<Passage>> known = new ConcurrentHashMap<>();

    /** The five below are guarded by this. */
    private Wanted wanted = new Wanted(Optional.empty(), Map.of());

    private Set<Ipv4Address> taken = Set.of();
    private @Nullable ScheduledFuture<?> round;

    /** When a Network is tried next, of {@link System#nanoTime}; by its uid, as the other. */
    private final Map<String, Long> due = new HashMap<>();

    /** Tries in a row that could not be made. */
    private final Map<String, Integer> failures = new HashMap<>();

    /** A table of somebody else became another since the last round began. */
    private volatile boolean disturbed;

    /** Of {@link System#nanoTime}, before which a foreign change starts no round. Written by the thread. */
    private volatile long notBefore = System.nanoTime();

    private record Wanted(Optional<LinkName> uplink, Map<String, DesiredNetwork> networks) {}

    /**
     * @param firewall whose way to nf_tables is used: two at once are one too many (see {@link Nftables})
     * @param changed told the uid of a Network whose answer is another; called on the watch's thread
     */
    public PassageWatch(InstallationId installation, LinuxLinks links, NftFirewall firewall, Consumer<String> changed) {
        this(installation, links, firewall, changed, Pace.USUAL);
    }

    PassageWatch(
            InstallationId installation, LinuxLinks links, NftFirewall firewall, Consumer<String> changed, Pace pace) {
        this.pace = pace;
        this.probe = new PassageProbe(links, firewall.nft(), installation.value());
        this.changed = changed;
    }

    @Override
    public void follow(Optional<LinkName> uplink, List<NetworkRecord> networks, List<VmRecord> vms) {
        Map<String, DesiredNetwork> leaving = new TreeMap<>();
        for (NetworkRecord network : networks) {
            if (uplink.isPresent() && network.realised().egress() == Egress.MASQUERADE) {
                leaving.put(network.id().uid(), network.realised());
            }
        }
        Set<Ipv4Address> addresses = new HashSet<>();
        vms.forEach(vm -> vm.nics().forEach(nic -> addresses.add(nic.ip())));
        synchronized (this) {
            taken = Set.copyOf(addresses);
            Wanted now = new Wanted(uplink, Map.copyOf(leaving));
            if (now.equals(wanted)) {
                return;
            }
            failures.keySet()
                    .removeIf(uid ->
                            !Objects.equals(leaving.get(uid), wanted.networks().get(uid)));
            due.keySet().retainAll(leaving.keySet());
            wanted = now;
        }
        known.keySet().retainAll(leaving.keySet());
        if (!leaving.isEmpty()) {
            tryAllIn(pace.soon());
        }
    }

    /** Somebody changed a firewall that is not ours. */
    public void disturbed() {
        disturbed = true;
        Duration left = Duration.ofNanos(notBefore - System.nanoTime());
        tryAllIn(left.compareTo(pace.soon()) > 0 ? left : pace.soon());
    }

    private synchronized void tryAllIn(Duration delay) {
        wanted.networks().keySet().forEach(uid -> tryIn(uid, delay));
        schedule();
    }

    private synchronized void tryIn(String uid, Duration delay) {
        due.merge(uid, System.nanoTime() + delay.toNanos(), (one, other) -> one - other <= 0 ? one : other);
    }

    private synchronized void schedule() {
        if (thread.isShutdown() || due.isEmpty()) {
            return;
        }
        long now = System.nanoTime();
        long delay = due.values().stream().mapToLong(at -> at - now).min().getAsLong();
        if (round != null && !round.isDone()) {
            if (round.getDelay(TimeUnit.NANOSECONDS) <= delay && round.getDelay(TimeUnit.NANOSECONDS) > 0) {
                return;
            }
            // One that has begun goes on; what it has not seen is seen by the next.
            boolean _ = round.cancel(false);
        }
        round = thread.schedule(this::tryDue, Math.max(0, delay), TimeUnit.NANOSECONDS);
    }

    @Override
    public Seen<Passage> of(String networkUid) {
        return known.getOrDefault(networkUid, Seen.missing());
    }

    private void tryDue() {
        Wanted now;
        Set<Ipv4Address> addresses;
        Set<String> turn = new HashSet<>();
        long begun = System.nanoTime();
        synchronized (this) {
            now = wanted;
            addresses = taken;
            due.forEach((uid, at) -> {
                if (at - begun <= 0) {
                    turn.add(uid);
                }
            });
            due.keySet().removeAll(turn);
        }
        probe.letGo();
        if (disturbed) {
            disturbed = false;
            probe.forgetRules();
        }
        for (Map.Entry<String, DesiredNetwork> network : now.networks().entrySet()) {
            if (thread.isShutdown()) {
                return;
            }
            if (turn.contains(network.getKey())) {
                Seen<Passage> answer = attempt(network.getValue(), addresses);
                keep(network.getKey(), network.getValue(), answer);
            }
        }
        long end = System.nanoTime();
        notBefore = Math.max(begun + pace.pause().toNanos(), end + SHARE * (end - begun));
        schedule();
    }

    private Seen<Passage> attempt(DesiredNetwork network, Set<Ipv4Address> addresses) {
        try {
            Optional<ProbePacket> packet = ProbePacket.of(network, addresses, probe.cookie());
            return packet.isPresent() && !probe.staysHere(packet.get().destination())
                    ? Seen.present(probe.throughBridge(packet.get(), network.subnet()))
                    : Seen.missing();
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        } catch (RuntimeException e) {
            // A defect of ours. It must not end the rounds, which a scheduler does silently.
            log.atError().addKeyValue("network", network.id()).setCause(e).log("a probe failed unexpectedly");
            return Seen.unknown("unexpected error: " + e);
        }
    }

    private void keep(String uid, DesiredNetwork network, Seen<Passage> answer) {
        synchronized (this) {
            if (!wanted.networks().containsKey(uid)) {
                return;
            }
            tryAgain(uid, answer);
        }
        Seen<Passage> before = known.put(uid, answer);
        // Why a probe could not be made is told in other words each time, with the name of its tap.
        if (answer.equals(before == null ? Seen.missing() : before)
                || answer instanceof Seen.Unknown && before instanceof Seen.Unknown) {
            return;
        }
        switch (answer) {
            case Seen.Unknown<Passage>(String cause) ->
                log.atWarn()
                        .addKeyValue("network", network.id())
                        .addKeyValue("cause", cause)
                        .log("what others' firewalls do with guests' packets could not be tried");
            case Seen.Present<Passage> present ->
                log.atInfo()
                        .addKeyValue("network", network.id())
                        .addKeyValue("passage", present.value())
                        .log("tried what others' firewalls do with guests' packets");
            case Seen.Missing<Passage> _ -> {}
        }
        changed.accept(uid);
    }

    private synchronized void tryAgain(String uid, Seen<Passage> answer) {
        switch (answer) {
            case Seen.Unknown<Passage> _ -> tryIn(uid, pace.afterFailures(failures.merge(uid, 1, Integer::sum)));
            case Seen.Present<Passage>(Passage passage) -> {
                failures.remove(uid);
                if (!(passage instanceof Passage.Open)) {
                    tryIn(uid, pace.trouble());
                }
            }
            case Seen.Missing<Passage> _ -> failures.remove(uid);
        }
    }

    /** Ends the thread; a probe under way is finished first, for at most five seconds, so that nothing of it stays. */
    @Override
    public void close() {
        synchronized (this) {
            if (thread.isShutdown()) {
                return;
            }
            if (round != null) {
                boolean _ = round.cancel(false);
            }
            thread.execute(probe::letGo);
            thread.shutdown();
        }
        try {
            boolean _ = thread.awaitTermination(5, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
