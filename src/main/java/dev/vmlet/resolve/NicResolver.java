package dev.vmlet.resolve;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** A VM's NICs: Network, slice, address and MAC chosen. */
final class NicResolver {
    private NicResolver() {}

    /**
     * A NIC with what only the seed needs to know besides.
     *
     * @param prefix around its address; empty where its address comes from the LAN
     */
    record Nic(
            DesiredNic desired, Optional<Ipv4Prefix> prefix, Optional<Ipv4Address> gateway, List<String> nameservers) {}

    static List<Nic> nics(
            VirtualMachine vm,
            VirtualMachineSpec spec,
            Optional<VmRecord> record,
            List<Network> networks,
            List<NetworkSlice> slices,
            HostFacts host)
            throws Refusal {
        List<Nic> nics = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        PublishedPorts ports = new PublishedPorts(VmResolver.idOf(vm), host);
        List<VirtualMachineSpec.NetworkInterface> asked = spec.networks() == null ? List.of() : spec.networks();
        for (VirtualMachineSpec.NetworkInterface nic : asked) {
            if (nic.name() == null) {
                throw new Refusal(Reason.InvalidSpec, "an entry of spec.networks has no name");
            }
            if (!seen.add(nic.name())) {
                throw new Refusal(
                        Reason.InvalidSpec, "spec.networks names " + nic.name() + " twice; a VM is on a Network once");
            }
            nics.add(nic(vm, nic, ports.of(nic), record, networks, slices, host));
        }
        return nics;
    }

    private static Nic nic(
            VirtualMachine vm,
            VirtualMachineSpec.NetworkInterface asked,
            List<PublishedPort> ports,
            Optional<VmRecord> record,
            List<Network> networks,
            List<NetworkSlice> slices,
            HostFacts host)
            throws Refusal {
        String name = java.util.Objects.requireNonNull(asked.name());
        VmId id = VmResolver.idOf(vm);
        Network network = networks.stream()
                .filter(n -> n.getMetadata().getName().equals(name))
                .findFirst()
                .orElseThrow(() -> new Refusal(
                        Reason.NetworkNotFound,
                        "spec.networks[" + name + "]: there is no Network " + name + " in namespace " + id.namespace()
                                + "; create it or correct the name"));
        NetworkId networkId =
                new NetworkId(id.namespace(), name, network.getMetadata().getUid());
        Optional<DesiredNic> kept = record.flatMap(r -> r.nics().stream()
                .filter(n -> n.network().uid().equals(networkId.uid()))
                .findFirst());
        if (network.getMetadata().getDeletionTimestamp() != null && kept.isEmpty()) {
            throw new Refusal(
                    Reason.NetworkBeingDeleted,
                    "spec.networks[" + name
                            + "]: the Network is being deleted and takes no new VM; it goes when no VM names"
                            + " it any more, so delete this VM too, or name another Network");
        }
        // A Network that was taken away by force and made again: the one that this VM is on stands in the new one's way
        // until the VM has left it, so the new one's trouble must not keep the VM where it is.
        boolean standsInTheWay = record.stream()
                .flatMap(r -> r.nics().stream())
                .anyMatch(n -> n.network().namespace().equals(networkId.namespace())
                        && n.network().name().equals(name)
                        && !n.network().uid().equals(networkId.uid()));
        Optional<LinkName> lan = NetworkResolver.existingBridge(network);
        if (lan.isPresent()) {
            return LanNics.nic(id, asked, network, networkId, lan.get(), slices, kept, host);
        }
        Ipv4Prefix slice = slice(network, name, slices, kept, standsInTheWay, host);
        Ipv4Address ip = address(
                asked.address(),
                slice,
                kept,
                kept.isPresent() ? Optional.empty() : told(vm, name, slice),
                networkId,
                id,
                name,
                host);
        HostNames names = new HostNames(host.installation());
        refuseFullBridge(networkId, names.bridge(networkId.uid()), id, kept, host);
        MacAddress mac = mac(asked.macAddress(), id, networkId, names.bridge(networkId.uid()), name, host);
        int mtu = network.getSpec() == null || network.getSpec().mtu() == null
                ? 1500
                : network.getSpec().mtu();
        DesiredNic desired = new DesiredNic(
                networkId,
                names.bridge(networkId.uid()),
                Mark.ofNetwork(host.installation(), networkId.uid()),
                names.tap(id.uid(), name),
                Mark.ofNic(host.installation(), id.uid(), networkId.uid()),
                mac,
                ip,
                mtu,
                PolicyResolver.isIsolated(network),
                ports);
        return new Nic(
                desired,
                Optional.of(slice),
                Optional.of(slice.network().plus(1)),
                NetworkResolver.nameservers(network));
    }

