package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeSpec;
import dev.vmlet.api.VmNodeSpec.Tombstone;
import dev.vmlet.model.Reason;
import dev.vmlet.resolve.VmResolver;
import dev.vmlet.status.Tombstones;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.time.Clock;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets the objects of VMs go whose node is lost and will not take them down, where a person has said so and why. The
 * node's VmNode bears a tombstone first: should the node return after all, its agent takes the guest down by that, before
 * anything else, rather than keep it as an orphan.
 */
final class Burials {
    private static final Logger log = LoggerFactory.getLogger(Burials.class);
    private static final int LONGEST_REASON = 1024;

    private final EventRecorder events;
    private final Clock clock;
    /** The list on a VmNode is written whole. */
    private final Object writing = new Object();

    Burials(EventRecorder events, Clock clock) {
        this.events = events;
        this.clock = clock;
    }

    /**
     * @param vm of a node that is lost, as the API server has it
     * @param since when the node was last heard of
     */
    void consider(VirtualMachine vm, String node, Instant since, KubernetesClient client) {
        Optional<String> asked = asked(vm);
        if (asked.isEmpty() || !isOurs(vm)) {
            return;
        }
        if (vm.getMetadata().getDeletionTimestamp() == null) {
            events.warning(
                    vm,
                    Reason.ForceDeleteRefused,
                    "the annotation " + VirtualMachine.FORCE_DELETE + " counts on a VM that is being deleted: kubectl"
                            + " delete vm " + vm.getMetadata().getName() + " -n "
                            + vm.getMetadata().getNamespace() + " --wait=false");
            return;
        }
        String reason = asked.get().strip();
        if (reason.isEmpty()) {
            events.warning(
                    vm,
                    Reason.ForceDeleteRefused,
                    "the annotation " + VirtualMachine.FORCE_DELETE + " must say why, for whoever reads it later: "
                            + command(vm, "the machine burnt down"));
            return;
        }
        bury(vm, node, reason, since, client);
    }

    static Optional<String> asked(VirtualMachine vm) {
        return Optional.ofNullable(vm.getMetadata().getAnnotations())
                .flatMap(all -> Optional.ofNullable(all.get(VirtualMachine.FORCE_DELETE)));
    }

    private static boolean isOurs(VirtualMachine vm) {
        return vm.getMetadata().getFinalizers() != null
                && vm.getMetadata().getFinalizers().contains(VirtualMachineReconciler.FINALIZER);
    }

    static String command(VirtualMachine vm, String reason) {
        return "kubectl annotate vm " + vm.getMetadata().getName() + " -n "
                + vm.getMetadata().getNamespace() + " --overwrite '" + VirtualMachine.FORCE_DELETE + "=" + reason + "'";
    }

    private void bury(VirtualMachine vm, String node, String reason, Instant since, KubernetesClient client) {
        String words = "deleted by force: " + reason + ". Node " + node + " has not been heard of since "
                + since.truncatedTo(ChronoUnit.SECONDS)
                + "; should the guest still run there, the node takes it down when it returns, by the tombstone on its"
                + " VmNode";
        VmNode grave = put(vm, node, reason, client);
        events.warning(vm, Reason.ForceDeleted, words);
        events.warning(
                grave,
                Reason.ForceDeleted,
                "VM " + vm.getMetadata().getNamespace() + "/" + vm.getMetadata().getName() + " (uid "
                        + vm.getMetadata().getUid() + ") " + words);
        log.atWarn()
                .addKeyValue(
                        "vm",
                        vm.getMetadata().getNamespace() + "/" + vm.getMetadata().getName())
                .addKeyValue("uid", vm.getMetadata().getUid())
                .addKeyValue("node", node)
                .addKeyValue("reason", reason)
                .log("deleted by force");
        release(vm, client);
    }

    private VmNode put(VirtualMachine vm, String node, String reason, KubernetesClient client) {
        Tombstone stone = new Tombstone(
                vm.getMetadata().getUid(),
                vm.getMetadata().getNamespace(),
                vm.getMetadata().getName(),
                reason.length() <= LONGEST_REASON ? reason : reason.substring(0, LONGEST_REASON),
                clock.instant().truncatedTo(ChronoUnit.SECONDS).toString(),
                VmResolver.retained(vm));
        synchronized (writing) {
            VmNode there = client.resources(VmNode.class).withName(node).get();
            if (there == null) {
                // Somebody removed it. It has to be there for the node to find.
                VmNode made = new VmNode();
                made.setMetadata(new ObjectMetaBuilder()
                        .withName(node)
                        .withLabels(Map.of("kubernetes.io/hostname", node))
                        .build());
                there = client.resource(made).create();
            }
            boolean stands = Tombstones.of(there).stream()
                    .anyMatch(t -> vm.getMetadata().getUid().equals(t.uid()));
            return stands ? there : write(there, Tombstones.with(there, stone), client);
        }
    }

    /** Takes the stones away of which the node says that nothing is left; whether there were any. */
    boolean tidy(VmNode node, KubernetesClient client) {
        if (Tombstones.buried(node).isEmpty()) {
            return false;
        }
        synchronized (writing) {
            VmNode fresh = client.resource(node).get();
            if (fresh == null || Tombstones.buried(fresh).isEmpty()) {
                return false;
            }
            var _ = write(fresh, Tombstones.withoutBuried(fresh), client);
            return true;
        }
    }

    /** By server-side apply: the list is this manager's alone, and other fields are another's. Conflicts when the VmNode was changed since it was read. */
    private static VmNode write(VmNode read, List<Tombstone> stones, KubernetesClient client) {
        VmNode bare = new VmNode();
        bare.setMetadata(new ObjectMetaBuilder()
                .withName(read.getMetadata().getName())
                .withResourceVersion(read.getMetadata().getResourceVersion())
                .build());
        bare.setSpec(new VmNodeSpec(stones, null));
        return client.resource(bare)
                .patch(
                        new PatchContext.Builder()
                                .withPatchType(PatchType.SERVER_SIDE_APPLY)
                                .withFieldManager("vmlet-controller")
                                .withForce(true)
                                .build(),
                        bare);
    }

    private static void release(VirtualMachine vm, KubernetesClient client) {
        try {
            client.resources(VirtualMachine.class)
                    .inNamespace(vm.getMetadata().getNamespace())
                    .withName(vm.getMetadata().getName())
                    .edit(now -> {
                        // Another one of that name is none of our business.
                        if (now.getMetadata().getUid().equals(vm.getMetadata().getUid())) {
                            now.getMetadata().getFinalizers().remove(VirtualMachineReconciler.FINALIZER);
                        }
                        return now;
                    });
        } catch (KubernetesClientException e) {
            if (e.getCode() != 404) {
                throw e;
            }
            // Gone meanwhile.
        }
    }
}
