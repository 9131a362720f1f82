package dev.vmlet.status;

import dev.vmlet.api.Condition.Status;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeStatus;
import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.api.VmNodeStatus.Hold;
import dev.vmlet.model.Downtime;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.Link;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Orphans.Held;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Optional;

/** What is said of this node. */
public final class NodeStatus {
    private static final int LISTED = 64;

    private NodeStatus() {}

    /**
     * What the agent found out about its host at start; nothing here changes while it runs.
     *
     * @param vmmName of the VMM that guests run under, empty where none is usable
     * @param landlockAbi version of Landlock the kernel has, 0 for none
     * @param confinementGap why guest processes are less confined than they could be, empty when they are not
     */
    public record Facts(
            String agentVersion,
            String bootId,
            boolean kvmUsable,
            String kvmMessage,
            String vmmName,
            String vmmVersion,
            String vmmPath,
            String vmmProblem,
            boolean emulationAllowed,
            boolean emulated,
            int landlockAbi,
            String confinementGap,
            String kernelVersion,
            String architecture,
            int cores,
            String memory) {}

    /**
     * @param imagePressure why the file system of the images stays too full, with the remedy
     * @param deafness what of the kernel's events is not heard, sentences
     * @param downtime when the node's guests are to be down
     */
    public static VmNodeStatus of(
            VmNode node,
            Facts facts,
            Plan plan,
            Outcome outcome,
            HostObservation seen,
            int bridgePorts,
            List<Finding> findings,
            List<Held> holds,
            List<String> failures,
            Optional<String> imagePressure,
            List<String> deafness,
            Optional<Downtime> downtime,
            Instant now) {
        VmNodeStatus before = node.getStatus();
        Conditions conditions = new Conditions(
                before == null ? null : before.conditions(), node.getMetadata().getGeneration(), now);
        boolean firewall =
                seen.firewall() instanceof Seen.Present<FirewallState>(FirewallState state) && state.intact();
        if (seen.firewall() instanceof Seen.Unknown<FirewallState>(String cause)) {
            conditions.add("FirewallReady", Status.Unknown, Reason.CannotLook, cause);
        } else if (firewall) {
            conditions.add("FirewallReady", Status.True, Reason.AsExpected);
        } else {
            conditions.add(
                    "FirewallReady",
                    Status.False,
                    Reason.FirewallNotReady,
                    outcome.failed()
                            .map(f -> f.step().step() + ": " + f.cause().getMessage())
                            .orElse(Reason.FirewallNotReady.sentence()));
        }
        if (facts.vmmName().isEmpty()) {
            conditions.add("VmmReady", Status.False, withoutVmm(facts), facts.vmmProblem());
        } else {
            conditions.add(
                    "VmmReady",
                    Status.True,
                    Reason.AsExpected,
                    facts.emulated()
                            ? "Guests run under software emulation: " + facts.vmmProblem()
                            : "Guests run under " + facts.vmmName() + " " + facts.vmmVersion() + ".");
        }
        conditions.add(
                "Confined",
                facts.confinementGap().isEmpty() ? Status.True : Status.False,
                facts.confinementGap().isEmpty() ? Reason.AsExpected : Reason.VmmUnavailable,
                facts.confinementGap().isEmpty()
                        ? "Guest processes have their own user, no capabilities, seccomp and Landlock."
                        : facts.confinementGap());
        boolean blind = !failures.isEmpty()
                && plan.waitingFor().map(w -> w.reason() == Reason.CannotLook).orElse(false);
        if (!holds.isEmpty()) {
            conditions.add(
                    "Swept",
                    Status.False,
                    Reason.OrphanHeld,
                    Holds.summary(node.getMetadata().getName(), holds));
        } else if (!failures.isEmpty()) {
            conditions.add(
                    "Swept",
                    blind ? Status.Unknown : Status.False,
                    blind ? Reason.CannotLook : Reason.HostRefused,
                    String.join("; ", failures));
        } else {
            conditions.add(
                    "Swept", Status.True, Reason.AsExpected, "Nothing of ours on this node is without an owner.");
        }
        conditions.add(
                "ImageSpace",
                imagePressure.isEmpty() ? Status.True : Status.False,
                imagePressure.isEmpty() ? Reason.AsExpected : Reason.NoSpace,
                imagePressure.orElse("There is room for images."));
        conditions.add(
                "Watching",
                deafness.isEmpty() ? Status.True : Status.False,
                deafness.isEmpty() ? Reason.AsExpected : Reason.CannotLook,
                deafness.isEmpty()
                        ? "Changes to this node's links, addresses, flags and tables are heard as they happen."
                        : String.join("; ", deafness) + "; what others change is seen within 30 s.");
        boolean ready = firewall && !facts.vmmName().isEmpty();
        if (blind) {
            conditions.add("Ready", Status.Unknown, Reason.CannotLook, String.join("; ", failures));
        } else if (downtime.isPresent()) {
            conditions.add(
                    "Ready",
                    Status.False,
                    downtime.get().reason(),
                    downtime.get().message());
        } else {
            conditions.add(
                    "Ready",
                    ready ? Status.True : Status.False,
                    ready ? Reason.AsExpected : firewall ? withoutVmm(facts) : Reason.FirewallNotReady,
                    ready
                            ? "This node can run VMs."
                            : firewall ? facts.vmmProblem() : Reason.FirewallNotReady.sentence());
        }
        int running = (int) seen.vms().stream()
                .filter(v -> v.launch().flatMap(l -> l.ranAt()).isPresent())
                .count();
        return new VmNodeStatus(
                facts.agentVersion(),
                facts.bootId(),
                new VmNodeStatus.Kvm(
                        facts.kvmUsable(),
                        facts.kvmUsable() ? Reason.AsExpected.name() : Reason.NoVirtualization.name(),
                        facts.kvmMessage()),
                facts.vmmName().isEmpty() || facts.emulated()
                        ? null
                        : new VmNodeStatus.Vmm(facts.vmmName(), facts.vmmVersion(), facts.vmmPath()),
                new VmNodeStatus.Emulation(
                        facts.emulationAllowed(),
                        facts.emulated(),
                        facts.emulated() ? facts.vmmName() : null,
                        facts.emulated() ? facts.vmmVersion() : null,
                        facts.emulated() ? facts.vmmPath() : null),
                new VmNodeStatus.Confinement(
                        facts.confinementGap().isEmpty(),
                        facts.landlockAbi(),
                        facts.confinementGap().isEmpty() ? Reason.AsExpected.name() : Reason.VmmUnavailable.name(),
                        facts.confinementGap().isEmpty() ? Reason.AsExpected.sentence() : facts.confinementGap()),
                facts.kernelVersion(),
                facts.architecture(),
                new VmNodeStatus.BridgePorts(bridgePorts, Link.BRIDGE_PORTS_MAX),
                new VmNodeStatus.Capacity(facts.cores(), facts.memory()),
                new VmNodeStatus.Vms(seen.vms().size(), running),
                sweep(before, findings, Holds.of(node.getMetadata().getName(), holds, Holds.confirmed(node)), now),
                null,
                null,
                node.getMetadata().getGeneration(),
                conditions.list());
    }

