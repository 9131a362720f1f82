package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.model.Reason;
import dev.vmlet.status.VmStatus;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.util.Optional;

/**
 * The controller's word on VMs whose node is lost: phase {@code Unknown}, reason {@code NodeLost}. The node's agent takes
 * the status back, by server-side apply, as soon as it is there again.
 */
public final class NodeLossReconciler implements Reconciler<Lease> {
    /** VMs that are put on a node which is lost already, and those that a person wants gone by force. */
    private static final Duration AGAIN = Duration.ofSeconds(30);

    /**
     * For so long the API server must have answered, before a node is told to be lost: while it does not, no agent can
     * renew its Lease, and the picture of the Leases here stands still besides. Twice the pause after which an agent
     * tries again.
     */
    private static final Duration ANSWERING = Duration.ofSeconds(20);

    private final LeaseWatch watch = new LeaseWatch();
    private final EventRecorder events;
    private final Burials burials;
    private final Clock clock;

    public NodeLossReconciler(EventRecorder events, Burials burials, Clock clock) {
        this.events = events;
        this.burials = burials;
        this.clock = clock;
    }

    @Override
    public UpdateControl<Lease> reconcile(Lease lease, Context<Lease> context) {
        return UpdateControl.<Lease>noUpdate().rescheduleAfter(judge(lease, context.getClient()));
    }

    /** @return when to judge again */
    Duration judge(Lease lease, KubernetesClient client) {
        String node = lease.getMetadata().getName();
        Instant now = clock.instant();
        Duration left = watch.left(node, renewed(lease), duration(lease), now);
        if (left.compareTo(ANSWERING) <= 0) {
            Optional<Lease> asked = ask(lease, client);
            if (asked.isEmpty()) {
                return AGAIN;
            }
            left = watch.left(node, renewed(asked.get()), duration(asked.get()), now);
        }
        if (left.compareTo(ANSWERING) > 0) {
            return left.minus(ANSWERING).plusMillis(100);
        }
        Duration unproved = ANSWERING.minus(watch.answering(node, now));
        Duration wait = left.compareTo(unproved) > 0 ? left : unproved;
        if (wait.compareTo(Duration.ZERO) > 0) {
            return wait.plusMillis(100);
        }
        tell(node, watch.since(node).orElse(now), now, client);
        return AGAIN;
    }

    /** The Lease as the API server has it now, past the cache; empty when it is gone. */
    private Optional<Lease> ask(Lease lease, KubernetesClient client) {
        try {
            return Optional.ofNullable(client.resource(lease).get());
        } catch (KubernetesClientException e) {
            watch.silent(lease.getMetadata().getName());
            throw e;
        }
    }

    private static Optional<Instant> renewed(Lease lease) {
        return Optional.ofNullable(lease.getSpec())
                .flatMap(spec -> Optional.ofNullable(spec.getRenewTime()))
                .map(ZonedDateTime::toInstant);
    }

    private static Duration duration(Lease lease) {
        return Optional.ofNullable(lease.getSpec())
                .flatMap(spec -> Optional.ofNullable(spec.getLeaseDurationSeconds()))
                .map(Duration::ofSeconds)
                .orElse(AgentSettings.LEASE);
    }

    private void tell(String node, Instant since, Instant now, KubernetesClient client) {
        // From the API server: what the agent wrote last must not be older than what is told over it.
        for (VirtualMachine vm : client.resources(VirtualMachine.class)
                .inAnyNamespace()
                .withField("spec.nodeName", node)
                .list()
                .getItems()) {
            burials.consider(vm, node, since, client);
            String uid = vm.getMetadata().getUid();
            if (watch.isTold(node, uid)) {
                continue;
            }
            if (!VmStatus.isLost(vm)) {
                patch(vm, VmStatus.ofLostNode(vm, node, since, now), client);
                events.warning(vm, Reason.NodeLost, VmStatus.lost(node, since));
            }
            watch.told(node, uid);
        }
    }

    private static void patch(VirtualMachine vm, VirtualMachineStatus status, KubernetesClient client) {
        VirtualMachine bare = new VirtualMachine();
        bare.setMetadata(new ObjectMetaBuilder()
                .withName(vm.getMetadata().getName())
                .withNamespace(vm.getMetadata().getNamespace())
                .build());
        bare.setStatus(status);
        try {
            client.resource(bare)
                    .subresource("status")
                    .patch(
                            new PatchContext.Builder()
                                    .withPatchType(PatchType.SERVER_SIDE_APPLY)
                                    .withFieldManager("vmlet-controller")
                                    .withForce(true)
                                    .build(),
                            bare);
        } catch (KubernetesClientException e) {
            if (e.getCode() != 404) {
                throw e;
            }
            // Deleted meanwhile.
        }
    }
}
