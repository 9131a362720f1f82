package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import io.javaoperatorsdk.operator.api.config.Cloner;

/**
 * Copies for reconcilers to keep and change. The framework's own writes the object as JSON and reads it again, twice a
 * pass: a fifth of what a node at rest computed. Spec and status of our kinds are records, which nobody can change, so
 * they are shared; metadata is copied, for finalizers and annotations are set in it.
 */
final class SharingCloner implements Cloner {
    private final KubernetesSerialization serialization;

    /** @param serialization for the kinds that are not ours */
    SharingCloner(KubernetesSerialization serialization) {
        this.serialization = serialization;
    }

    @Override
    public <R extends HasMetadata> R clone(R object) {
        HasMetadata copy = switch (object) {
            case VirtualMachine vm -> sharing(vm, new VirtualMachine());
            case Network network -> sharing(network, new Network());
            case NetworkSlice slice -> sharing(slice, new NetworkSlice());
            case VmNode node -> sharing(node, new VmNode());
            default -> serialization.clone(object);
        };
        @SuppressWarnings("unchecked") // of the same class as the object
        R same = (R) copy;
        return same;
    }

    private static <S, T, C extends CustomResource<S, T>> C sharing(C object, C copy) {
        copy.setMetadata(new ObjectMetaBuilder(object.getMetadata()).build());
        copy.setSpec(object.getSpec());
        copy.setStatus(object.getStatus());
        return copy;
    }
}