    /** As VMs say it: where emulation is allowed, what is missing is the emulator. */
    private static Reason withoutVmm(Facts facts) {
        return facts.kvmUsable() || facts.emulationAllowed() ? Reason.VmmUnavailable : Reason.NoVirtualization;
    }

    /** A sweep that found nothing new is not written down again: an idle node writes nothing. */
    private static VmNodeStatus.Sweep sweep(
            @org.jspecify.annotations.Nullable VmNodeStatus before,
            List<Finding> findings,
            List<Hold> holds,
            Instant now) {
        VmNodeStatus.Sweep last = before == null ? null : before.sweep();
        List<Hold> shortHolds = holds.stream()
                .limit(LISTED)
                .map(h -> new Hold(
                        h.kind(),
                        clip(h.name(), 253),
                        clip(h.owner(), 1024),
                        h.cause(),
                        clip(h.reason(), 1024),
                        h.confirm(),
                        h.since()))
                .toList();
        if (last != null && findings.isEmpty() && shortHolds.equals(last.holds())) {
            return last;
        }
        List<Finding> shortFindings = findings.stream()
                .limit(LISTED)
                .map(f -> new Finding(
                        f.kind(), clip(f.name(), 253), clip(f.owner(), 1024), f.action(), clip(f.reason(), 1024)))
                .toList();
        return new VmNodeStatus.Sweep(
                now.truncatedTo(ChronoUnit.SECONDS).toString(),
                findings.size(),
                shortFindings,
                holds.size(),
                shortHolds);
    }

    private static @org.jspecify.annotations.Nullable String clip(
            @org.jspecify.annotations.Nullable String text, int length) {
        return text == null || text.length() <= length ? text : text.substring(0, length - 3) + "...";
    }
}
