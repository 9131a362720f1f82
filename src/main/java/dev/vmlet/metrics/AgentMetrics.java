package dev.vmlet.metrics;

import dev.vmlet.api.VirtualMachineStatus.Phase;
import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.host.Applier;
import dev.vmlet.model.HostException;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.Reason;
import dev.vmlet.plan.Orphans;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.composite.CompositeMeterRegistry;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What a node's agent tells of itself. No label bears the name of an object: their number is unbounded, and whoever may
 * read figures need not know what tenants run. Safe for use by several threads.
 */
public final class AgentMetrics implements Applier.StepWatch {
    /** From a record on disk to an emulated guest that boots; seconds. */
    private static final Duration[] BUCKETS = seconds(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800);

    /** From a set element to a disk that is cloned byte by byte. Few, for there are three dozen kinds of step. */
    private static final Duration[] STEP_BUCKETS = seconds(0.001, 0.01, 0.1, 1, 10, 60);

    /** An object that is seen sooner after its creation was not here before. */
    private static final Duration NEW = Duration.ofMinutes(1);

    /** @param first the VM has not been in any phase that ends its first way to Running */
    private record Stay(Phase phase, Instant since, boolean first) {}

    private final MeterRegistry registry;
    private final Map<Phase, AtomicLong> vms = new EnumMap<>(Phase.class);
    private final Map<Orphans.Cause, AtomicLong> holds = new EnumMap<>(Orphans.Cause.class);
    private final Map<String, Stay> stays = new ConcurrentHashMap<>();
    private final AtomicLong bridgePorts;
    private final AtomicLong bridgePortsLimit;
    private final AtomicLong sweptAt;
    private final AtomicLong imageBytes;
    private final AtomicLong images;
    private final AtomicLong stateBytes;
    private final AtomicLong stateFreeBytes;

    public AgentMetrics(MeterRegistry registry) {
        this.registry = registry;
        for (Phase phase : Phase.values()) {
            vms.put(phase, gauge("vmlet.vms", "VirtualMachines of this node, by phase.", "phase", phase.name()));
        }
        for (Orphans.Cause cause : Orphans.Cause.values()) {
            holds.put(
                    cause,
                    gauge(
                            "vmlet.sweep.holds",
                            "Guests and disks without an object that are kept, by the cause that VmNode names.",
                            "cause",
                            cause.name()));
        }
        bridgePorts = gauge("vmlet.bridge.ports.used", "Ports of the fullest bridge of this node.");
        bridgePortsLimit = gauge("vmlet.bridge.ports.limit", "Ports that one bridge can have.");
        sweptAt = gauge("vmlet.sweep.last.success.timestamp.seconds", "When the last whole sweep ended, in Unix time.");
        imageBytes = gauge("vmlet.image.cache.bytes", "What the images that disks are cloned from take on disk.");
        images = gauge("vmlet.image.cache.images", "How many they are.");
        stateBytes = gauge("vmlet.state.filesystem.size.bytes", "The file system of the state directory.");
        stateFreeBytes = gauge("vmlet.state.filesystem.avail.bytes", "What of it is free.");
    }

    /** Where nobody asks for figures: nothing is kept. */
    public static AgentMetrics unheard() {
        return new AgentMetrics(new CompositeMeterRegistry());
    }

    public MeterRegistry registry() {
        return registry;
    }

    private AtomicLong gauge(String name, String description, String... tags) {
        AtomicLong value = new AtomicLong();
        Gauge.builder(name, value, AtomicLong::doubleValue)
                .description(description)
                .tags(tags)
                .strongReference(true)
                .register(registry);
        return value;
    }

    private Counter counter(String name, String description, String... tags) {
        return Counter.builder(name).description(description).tags(tags).register(registry);
    }

    private static Duration[] seconds(double... values) {
        Duration[] all = new Duration[values.length];
        for (int i = 0; i < values.length; i++) {
            all[i] = Duration.ofMillis(Math.round(values[i] * 1000));
        }
        return all;
    }

    // ---- VMs ----

