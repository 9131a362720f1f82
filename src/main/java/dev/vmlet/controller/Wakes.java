package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NicObservation;
import dev.vmlet.resolve.NetworkResolver;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.inbound.SimpleInboundEventSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;

/**
 * Turns what happens on the host into reconciles of exactly the objects concerned. Events only wake; the loop looks for
 * itself. Safe for use by several threads.
 */
public final class Wakes {
    private final SimpleInboundEventSource<VirtualMachine> vms = new SimpleInboundEventSource<>("host-vm");
    private final SimpleInboundEventSource<Network> networks = new SimpleInboundEventSource<>("host-network");
    private final SimpleInboundEventSource<VmNode> node = new SimpleInboundEventSource<>("host-node");
    private final Map<String, ResourceID> vmsByUid = new ConcurrentHashMap<>();
    private final Map<String, ResourceID> networksByUid = new ConcurrentHashMap<>();
    /** Owner uid by the name of a link; a deleted link can only be told by its name. */
    private final Map<LinkName, String> owners = new ConcurrentHashMap<>();
    /** VM uid by an address that the VM's status tells. */
    private final Map<String, String> addresses = new ConcurrentHashMap<>();

    /** Bridges of the operator's by the uid of the Network that names them; several may name one. */
    private final Map<String, LinkName> lans = new ConcurrentHashMap<>();

    /** Where the node's traffic leaves; empty before the first look. Written by the node's reconciler. */
    private volatile Optional<LinkName> uplink = Optional.empty();

    /** Why a monitor of the kernel's events does not hear, by its name. */
    private final Map<String, String> deaf = new ConcurrentSkipListMap<>();

    private final HostNames names;
    private final ResourceID nodeId;

    public Wakes(HostNames names, String nodeName) {
        this.names = names;
        this.nodeId = new ResourceID(nodeName);
    }

    SimpleInboundEventSource<VirtualMachine> vmSource() {
        return vms;
    }

    SimpleInboundEventSource<Network> networkSource() {
        return networks;
    }

    SimpleInboundEventSource<VmNode> nodeSource() {
        return node;
    }

    void knowVm(VirtualMachine vm) {
        String uid = vm.getMetadata().getUid();
        vmsByUid.put(uid, id(vm));
        if (vm.getSpec() != null && vm.getSpec().networks() != null) {
            vm.getSpec().networks().forEach(n -> {
                if (n.name() != null) {
                    owners.put(names.tap(uid, n.name()), uid);
                }
            });
        }
        if (vm.getStatus() != null && vm.getStatus().addresses() != null) {
            vm.getStatus().addresses().forEach(a -> {
                if (a.ip() != null) {
                    addresses.put(a.ip(), uid);
                }
            });
        }
    }

    void knowNetwork(Network network) {
        String uid = network.getMetadata().getUid();
        networksByUid.put(uid, id(network));
        owners.put(names.bridge(uid), uid);
        NetworkResolver.existingBridge(network).ifPresent(bridge -> lans.put(uid, bridge));
    }

    void forgetVm(VirtualMachine vm) {
        String uid = vm.getMetadata().getUid();
        vmsByUid.remove(uid);
        owners.values().removeIf(uid::equals);
        addresses.values().removeIf(uid::equals);
    }

    void forgetNetwork(String uid) {
        networksByUid.remove(uid);
        owners.values().removeIf(uid::equals);
        lans.remove(uid);
    }

    /** Uids of the Networks that were reconciled and not seen to go. */
    Set<String> networkUids() {
        return Set.copyOf(networksByUid.keySet());
    }

    private static ResourceID id(HasMetadata object) {
        return ResourceID.fromResource(object);
    }

    public void wakeVm(String uid) {
        ResourceID id = vmsByUid.get(uid);
        if (id != null) {
            vms.propagateEvent(id);
        }
    }

    public void wakeNetwork(String uid) {
        ResourceID id = networksByUid.get(uid);
        if (id != null) {
            networks.propagateEvent(id);
        }
    }

    /** What is true of a Network is said by its VMs too. */
    public void wakeNetworkAndItsVms(String uid) {
        wakeNetwork(uid);
        wakeVms();
    }

    /** The object that the uid belongs to, whatever its kind. */
    public void wakeOwner(String uid) {
        wakeVm(uid);
        wakeNetwork(uid);
    }

    public void wakeLink(LinkName link) {
        if (link.equals(NicObservation.CLUSTER_IPS)) {
            // While it is there no VM publishes a port, and from when it goes they do again.
            wakeVms();
            return;
        }
        String uid = owners.get(link);
        if (uid != null) {
            wakeOwner(uid);
        }
        lans.forEach((network, bridge) -> {
            if (bridge.equals(link)) {
                wakeNetwork(network);
            }
        });
    }

    /** The uid of the VM whose tap has this name; empty for any other link. */
    public Optional<String> vmOf(LinkName tap) {
        return Optional.ofNullable(owners.get(tap)).filter(vmsByUid::containsKey);
    }

    /** The VM whose address that is. */
    public void wakeAddress(Ipv4Address address) {
        String uid = addresses.get(address.toString());
        if (uid != null) {
            wakeVm(uid);
        }
    }

    void knowUplink(Optional<LinkName> link) {
        uplink = link;
    }

    /** The forwarding flag of a link was written: the bridge's is its Network's business, the uplink's the node's. */
    public void wakeForwarding(LinkName link) {
        if (uplink.equals(Optional.of(link))) {
            wakeNode();
        }
        wakeLink(link);
    }

    /** From now on, what changes is seen by the periodic passes only. */
    public void deaf(String monitor, String why) {
        deaf.put(monitor, why);
        wakeNode();
    }

    public void hears(String monitor) {
        deaf.remove(monitor);
        wakeNode();
    }

    /** Sentences about what of the kernel is not heard; empty where all is. */
    List<String> deafness() {
        return List.copyOf(deaf.values());
    }

    public void wakeNode() {
        node.propagateEvent(nodeId);
    }

    void wakeNetworks() {
        networksByUid.keySet().forEach(this::wakeNetwork);
    }

    public void wakeVms() {
        vmsByUid.keySet().forEach(this::wakeVm);
    }

    /** Events were lost: everything may have changed. */
    public void wakeAll() {
        wakeNode();
        wakeNetworks();
        wakeVms();
    }
}
