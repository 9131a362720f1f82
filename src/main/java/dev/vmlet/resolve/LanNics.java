package dev.vmlet.resolve;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceStatus;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** NICs on a bridge of the operator's: their addresses are the LAN's, asked for by the object or given by its DHCP. */
final class LanNics {
    private static final int ETHERNET = 1500;
    private static final String CHOOSE = "; choose another";

    private LanNics() {}

    static NicResolver.Nic nic(
            VmId id,
            VirtualMachineSpec.NetworkInterface asked,
            Network network,
            NetworkId networkId,
            LinkName bridge,
            List<NetworkSlice> slices,
            Optional<DesiredNic> kept,
            HostFacts host)
            throws Refusal {
        String name = networkId.name();
        NetworkSpec spec = Objects.requireNonNull(network.getSpec());
        if (asked.ports() != null && !asked.ports().isEmpty()) {
            throw new Refusal(
                    Reason.InvalidSpec,
                    "spec.networks[" + name + "].ports: Network " + name + " is on bridge " + bridge
                            + " of the operator's, where the guest is reached at an address of the LAN and nothing is"
                            + " published on the node; leave ports out");
        }
        int mtu = mtu(network, name, slices, kept, host);
        Optional<Ipv4Prefix> prefix = Optional.ofNullable(spec.cidr()).map(Ipv4Prefix::parse);
        Optional<Ipv4Address> gateway = Optional.ofNullable(spec.gateway()).map(Ipv4Address::parse);
        Ipv4Address ip = address(asked.address(), prefix, gateway, bridge, id, name, kept, host);
        NicResolver.refuseFullBridge(networkId, bridge, id, kept, host);
        HostNames names = new HostNames(host.installation());
        DesiredNic desired = new DesiredNic(
                networkId,
                bridge,
                new Mark(""),
                names.tap(id.uid(), name),
                Mark.ofNic(host.installation(), id.uid(), networkId.uid()),
                NicResolver.mac(asked.macAddress(), id, networkId, bridge, name, host),
                ip,
                mtu,
                PolicyResolver.isIsolated(network),
                List.of());
        return desired.usesDhcp()
                ? new NicResolver.Nic(desired, Optional.empty(), Optional.empty(), NetworkResolver.nameservers(network))
                : new NicResolver.Nic(desired, prefix, gateway, NetworkResolver.nameservers(network));
    }

    /** As this node's agent last saw it; a VM that was here before can go on without. */
    private static int mtu(
            Network network, String name, List<NetworkSlice> slices, Optional<DesiredNic> kept, HostFacts host)
            throws Refusal {
        Optional<NetworkSliceStatus> seen = NetworkResolver.sliceOf(network, slices, host.nodeName())
                .flatMap(slice -> Optional.ofNullable(slice.getStatus()));
        if (kept.isEmpty() && seen.isEmpty()) {
            throw new Refusal(Reason.NetworkNotReady, "Network " + name + " has not been looked at on this node yet");
        }
        if (kept.isEmpty() && !Boolean.TRUE.equals(seen.get().ready())) {
            boolean missing = Reason.BridgeMissing.name().equals(seen.get().reason());
            throw new Refusal(
                    missing ? Reason.BridgeMissing : Reason.NetworkNotReady,
                    "Network " + name + " cannot be used on this node: "
                            + seen.get().message());
        }
        return seen.flatMap(status -> Optional.ofNullable(status.mtu()))
                .or(() -> kept.map(DesiredNic::mtu))
                .orElse(ETHERNET);
    }

    private static Ipv4Address address(
            @Nullable String asked,
            Optional<Ipv4Prefix> prefix,
            Optional<Ipv4Address> gateway,
            LinkName bridge,
            VmId id,
            String name,
            Optional<DesiredNic> kept,
            HostFacts host)
            throws Refusal {
        if (asked == null) {
            return Ipv4Address.UNSPECIFIED;
        }
        String field = "spec.networks[" + name + "].address";
        Ipv4Address ip = Ipv4Address.parse(asked);
        if (prefix.isEmpty()) {
            throw new Refusal(
                    Reason.InvalidSpec,
                    field + " " + ip + " needs the LAN's prefix length, and Network " + name
                            + " has no cidr; give the Network its LAN's cidr, or leave the address to the LAN's DHCP");
        }
        if (!prefix.get().contains(ip)) {
            throw new Refusal(
                    Reason.AddressOutsideSlice,
                    field + " " + ip + " lies outside " + prefix.get() + ", the LAN of Network " + name
                            + "; choose one inside, or leave it to the LAN's DHCP");
        }
        if (ip.equals(prefix.get().network()) || ip.equals(prefix.get().last()) || gateway.equals(Optional.of(ip))) {
            throw new Refusal(
                    Reason.AddressReserved,
                    field + " " + ip + " is the gateway's, the network's or the broadcast address of " + prefix.get()
                            + "; choose another");
        }
        Optional<String> holder = holder(ip, bridge, id, host);
        if (holder.isPresent()) {
            throw new Refusal(Reason.AddressTaken, field + " " + ip + " belongs to " + holder.get());
        }
        if (kept.filter(nic -> nic.ip().equals(ip)).isEmpty()) {
            VmResolver.refuseWhileUnknown("address", id, host);
        }
        return ip;
    }

    /**
     * Who has the address, and what to do, whatever the Network: several may be on one LAN, and the firewall tells a node's
     * guests apart by address alone, for a packet does not say which bridge it is on. Of other nodes' VMs the LAN itself
     * tells, by ARP.
     */
    private static Optional<String> holder(Ipv4Address ip, LinkName bridge, VmId id, HostFacts host) {
        for (VmRecord other : host.records()) {
            if (!other.id().uid().equals(id.uid())) {
                for (DesiredNic nic : other.nics()) {
                    if (nic.ip().equals(ip)) {
                        return Optional.of("VM " + other.id() + (nic.bridge().equals(bridge) ? CHOOSE : apart(nic)));
                    }
                }
            }
        }
        return host.reservations().stream()
                .filter(other -> !other.vmUid().equals(id.uid())
                        && other.nics().stream().anyMatch(nic -> nic.ip().equals(ip.toString())))
                .map(other -> NicResolver.name(other) + CHOOSE)
                .findFirst();
    }

    /** Of a NIC that is on another bridge than the one that is to have its address. */
    static String apart(DesiredNic nic) {
        return " on bridge " + nic.bridge() + ", and a node tells its guests apart by address, also where they are on"
                + " different LANs; choose another, or put one of the two VMs on another node";
    }
}
