package dev.vmlet.controller;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.status.VmStatus;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import java.time.Clock;

/** The controller's part of VMs that no node has yet: says so. From the moment a node is set, its agent alone writes. */
public final class UnassignedReconciler implements Reconciler<VirtualMachine> {
    private final Clock clock;

    public UnassignedReconciler(Clock clock) {
        this.clock = clock;
    }

    @Override
    public UpdateControl<VirtualMachine> reconcile(VirtualMachine vm, Context<VirtualMachine> context) {
        if (vm.getSpec() == null || vm.getSpec().nodeName() != null) {
            return UpdateControl.noUpdate();
        }
        VirtualMachineStatus status = VmStatus.ofUnassigned(vm, clock.instant());
        if (status.equals(vm.getStatus())) {
            return UpdateControl.noUpdate();
        }
        VirtualMachine bare = new VirtualMachine();
        bare.setMetadata(new ObjectMetaBuilder()
                .withName(vm.getMetadata().getName())
                .withNamespace(vm.getMetadata().getNamespace())
                .build());
        bare.setStatus(status);
        return UpdateControl.patchStatus(bare);
    }
}
