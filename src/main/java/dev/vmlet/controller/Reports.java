package dev.vmlet.controller;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.util.EnumSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One Event per plan that changed the host and one per refusal, in the words of the plan. */
public final class Reports {
    private static final Logger log = LoggerFactory.getLogger(Reports.class);

    /** Waits that are nobody's fault and pass by themselves are no news. */
    private static final Set<Reason> QUIET = EnumSet.of(
            Reason.WaitingForTurn,
            Reason.Starting,
            Reason.Stopping,
            Reason.Stopped,
            // Told once, as the end of the guest.
            Reason.Evacuated,
            Reason.HostShutdown,
            Reason.Completed,
            Reason.PreparingDisks,
            Reason.NetworkNotReady,
            Reason.AddressPending,
            Reason.FirewallNotReady,
            Reason.InUse,
            Reason.WaitingForSecret,
            // Told once, as the end of the guest it follows.
            Reason.BackOff,
            Reason.WaitingForCidr);

    private static final Set<Reason> EXPECTED = EnumSet.of(
            Reason.StoppedOnRequest,
            Reason.Evacuated,
            Reason.HostShutdown,
            Reason.Deleting,
            Reason.GuestPoweredOff,
            Reason.HostRebooted);

    private final EventRecorder events;

    private final AgentMetrics metrics;

    public Reports(EventRecorder events) {
        this(events, AgentMetrics.unheard());
    }

    Reports(EventRecorder events, AgentMetrics metrics) {
        this.events = events;
        this.metrics = metrics;
    }

    void tell(HasMetadata object, Resolution<?> resolution, Plan plan, Outcome outcome) {
        List<PlannedStep> news =
                outcome.done().stream().filter(s -> !s.step().bookkeeping()).toList();
        if (!news.isEmpty()) {
            events.normal(object, reason(news), words(news));
        }
        outcome.failed()
                .ifPresent(f -> events.warning(
                        object,
                        Reason.HostRefused,
                        f.step().step() + ": " + f.cause().getMessage()));
        if (resolution instanceof Resolution.Unresolved<?>(Reason why, String message) && !QUIET.contains(why)) {
            events.warning(object, why, message);
            return;
        }
        plan.waitingFor()
                .filter(w -> !QUIET.contains(w.reason()))
                .ifPresent(w -> events.warning(object, w.reason(), w.message()));
    }

    /** How a guest ended, when that was written down in this round. */
    void exit(HasMetadata object, Optional<VmRecord> before, Optional<VmRecord> after) {
        after.flatMap(VmRecord::lastExit)
                // Without a record before there was none to end by: one that was rebuilt tells of an old exit.
                .filter(exit -> before.isPresent() && !before.get().lastExit().equals(Optional.of(exit)))
                .ifPresent(exit -> {
                    metrics.exit(exit.reason());
                    if (EXPECTED.contains(exit.reason())) {
                        events.normal(object, exit.reason(), exit.message());
                    } else {
                        events.warning(object, exit.reason(), exit.message());
                    }
                });
    }

    /** Of a guest's address; told once, when the status begins to say so: a guest can change its address all day. */
    void addressing(VirtualMachine vm, VirtualMachineStatus now) {
        news(vm.getStatus(), now)
                .ifPresent(c ->
                        events.warning(vm, Reason.valueOf(String.valueOf(c.reason())), String.valueOf(c.message())));
    }

    static Optional<Condition> news(@Nullable VirtualMachineStatus before, VirtualMachineStatus now) {
        return addressing(now)
                .filter(c -> before == null
                        || addressing(before)
                                .filter(old -> Objects.equals(old.reason(), c.reason()))
                                .isEmpty());
    }

    private static Optional<Condition> addressing(VirtualMachineStatus status) {
        return Objects.requireNonNullElse(status.conditions(), List.<Condition>of()).stream()
                .filter(c -> "NetworkReady".equals(c.type())
                        && (Reason.AddressDiffers.name().equals(c.reason())
                                || Reason.AddressInUse.name().equals(c.reason())))
                .findFirst();
    }

    /** Nothing of ours ended or was started. */
    void rebooted(HasMetadata object, String news) {
        events.normal(object, Reason.GuestRebooted, news);
    }

    /** A forced deletion was asked for, and this node's agent is there to do it well. */
    void notLost(VirtualMachine vm) {
        if (Burials.asked(vm).isPresent()) {
            events.warning(
                    vm,
                    Reason.ForceDeleteRefused,
                    "the annotation " + VirtualMachine.FORCE_DELETE + " is for VMs whose node is lost; this one's agent"
                            + " is here and takes it down, and its conditions say how far that is");
        }
    }

    static Reason reason(List<PlannedStep> news) {
        boolean repair = news.stream().anyMatch(s -> s.cause() != PlannedStep.Cause.ASKED);
        return repair ? Reason.Repaired : Reason.Changed;
    }

    /** Steps with the same reason share it: {@code A; B (because …)}. */
    static String words(List<PlannedStep> steps) {
        StringBuilder text = new StringBuilder();
        String because = "";
        for (PlannedStep step : steps) {
            if (!text.isEmpty()) {
                text.append(step.because().equals(because) ? ", " : ", because " + because + "; ");
            }
            text.append(step.step());
            because = step.because();
        }
        return text.append(", because ").append(because).toString();
    }

    /**
     * What is neither a refusal of the host nor of the object. The API server's own troubles are logged: an Event could
     * not be written then, or would only repeat them. The rest is a defect of ours: logged with its stack, and told.
     */
    void unexpected(HasMetadata object, Reason reason, Exception e) {
        if (e instanceof ReconcileFailed) {
            return;
        }
        if (e instanceof KubernetesClientException) {
            log.atWarn()
                    .addKeyValue(
                            "object",
                            object.getMetadata().getNamespace() + "/"
                                    + object.getMetadata().getName())
                    .addKeyValue("cause", e.getMessage())
                    .log("the API server did not take it; it is tried again");
            return;
        }
        log.atError()
                .addKeyValue(
                        "object",
                        object.getMetadata().getNamespace() + "/"
                                + object.getMetadata().getName())
                .setCause(e)
                .log("reconcile failed unexpectedly; it is tried again");
        events.warning(object, reason, "unexpected error, tried again: " + e);
    }
}
