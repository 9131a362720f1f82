package dev.vmlet.controller;

import dev.vmlet.api.VmNode;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;

/** Takes tombstones away whose node says that it has done what they ask for. */
public final class TombstoneReconciler implements Reconciler<VmNode> {
    private final Burials burials;

    TombstoneReconciler(Burials burials) {
        this.burials = burials;
    }

    @Override
    public UpdateControl<VmNode> reconcile(VmNode node, Context<VmNode> context) {
        boolean _ = burials.tidy(node, context.getClient());
        return UpdateControl.noUpdate();
    }
}