    /** The kernel would say so too, but only at the start, and in its own words. */
    static void refuseFullBridge(NetworkId network, LinkName bridge, VmId id, Optional<DesiredNic> kept, HostFacts host)
            throws Refusal {
        long others = host.records().stream()
                        .filter(r -> !r.id().uid().equals(id.uid())
                                && r.nics().stream().anyMatch(n -> n.bridge().equals(bridge)))
                        .count()
                + host.reservations().stream()
                        .filter(r -> !r.vmUid().equals(id.uid())
                                && r.nics().stream()
                                        .anyMatch(n -> n.networkUid().equals(network.uid())))
                        .count();
        if (kept.isEmpty() && others >= Link.BRIDGE_PORTS_MAX) {
            throw new Refusal(
                    Reason.BridgePortsExhausted,
                    "spec.networks[" + network.name() + "]: all " + Link.BRIDGE_PORTS_MAX + " ports of the bridge of"
                            + " Network " + network.name() + " on node " + host.nodeName()
                            + " belong to VMs; delete one, or put this VM on another Network or another node");
        }
    }

    /** Where the record is lost: the address that the status names stays the VM's while it lies in the slice. */
    private static Optional<Ipv4Address> told(VirtualMachine vm, String network, Ipv4Prefix slice) {
        return Statuses.told(vm).nics().stream()
                .filter(nic -> nic.network().equals(network))
                .flatMap(nic -> parse(nic.ip()).stream())
                .filter(ip -> slice.contains(ip) && !isReserved(ip, slice))
                .findFirst();
    }

    private static Ipv4Prefix slice(
            Network network,
            String name,
            List<NetworkSlice> slices,
            Optional<DesiredNic> kept,
            boolean standsInTheWay,
            HostFacts host)
            throws Refusal {
        if (network.getStatus() == null || network.getStatus().cidr() == null) {
            Optional<String> why = NetworkResolver.problem(network);
            throw new Refusal(
                    Reason.WaitingForCidr,
                    "Network " + name + " has no CIDR yet: "
                            + why.orElse("the controller has not chosen one; is vmlet controller running?"));
        }
        NetworkSlice slice = NetworkResolver.sliceOf(network, slices, host.nodeName())
                .orElseThrow(() ->
                        new Refusal(Reason.NetworkNotReady, "Network " + name + " has no slice for this node yet"));
        if (slice.getStatus() == null && kept.isEmpty()) {
            // It may overlap the host's own addresses: no address of it is given out before that is known.
            throw new Refusal(
                    Reason.NetworkNotReady, "this node's slice of Network " + name + " has not been looked at yet");
        }
        if (!standsInTheWay
                && slice.getStatus() != null
                && Boolean.FALSE.equals(slice.getStatus().ready())
                && Reason.CidrOverlaps.name().equals(slice.getStatus().reason())) {
            throw new Refusal(
                    Reason.NetworkNotReady,
                    "Network " + name + " cannot be realised on this node: "
                            + slice.getStatus().message());
        }
        return NetworkResolver.cidrOf(slice);
    }