    /**
     * What a VM's status says now. The first time it is seen here nothing is measured: how long it has been so is not
     * known. From its creation is measured until it runs for the first time: a guest that is started again after a week
     * did not take a week to start.
     *
     * @param created when the object was made, as the API server says
     */
    public void phase(String vmUid, Phase phase, Instant created, Instant now) {
        Stay before = stays.get(vmUid);
        if (before != null && before.phase == phase) {
            return;
        }
        boolean first = before == null
                ? now.isBefore(created.plus(NEW))
                : before.first && before.phase != Phase.Running && before.phase != Phase.Stopped;
        stays.put(vmUid, new Stay(phase, now, first));
        count(phase, 1);
        if (before == null) {
            return;
        }
        count(before.phase, -1);
        Timer.builder("vmlet.vm.phase.transition.time")
                .description("How long a VM was in last_phase before it came into phase.")
                .tags("last_phase", before.phase.name(), "phase", phase.name())
                .serviceLevelObjectives(BUCKETS)
                .register(registry)
                .record(positive(before.since, now));
        if (!first) {
            return;
        }
        Timer.builder("vmlet.vm.phase.transition.time.from.creation")
                .description("How long after its object was made a VM came into phase, until it first ran.")
                .tags("phase", phase.name())
                .serviceLevelObjectives(BUCKETS)
                .register(registry)
                .record(positive(created, now));
    }

    public void gone(String vmUid) {
        Stay before = stays.remove(vmUid);
        if (before != null) {
            count(before.phase, -1);
        }
    }

    private void count(Phase phase, int more) {
        AtomicLong counted = vms.get(phase);
        if (counted != null) {
            long _ = counted.addAndGet(more);
        }
    }

    /** The API server's clock is another. */
    private static Duration positive(Instant from, Instant to) {
        return to.isAfter(from) ? Duration.between(from, to) : Duration.ZERO;
    }

    /** A guest has ended. */
    public void exit(Reason reason) {
        counter("vmlet.guest.exits", "Guests that ended, by the reason in lastExit.", "reason", reason.name())
                .increment();
    }

    // ---- the host ----

    @Override
    public void done(PlannedStep planned, Duration took) {
        String kind = kind(planned.step());
        Timer.builder("vmlet.host.step.duration")
                .description("Steps that changed the host, by kind; the count is how many were taken.")
                .tags("step", kind)
                .serviceLevelObjectives(STEP_BUCKETS)
                .register(registry)
                .record(took);
        if (planned.cause() == PlannedStep.Cause.DRIFT) {
            counter("vmlet.drift.repairs", "Steps that put right what others had changed.", "step", kind)
                    .increment();
        }
    }

    @Override
    public void refused(PlannedStep planned, HostException refusal) {
        counter(
                        "vmlet.host.step.failures",
                        "Steps that the host refused.",
                        "step",
                        kind(planned.step()),
                        "error",
                        refusal.getClass().getSimpleName())
                .increment();
    }

    private static String kind(Step step) {
        return step.getClass().getSimpleName();
    }

    /** @param limit ports that one bridge can have */
    public void bridgePorts(int used, int limit) {
        bridgePorts.set(used);
        bridgePortsLimit.set(limit);
    }

    /** What one whole sweep came to. */
    public void swept(List<Finding> findings, List<Orphans.Held> held, Instant now) {
        for (Finding finding : findings) {
            counter(
                            "vmlet.sweep.findings",
                            "What the sweep found without an owner, and took away.",
                            "kind",
                            String.valueOf(finding.kind()))
                    .increment();
        }
        holds.forEach((cause, number) ->
                number.set(held.stream().filter(h -> h.doubt().cause() == cause).count()));
        sweptAt.set(now.getEpochSecond());
    }

    public void images(ImageCache cache) {
        images.set(cache.images().size());
        imageBytes.set(
                cache.images().stream().mapToLong(ImageCache.CachedImage::bytes).sum());
        stateBytes.set(cache.totalBytes());
        stateFreeBytes.set(cache.usableBytes());
    }
}
