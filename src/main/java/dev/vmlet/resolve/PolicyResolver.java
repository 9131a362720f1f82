package dev.vmlet.resolve;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.OpenPort;
import dev.vmlet.model.Destination;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Whom the guests of a Network reach. What the object says in words that this agent does not know opens nothing. */
public final class PolicyResolver {
    private static final Comparator<ServicePort> PORTS =
            Comparator.comparing(ServicePort::protocol).thenComparingInt(ServicePort::port);

    private PolicyResolver() {}

    /**
     * @param networks those of its namespace
     * @throws IllegalArgumentException when an address or a port is none; the schema lets none of those through
     */
    static NetworkPolicy policy(Network network, List<Network> networks, HostNames names) {
        NetworkSpec spec = network.getSpec();
        if (spec == null) {
            return NetworkPolicy.PLAIN;
        }
        return new NetworkPolicy(
                isIsolated(network), peers(network, networks, names), egressAllow(spec), ports(spec.hostAccess()));
    }

    /** Isolation that this agent does not know by name is the strictest that it knows. */
    static boolean isIsolated(Network network) {
        return network.getSpec() != null && network.getSpec().isolation() != NetworkSpec.Isolation.None;
    }

    /** Whether the list of destinations has something that this agent can follow: else it allows nothing. */
    static boolean closesAll(Network network) {
        NetworkSpec spec = network.getSpec();
        return spec != null && spec.egressAllow() != null && egressAllow(spec).isEmpty();
    }

    private static List<LinkName> peers(Network network, List<Network> networks, HostNames names) {
        Set<LinkName> bridges = new TreeSet<>();
        for (String name : peerNames(network)) {
            mutual(network, name, networks)
                    .ifPresent(
                            peer -> bridges.add(names.bridge(peer.getMetadata().getUid())));
        }
        return List.copyOf(bridges);
    }

    private static Optional<Network> mutual(Network network, String name, List<Network> networks) {
        return networks.stream()
                .filter(other -> other.getMetadata().getName().equals(name)
                        && Objects.equals(
                                other.getMetadata().getNamespace(),
                                network.getMetadata().getNamespace())
                        && peerNames(other).contains(network.getMetadata().getName()))
                .findFirst();
    }

    /** Sorted, without the Network itself. */
    private static Set<String> peerNames(Network network) {
        Set<String> peers = new TreeSet<>();
        if (network.getSpec() != null && network.getSpec().peers() != null) {
            peers.addAll(network.getSpec().peers());
        }
        peers.remove(network.getMetadata().getName());
        return peers;
    }

    /** Peers of the Network that do not name it, or are not there; in order. */
    public static List<String> oneSided(Network network, List<Network> networks) {
        return peerNames(network).stream()
                .filter(name -> mutual(network, name, networks).isEmpty())
                .toList();
    }

    /** Whether the one names the other as its peer. */
    public static boolean names(Network namer, Network named) {
        return peerNames(namer).contains(named.getMetadata().getName());
    }

    private static List<ServicePort> ports(@Nullable List<OpenPort> asked) {
        Set<ServicePort> ports = new HashSet<>();
        for (OpenPort port : Objects.requireNonNullElse(asked, List.<OpenPort>of())) {
            port(port).ifPresent(ports::add);
        }
        return ports.stream().sorted(PORTS).toList();
    }

    static Optional<ServicePort> port(OpenPort asked) {
        return protocol(asked.protocol())
                .flatMap(
                        protocol -> Optional.ofNullable(asked.port()).map(number -> new ServicePort(protocol, number)));
    }

    static Optional<Protocol> protocol(OpenPort.@Nullable Protocol asked) {
        if (asked == null) {
            return Optional.empty();
        }
        return Optional.of(
                switch (asked) {
                    case TCP -> Protocol.TCP;
                    case UDP -> Protocol.UDP;
                });
    }

    /** nft takes no two members that overlap: a prefix within another one of the same port goes without saying. */
    private static List<Destination> egressAllow(NetworkSpec spec) {
        TreeMap<String, Set<Destination>> byPort = new TreeMap<>();
        for (NetworkSpec.Destination asked :
                Objects.requireNonNullElse(spec.egressAllow(), List.<NetworkSpec.Destination>of())) {
            if (asked.cidr() == null) {
                continue;
            }
            Ipv4Prefix cidr = Ipv4Prefix.parse(asked.cidr());
            if (asked.ports() == null) {
                byPort.computeIfAbsent("", _ -> new HashSet<>()).add(new Destination(cidr, Optional.empty()));
            }
            for (ServicePort port : ports(asked.ports())) {
                byPort.computeIfAbsent(port.toString(), _ -> new HashSet<>())
                        .add(new Destination(cidr, Optional.of(port)));
            }
        }
        List<Destination> widest = new ArrayList<>();
        byPort.values()
                .forEach(all -> all.stream()
                        .filter(one -> all.stream()
                                .noneMatch(other ->
                                        !other.equals(one) && other.cidr().contains(one.cidr())))
                        .sorted(Comparator.comparing(Destination::cidr))
                        .forEach(widest::add));
        return widest;
    }
}