    private static Ipv4Address address(
            @Nullable String asked,
            Ipv4Prefix slice,
            Optional<DesiredNic> kept,
            Optional<Ipv4Address> told,
            NetworkId network,
            VmId id,
            String name,
            HostFacts host)
            throws Refusal {
        if (asked == null && kept.isPresent() && slice.contains(kept.get().ip())) {
            return kept.get().ip();
        }
        // Plain loops here and below: each VM asks this of each other, at every pass.
        Set<Ipv4Address> taken = new HashSet<>();
        for (VmRecord other : host.records()) {
            if (!other.id().uid().equals(id.uid())) {
                for (DesiredNic nic : other.nics()) {
                    // A guest on a LAN of the operator's may have an address of this slice: it keeps it to itself.
                    if (nic.network().uid().equals(network.uid()) || nic.isOnExistingBridge()) {
                        taken.add(nic.ip());
                    }
                }
            }
        }
        for (Reservation other : host.reservations()) {
            if (!other.vmUid().equals(id.uid())) {
                // Which of its Networks is on a LAN, it does not tell.
                other.nics().forEach(n -> parse(n.ip()).ifPresent(taken::add));
            }
        }
        if (asked == null && told.isPresent() && !taken.contains(told.get())) {
            return told.get();
        }
        String field = "spec.networks[" + name + "].address";
        Optional<String> held = kept.map(DesiredNic::ip).or(() -> told).map(Ipv4Address::toString);
        if (held.isEmpty() || !held.get().equals(asked) && !(asked == null && kept.isPresent())) {
            VmResolver.refuseWhileUnknown("address", id, host);
        }
        if (asked != null) {
            Ipv4Address ip = Ipv4Address.parse(asked);
            if (!slice.contains(ip)) {
                throw new Refusal(
                        Reason.AddressOutsideSlice,
                        field + " " + ip + " lies outside " + slice + ", this node's slice of Network " + name
                                + "; choose one inside or leave it out");
            }
            if (isReserved(ip, slice)) {
                throw new Refusal(
                        Reason.AddressReserved,
                        field + " " + ip + " is the gateway's, the network's or the broadcast address of " + slice
                                + "; choose another");
            }
            if (taken.contains(ip)) {
                throw new Refusal(Reason.AddressTaken, field + " " + ip + " belongs to " + holder(ip, network, host));
            }
            return ip;
        }
        for (Ipv4Address ip = slice.network().plus(2); slice.contains(ip) && !isReserved(ip, slice); ip = ip.plus(1)) {
            if (!taken.contains(ip)) {
                return ip;
            }
        }
        throw new Refusal(
                Reason.AddressesExhausted,
                "all addresses of " + slice + ", this node's slice of Network " + name
                        + ", belong to VMs; delete one, or use a Network with larger slices (spec.nodePrefixLength)");
    }

    private static boolean isReserved(Ipv4Address ip, Ipv4Prefix slice) {
        return ip.equals(slice.network()) || ip.equals(slice.network().plus(1)) || ip.equals(slice.last());
    }

    private static String holder(Ipv4Address ip, NetworkId network, HostFacts host) {
        for (VmRecord other : host.records()) {
            for (DesiredNic nic : other.nics()) {
                if (nic.ip().equals(ip) && nic.network().uid().equals(network.uid())) {
                    return "VM " + other.id() + "; choose another";
                }
                if (nic.ip().equals(ip) && nic.isOnExistingBridge()) {
                    return "VM " + other.id() + LanNics.apart(nic);
                }
            }
        }
        return host.reservations().stream()
                        .filter(r -> r.nics().stream().anyMatch(n -> n.ip().equals(ip.toString())))
                        .map(NicResolver::name)
                        .findFirst()
                        .orElse("unknown")
                + "; choose another";
    }

    static String name(Reservation kept) {
        return "the VM of the unreadable record " + kept.file();
    }

    private static Optional<Ipv4Address> parse(String text) {
        try {
            return Optional.of(Ipv4Address.parse(text));
        } catch (IllegalArgumentException e) {
            // No address, so nobody can be given it.
            return Optional.empty();
        }
    }

    static MacAddress mac(
            @Nullable String asked, VmId id, NetworkId network, LinkName bridge, String name, HostFacts host)
            throws Refusal {
        MacAddress mac = asked == null ? HostNames.nicMac(id.uid(), name) : new MacAddress(asked);
        for (VmRecord other : host.records()) {
            for (DesiredNic nic : other.nics()) {
                if (nic.mac().equals(mac)
                        && nic.bridge().equals(bridge)
                        && !other.id().uid().equals(id.uid())) {
                    throw new Refusal(
                            Reason.MacAddressTaken,
                            "spec.networks[" + name + "].macAddress " + mac + " belongs to VM " + other.id()
                                    + "; choose another");
                }
            }
        }
        for (Reservation other : host.reservations()) {
            if (!other.vmUid().equals(id.uid())
                    && other.nics().stream()
                            .anyMatch(n -> n.networkUid().equals(network.uid())
                                    && n.mac().equals(mac.value()))) {
                throw new Refusal(
                        Reason.MacAddressTaken,
                        "spec.networks[" + name + "].macAddress " + mac + " belongs to " + name(other)
                                + "; choose another");
            }
        }
        return mac;
    }
}
