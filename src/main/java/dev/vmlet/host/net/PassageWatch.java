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
import java.util.HashSet;
import java.util.List;
import java.util.Map;
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
 * {@link Passages} by {@link PassageProbe}, on a thread of its own. A round tries every Network:
 *
 * <ul>
 *   <li>soon after a Network, its policy or the uplink became another;
 *   <li>soon after somebody changed a table that is not ours, but ten seconds after the last such round, and so that it
 *       takes no more than a twentieth of the time: a proxy of Services changes its tables all day;
 *   <li>again after a while as long as the last round found something wrong: what mends it may be told by no event.
 * </ul>
 *
 * A minute in which nothing is changed and nothing is wrong costs nothing.
 */
public final class PassageWatch implements Passages, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(PassageWatch.class);

    private static final int SHARE = 20;

    /**
     * When a round begins.
     *
     * @param soon after a change: somebody who replaces a firewall does it in several commits
     * @param pause at least between the beginnings of two that somebody else's changes led to
     * @param trouble after one that found something wrong
     * @param notMade after one in which a probe could not be made: the bridge may not be there yet, or our tables not whole
     */
    record Pace(Duration soon, Duration pause, Duration trouble, Duration notMade) {
        static final Pace USUAL =
                new Pace(Duration.ofMillis(300), Duration.ofSeconds(10), Duration.ofMinutes(1), Duration.ofSeconds(5));
    }

    private final Pace pace;
    private final PassageProbe probe;
    private final Consumer<String> changed;
    private final ScheduledExecutorService thread = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().daemon().name("passages").factory());

    /** Written by the thread; of Networks by their uid. */
    private final Map<String, Seen<Passage>> known = new ConcurrentHashMap<>();

    /** The three below are guarded by this. */
    private Wanted wanted = new Wanted(Optional.empty(), Map.of());

    private Set<Ipv4Address> taken = Set.of();
    private @Nullable ScheduledFuture<?> round;

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
            wanted = now;
        }
        known.keySet().retainAll(leaving.keySet());
        if (!leaving.isEmpty()) {
            schedule(pace.soon());
        }
    }

    /** Somebody changed a firewall that is not ours. */
    public void disturbed() {
        Duration left = Duration.ofNanos(notBefore - System.nanoTime());
        schedule(left.compareTo(pace.soon()) > 0 ? left : pace.soon());
    }

    private synchronized void schedule(Duration delay) {
        if (thread.isShutdown() || wanted.networks().isEmpty()) {
            return;
        }
        if (round != null && !round.isDone()) {
            if (round.getDelay(TimeUnit.NANOSECONDS) <= delay.toNanos() && round.getDelay(TimeUnit.NANOSECONDS) > 0) {
                return;
            }
            // One that has begun goes on; what it has not seen is seen by the next.
            boolean _ = round.cancel(false);
        }
        round = thread.schedule(this::tryAll, delay.toNanos(), TimeUnit.NANOSECONDS);
    }

    @Override
    public Seen<Passage> of(String networkUid) {
        return known.getOrDefault(networkUid, Seen.missing());
    }

    private void tryAll() {
        Wanted now;
        Set<Ipv4Address> addresses;
        synchronized (this) {
            now = wanted;
            addresses = taken;
        }
        long begun = System.nanoTime();
        boolean wrong = false;
        boolean failed = false;
        for (Map.Entry<String, DesiredNetwork> network : now.networks().entrySet()) {
            if (thread.isShutdown()) {
                return;
            }
            Seen<Passage> answer = attempt(network.getValue(), addresses);
            failed |= answer instanceof Seen.Unknown;
            wrong |= !answer.equals(Seen.present(new Passage.Open()));
            keep(network.getKey(), network.getValue(), answer);
        }
        long end = System.nanoTime();
        notBefore = Math.max(begun + pace.pause().toNanos(), end + SHARE * (end - begun));
        if (wrong) {
            schedule(failed ? pace.notMade() : pace.trouble());
        }
    }

    private Seen<Passage> attempt(DesiredNetwork network, Set<Ipv4Address> addresses) {
        try {
            Optional<ProbePacket> packet = ProbePacket.of(network, addresses, probe.cookie());
            return packet.isPresent()
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
        }
        Seen<Passage> before = known.put(uid, answer);
        if (answer.equals(before)) {
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

    /** Ends the thread; a probe under way is finished first, so that nothing of it stays. */
    @Override
    public void close() {
        thread.shutdownNow();
        try {
            boolean _ = thread.awaitTermination(5, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
