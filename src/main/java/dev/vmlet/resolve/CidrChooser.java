package dev.vmlet.resolve;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.model.CidrChoice;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Reason;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/** The controller's choice of a Network's CIDR. */
public final class CidrChooser {
    /** Length of the prefix that a Network without a wish gets. */
    static final int DEFAULT_LENGTH = 20;

    private CidrChooser() {}

    /**
     * @param others every other Network of the cluster
     * @param cluster ranges of pods, Services and nodes that no Network may overlap
     */
    public static CidrChoice choose(Network network, List<Network> others, List<Ipv4Prefix> cluster, Ipv4Prefix pool) {
        NetworkSpec spec = network.getSpec();
        if (spec != null && spec.existingBridge() != null) {
            return new CidrChoice.Lan(Objects.requireNonNull(spec.existingBridge()));
        }
        if (spec != null && spec.cidr() != null) {
            return asked(Objects.requireNonNull(spec.cidr()), others, cluster);
        }
        int nodeLength = spec == null || spec.nodePrefixLength() == null ? 24 : spec.nodePrefixLength();
        int length = Math.max(pool.length(), Math.min(DEFAULT_LENGTH, nodeLength));
        for (long i = 0; i < pool.count(length); i++) {
            Ipv4Prefix candidate = pool.slice(length, i);
            if (clash(candidate, others, cluster).isEmpty()) {
                return new CidrChoice.Chosen(candidate);
            }
        }
        return new CidrChoice.Refused(
                Reason.PoolExhausted,
                "no /" + length + " of the pool " + pool + " is free; delete a Network, give spec.cidr, or run the"
                        + " controller with a larger --network-pool");
    }

    private static CidrChoice asked(String text, List<Network> others, List<Ipv4Prefix> cluster) {
        Ipv4Prefix cidr;
        try {
            cidr = Ipv4Prefix.parse(text);
        } catch (IllegalArgumentException e) {
            return new CidrChoice.Refused(Reason.InvalidSpec, "spec.cidr: " + e.getMessage());
        }
        Optional<String> clash = clash(cidr, others, cluster);
        return clash.<CidrChoice>map(with -> new CidrChoice.Refused(
                        Reason.CidrOverlaps,
                        "spec.cidr " + cidr + " overlaps " + with + "; create the Network with another cidr"))
                .orElseGet(() -> new CidrChoice.Chosen(cidr));
    }

    private static Optional<String> clash(Ipv4Prefix candidate, List<Network> others, List<Ipv4Prefix> cluster) {
        for (Ipv4Prefix range : cluster) {
            if (range.overlaps(candidate)) {
                return Optional.of(range + ", a range of the cluster's own");
            }
        }
        for (Network other : others) {
            if (other.getStatus() != null && other.getStatus().cidr() != null) {
                Ipv4Prefix taken = Ipv4Prefix.parse(
                        Objects.requireNonNull(other.getStatus().cidr()));
                if (taken.overlaps(candidate)) {
                    return Optional.of(taken + " of Network "
                            + other.getMetadata().getNamespace() + "/"
                            + other.getMetadata().getName());
                }
            }
        }
        return Optional.empty();
    }
}
