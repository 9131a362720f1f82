package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.UserData;
import dev.vmlet.resolve.VmResolver;
import io.fabric8.kubernetes.api.model.HasMetadata;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What each VM was last resolved to, and from what: the same values in give the same resolution out, so a VM at rest is
 * not resolved again at each pass. Printing its seed was half of what a node at rest computed. Safe for use by several
 * threads; one VM is asked for by one thread at a time.
 */
final class Resolutions {
    private record Version(String uid, String resourceVersion) {
        static Version of(HasMetadata object) {
            return new Version(
                    object.getMetadata().getUid(), object.getMetadata().getResourceVersion());
        }

        static List<Version> of(List<? extends HasMetadata> objects) {
            return objects.stream().map(Version::of).toList();
        }
    }

    /** All that a resolution depends on; an API object never changes without its resource version. */
    private record Inputs(
            Version vm, List<Version> networks, List<Version> slices, UserData userData, HostFacts host) {}

    private record Resolved(Inputs from, Resolution<DesiredVm> to) {}

    private final Map<String, Resolved> byVm = new ConcurrentHashMap<>();

    /** As {@link VmResolver#resolve}. */
    Resolution<DesiredVm> of(
            VirtualMachine vm, List<Network> networks, List<NetworkSlice> slices, UserData userData, HostFacts host) {
        Inputs inputs = new Inputs(Version.of(vm), Version.of(networks), Version.of(slices), userData, host);
        String uid = vm.getMetadata().getUid();
        Resolved last = byVm.get(uid);
        if (last != null && last.from.equals(inputs)) {
            return last.to;
        }
        Resolution<DesiredVm> resolution = VmResolver.resolve(vm, networks, slices, userData, host);
        byVm.put(uid, new Resolved(inputs, resolution));
        return resolution;
    }

    /** The VM is gone. */
    void forget(String vmUid) {
        byVm.remove(vmUid);
    }
}
