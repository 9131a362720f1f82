package dev.vmlet.controller;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceSpec;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.resolve.NetworkResolver;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * Takes a node's slice of a Network. The API server's uniqueness of names is the allocator: whoever creates {@code
 * <network>-<index>} has that slice. One list says which indexes are free; the first is tried, and whoever loses it to
 * another node goes on somewhere else among the free ones, so that two hundred nodes that begin together do not queue up
 * behind each other.
 */
final class SliceClaims {
    /** After so many lost races the list is read again: most of what it said was free is not. */
    private static final int LOST_MAX = 4;

    /** Of a Network with millions of slices some are as good as all. */
    private static final int CONSIDERED_MAX = 4096;

    private final String nodeName;
    private final String finalizer;

    /**
     * What is given out: equal parts of a CIDR, or, of the operator's LAN, places for nodes to tell how they see it.
     *
     * @param length of each part; of no meaning without a CIDR
     */
    private record Slots(Optional<Ipv4Prefix> cidr, int length) {
        private static final int NODES_MAX = 65_536;

        static Slots of(Network network) {
            if (NetworkResolver.existingBridge(network).isPresent()) {
                return new Slots(Optional.empty(), 0);
            }
            Ipv4Prefix cidr = Ipv4Prefix.parse(Objects.requireNonNull(
                    Objects.requireNonNull(network.getStatus()).cidr()));
            int asked = network.getSpec() == null || network.getSpec().nodePrefixLength() == null
                    ? 24
                    : network.getSpec().nodePrefixLength();
            return new Slots(Optional.of(cidr), Math.max(asked, cidr.length()));
        }

        long count() {
            return cidr.map(c -> c.count(length)).orElse((long) NODES_MAX);
        }

        Optional<Ipv4Prefix> at(long index) {
            return cidr.map(c -> c.slice(length, index));
        }

        @Override
        public String toString() {
            return cidr.map(c -> " of /" + length + " in " + c).orElse("");
        }
    }

    SliceClaims(String nodeName, String finalizer) {
        this.nodeName = nodeName;
        this.finalizer = finalizer;
    }

    /**
     * Returns when this node has a slice; its object comes back as an event.
     *
     * @param network with its CIDR chosen
     * @param had the slice that is realised on this node, which is tried first: where only our object was lost, guests
     *     keep their addresses and their gateway
     * @return why there is none, for a person; empty: it is taken
     * @throws KubernetesClientException when the API server refuses anything but a name that is taken
     */
    Optional<String> take(Network network, Optional<Ipv4Prefix> had, KubernetesClient client) {
        Slots slots = Slots.of(network);
        long count = slots.count();
        // Each reading finds more of them taken, so that this ends.
        for (long reading = 0; reading <= count; reading++) {
            List<NetworkSlice> there = client.resources(NetworkSlice.class)
                    .inNamespace(network.getMetadata().getNamespace())
                    .withField("spec.network", network.getMetadata().getName())
                    .list()
                    .getItems();
            if (NetworkResolver.sliceOf(network, there, nodeName).isPresent()) {
                // Ours from an earlier pass; the cache has not seen it yet.
                return Optional.empty();
            }
            Set<Long> free = free(network, there, count);
            if (free.isEmpty()) {
                break;
            }
            for (int lost = 0; lost < LOST_MAX && !free.isEmpty(); lost++) {
                long index = candidate(free, had, slots, reading + lost);
                if (create(network, slots.at(index), index, client)) {
                    return Optional.empty();
                }
                free.remove(index);
            }
        }
        return Optional.of("all " + count + " slices" + slots + " belong to other nodes, none is left for node "
                + nodeName + "; use a Network with a larger cidr or a longer nodePrefixLength");
    }

    /** Names decide, whoever owns them. */
    private static Set<Long> free(Network network, List<NetworkSlice> there, long count) {
        String prefix = network.getMetadata().getName() + "-";
        Set<String> names = there.stream().map(s -> s.getMetadata().getName()).collect(Collectors.toSet());
        return LongStream.range(0, count)
                .filter(i -> !names.contains(prefix + i))
                .limit(CONSIDERED_MAX)
                .boxed()
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** The one that was had; else at first the lowest; else one that another node would hardly choose as well. */
    private long candidate(Set<Long> free, Optional<Ipv4Prefix> had, Slots slots, long attempt) {
        if (attempt == 0) {
            return free.stream()
                    .filter(i -> had.isPresent() && had.equals(slots.at(i)))
                    .findFirst()
                    .orElseGet(() -> free.iterator().next());
        }
        int at = Math.floorMod(Objects.hash(nodeName, attempt) * 0x9E3779B9, free.size());
        return free.stream().skip(at).findFirst().orElseThrow();
    }

    /** Whether it is ours now; another was faster otherwise. */
    private boolean create(Network network, Optional<Ipv4Prefix> prefix, long index, KubernetesClient client) {
        NetworkSlice slice = new NetworkSlice();
        slice.setMetadata(new ObjectMetaBuilder()
                .withName(network.getMetadata().getName() + "-" + index)
                .withNamespace(network.getMetadata().getNamespace())
                .withFinalizers(finalizer)
                .addNewOwnerReference()
                .withApiVersion(network.getApiVersion())
                .withKind(network.getKind())
                .withName(network.getMetadata().getName())
                .withUid(network.getMetadata().getUid())
                .withController(true)
                .endOwnerReference()
                .build());
        slice.setSpec(new NetworkSliceSpec(
                network.getMetadata().getName(),
                nodeName,
                prefix.map(Ipv4Prefix::toString).orElse(null)));
        try {
            client.resource(slice).create();
            return true;
        } catch (KubernetesClientException e) {
            if (e.getCode() != 409) {
                throw e;
            }
            // The client sends a request again whose answer was lost: who was faster may be ourselves.
            return isOurs(network, client.resource(slice).get());
        }
    }

    private boolean isOurs(Network network, @Nullable NetworkSlice there) {
        return there != null
                && there.getSpec() != null
                && nodeName.equals(there.getSpec().nodeName())
                && there.getMetadata().getOwnerReferences().stream()
                        .anyMatch(owner -> network.getMetadata().getUid().equals(owner.getUid()));
    }
}
