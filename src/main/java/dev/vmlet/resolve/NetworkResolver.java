package dev.vmlet.resolve;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Route;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/** What a Network asks of this node. */
public final class NetworkResolver {
    private NetworkResolver() {}

    /**
     * What of this host a slice must not overlap. The reader leaves out the Network's own bridge, and no other of ours:
     * the guests of a Network whose object was taken away by force still have its addresses.
     *
     * @param realised Networks that are realised on this node
     */
    public record HostAddressing(
            Map<LinkName, Set<InterfaceAddress>> addresses, List<Route> routes, List<NetworkRecord> realised) {
        public HostAddressing {
            addresses = Map.copyOf(addresses);
            routes = List.copyOf(routes);
            realised = List.copyOf(realised);
        }
    }

    /** The bridge of the operator's that the Network names. */
    public static Optional<LinkName> existingBridge(Network network) {
        return Optional.ofNullable(network.getSpec())
                .flatMap(spec -> Optional.ofNullable(spec.existingBridge()))
                .map(LinkName::new);
    }

    public static NetworkId idOf(Network network) {
        return new NetworkId(
                network.getMetadata().getNamespace(),
                network.getMetadata().getName(),
                network.getMetadata().getUid());
    }

    /**
     * @param networks those of its namespace, for its peers
     * @param used a VM of this node is on the Network, or was and has not been taken down yet
     * @param realised the subnet that is realised already; its overlaps were judged when it was taken
     */
    public static Resolution<DesiredNetwork> resolve(
            Network network,
            List<Network> networks,
            List<NetworkSlice> slices,
            String nodeName,
            boolean used,
            Optional<Ipv4Prefix> realised,
            HostAddressing host,
            InstallationId installation) {
        NetworkSpec spec = network.getSpec();
        boolean always = spec != null
                && spec.realize() == NetworkSpec.Realize.Always
                && network.getMetadata().getDeletionTimestamp() == null;
        // On a bridge of the operator's nothing is ours to make.
        if (!used && !always || existingBridge(network).isPresent()) {
            return new Resolution.Absent<>();
        }
        if (network.getStatus() == null || network.getStatus().cidr() == null) {
            return new Resolution.Unresolved<>(
                    Reason.WaitingForCidr, problem(network).orElse(Reason.WaitingForCidr.sentence()));
        }
        Optional<NetworkSlice> slice = sliceOf(network, slices, nodeName);
        if (slice.isEmpty()) {
            return new Resolution.Unresolved<>(Reason.NetworkNotReady, "this node has no slice of the Network yet");
        }
        NetworkId id = idOf(network);
        Ipv4Prefix subnet;
        try {
            subnet = cidrOf(slice.get());
        } catch (IllegalArgumentException e) {
            return new Resolution.Unresolved<>(Reason.InvalidSpec, Objects.requireNonNullElse(e.getMessage(), ""));
        }
        if (!realised.equals(Optional.of(subnet))) {
            Optional<String> other = host.realised().stream()
                    .filter(record -> !record.id().uid().equals(id.uid())
                            && record.realised().subnet().overlaps(subnet))
                    .map(record ->
                            "Network " + record.id() + " (uid " + record.id().uid() + "), which is "
                                    + record.realised().subnet() + " on this node")
                    .findFirst();
            if (other.isPresent()) {
                return new Resolution.Unresolved<>(
                        Reason.CidrOverlaps,
                        "slice " + subnet + " overlaps " + other.get() + "; restart or delete the VMs that are"
                                + " still on that Network, or use a Network with another cidr");
            }
            Optional<String> overlap = overlap(subnet, host);
            if (overlap.isPresent()) {
                return new Resolution.Unresolved<>(
                        Reason.CidrOverlaps,
                        "slice " + subnet + " overlaps " + overlap.get() + " of this node; use a Network with another"
                                + " cidr, or keep the range out of --network-pool");
            }
        }
        HostNames names = new HostNames(installation);
        NetworkPolicy policy;
        boolean masquerade;
        try {
            policy = PolicyResolver.policy(network, networks, names);
            // Unknown means the narrower of the two: an agent older than the CRD opens nothing.
            masquerade = spec != null
                    && spec.egress() == NetworkSpec.Egress.Masquerade
                    && !PolicyResolver.closesAll(network);
        } catch (IllegalArgumentException e) {
            return new Resolution.Unresolved<>(Reason.InvalidSpec, Objects.requireNonNullElse(e.getMessage(), ""));
        }
        return new Resolution.Desired<>(new DesiredNetwork(
                id,
                names.bridge(id.uid()),
                names.bridgeMac(id.uid()),
                Mark.ofNetwork(installation, id.uid()),
                subnet,
                spec == null || spec.mtu() == null ? 1500 : spec.mtu(),
                masquerade ? Egress.MASQUERADE : Egress.NONE,
                policy));
    }

    /** The first address or route of the host that the prefix overlaps, as words; the default route overlaps nothing. */
    static Optional<String> overlap(Ipv4Prefix subnet, HostAddressing host) {
        for (var link : new java.util.TreeMap<>(host.addresses()).entrySet()) {
            for (InterfaceAddress address : link.getValue()) {
                if (address.prefix().overlaps(subnet)) {
                    return Optional.of("address " + address + " on " + link.getKey());
                }
            }
        }
        for (Route route : host.routes()) {
            if (route.destination().length() > 0 && route.destination().overlaps(subnet)) {
                return Optional.of("the route to " + route.destination() + " by " + route.device());
            }
        }
        return Optional.empty();
    }

    /** This node's slice of the Network; the lowest index where a race left two. */
    public static Optional<NetworkSlice> sliceOf(Network network, List<NetworkSlice> slices, String nodeName) {
        return slices.stream()
                .filter(s -> s.getSpec() != null
                        && network.getMetadata().getName().equals(s.getSpec().network())
                        && nodeName.equals(s.getSpec().nodeName())
                        && (s.getSpec().cidr() != null
                                || existingBridge(network).isPresent())
                        && ownedBy(s, network))
                .min(
                        existingBridge(network).isPresent()
                                ? java.util.Comparator.comparing(
                                        s -> s.getMetadata().getName())
                                : java.util.Comparator.comparing(NetworkResolver::cidrOf));
    }

    /** A slice of an earlier Network of the same name is not this one's. */
    private static boolean ownedBy(NetworkSlice slice, Network network) {
        return slice.getMetadata().getOwnerReferences() != null
                && slice.getMetadata().getOwnerReferences().stream()
                        .anyMatch(o -> network.getMetadata().getUid().equals(o.getUid()));
    }

    static Ipv4Prefix cidrOf(NetworkSlice slice) {
        return Ipv4Prefix.parse(
                Objects.requireNonNull(Objects.requireNonNull(slice.getSpec()).cidr()));
    }

    /** Why the controller has not given the Network a CIDR, as its conditions say. */
    static Optional<String> problem(Network network) {
        if (network.getStatus() == null || network.getStatus().conditions() == null) {
            return Optional.empty();
        }
        return network.getStatus().conditions().stream()
                .filter(c -> "Ready".equals(c.type())
                        && c.status() == dev.vmlet.api.Condition.Status.False
                        && c.message() != null)
                .map(c -> Objects.requireNonNull(c.message()))
                .findFirst();
    }

    static List<String> nameservers(Network network) {
        NetworkSpec spec = network.getSpec();
        if (spec == null || spec.dns() == null || spec.dns().nameservers() == null) {
            return List.of();
        }
        return List.copyOf(spec.dns().nameservers());
    }
}
