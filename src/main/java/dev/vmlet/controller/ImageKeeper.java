package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.host.Applier;
import dev.vmlet.host.Disks;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.plan.ImagePlanner;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import dev.vmlet.resolve.VmResolver;
import java.time.Clock;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/**
 * Keeps the node's images from filling its file system. Looks at the cache first and asks for the VMs afterwards, so that
 * an image that was fetched for a VM meanwhile is never taken for unused.
 */
public final class ImageKeeper {
    private final Disks disks;
    private final Applier applier;
    private final Supplier<HostFacts> facts;
    private final Clock clock;
    private final AgentMetrics metrics;

    public ImageKeeper(Disks disks, Applier applier, Supplier<HostFacts> facts, Clock clock) {
        this(disks, applier, facts, clock, AgentMetrics.unheard());
    }

    public ImageKeeper(Disks disks, Applier applier, Supplier<HostFacts> facts, Clock clock, AgentMetrics metrics) {
        this.disks = disks;
        this.applier = applier;
        this.facts = facts;
        this.clock = clock;
        this.metrics = metrics;
    }

    /** What one pass came to. */
    public record Result(Plan plan, Outcome outcome) {
        /** What was removed, as the sweep tells it. */
        List<Finding> findings() {
            return outcome.done().stream()
                    .map(s -> new Finding("image", name(s), "", "Removed", s.because()))
                    .toList();
        }

        private static String name(PlannedStep step) {
            if (step.step() instanceof Step.DeleteImage(String file, var _)) {
                return file;
            }
            return step.step() instanceof Step.DeletePartialImage(String name)
                    ? name
                    : step.step().toString();
        }

        /** Why the file system stays too full, with the remedy; empty where it does not. */
        Optional<String> pressure() {
            return plan.waitingFor().filter(w -> w.reason() == Reason.NoSpace).map(Plan.Wait::message);
        }
    }

    /** @param vms those of this node, asked for only where something has to go */
    public Result pass(Supplier<List<VirtualMachine>> vms) {
        Seen<ImageCache> look = disks.images();
        if (look instanceof Seen.Present<ImageCache>(ImageCache cache)) {
            metrics.images(cache);
        }
        Plan plan = plan(look, disks, facts, vms, clock.instant());
        return new Result(plan, applier.apply("images", plan));
    }

    /** What a pass would do now. */
    public static Plan plan(Disks disks, Supplier<HostFacts> facts, Supplier<List<VirtualMachine>> vms, Instant now) {
        return plan(disks.images(), disks, facts, vms, now);
    }

    private static Plan plan(
            Seen<ImageCache> look,
            Disks disks,
            Supplier<HostFacts> facts,
            Supplier<List<VirtualMachine>> vms,
            Instant now) {
        Seen<Set<String>> needed = look instanceof Seen.Present<ImageCache>(ImageCache cache) && cache.isPressed()
                ? needed(disks, vms.get(), facts.get())
                : Seen.present(Set.of());
        return switch (needed) {
            case Seen.Present<Set<String>>(Set<String> files) -> ImagePlanner.plan(look, files, now);
            case Seen.Missing<Set<String>> _ -> ImagePlanner.plan(look, Set.of(), now);
            case Seen.Unknown<Set<String>>(String cause) -> ImagePlanner.plan(Seen.unknown(cause), Set.of(), now);
        };
    }

    /** Images of disks and boot files that are still to be made; disks once made need theirs no more. */
    private static Seen<Set<String>> needed(Disks disks, List<VirtualMachine> vms, HostFacts host) {
        Set<String> files = new HashSet<>();
        for (VirtualMachine vm : vms) {
            VmId id = VmResolver.idOf(vm);
            for (DesiredDisk disk : VmResolver.disks(vm, host)) {
                if (disk.image().isEmpty() || disks.observe(id, disk) instanceof DiskState.Ready) {
                    continue;
                }
                ImageSource image = disk.image().get();
                switch (disks.imageFile(image)) {
                    case Seen.Present<String>(String file) -> files.add(file);
                    // Not fetched yet, or a file of the node whose copy is made anew when it is asked for.
                    case Seen.Missing<String> _ -> {}
                    case Seen.Unknown<String>(String cause) -> {
                        return Seen.unknown(cause);
                    }
                }
            }
        }
        return Seen.present(files);
    }
}
