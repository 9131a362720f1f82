package dev.vmlet.plan;

import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * What the sets must hold for those whom no record vouches for: a VM or Network whose record is torn, of a newer vmlet or
 * not to be opened still has its tap or bridge, and its guest still sends.
 *
 * <p>Two rules. What is in force for such an owner stays in force, so that its guest goes on as before. And a link that
 * bears our mark is in {@code taps} or {@code bridges} whatever is known of it: a tap that has nothing in {@code ok4} is
 * dumb, and a bridge without {@code egress} leads nowhere, while one that the sets do not know is open.
 */
final class Guard {
    /** Interface names that nft text can carry. The kernel takes others, and no link of ours bears one. */
    private static final Pattern SAFE = Pattern.compile("[A-Za-z0-9_.-]+");

    private final Set<String> readable;
    private final HostObservation seen;

    Guard(HostObservation seen) {
        this.seen = seen;
        this.readable = new HashSet<>();
        seen.networks().forEach(n -> readable.add(n.id().uid()));
        seen.vms().forEach(vm -> readable.add(vm.id().uid()));
    }

    /**
     * Members of tables that are installed anew: of what the records say, of what stands, and of every marked link.
     *
     * @param recorded what the records say; it comes first where two owners claim one key
     * @param standing elements of the tables that are replaced, empty when they are gone
     */
    Set<FirewallElement> members(Set<FirewallElement> recorded, Set<FirewallElement> standing) {
        Keys members = new Keys(recorded);
        Set<String> marked = marks().values().stream()
                .map(Guard::uid)
                .flatMap(Optional::stream)
                .collect(Collectors.toSet());
        standing.stream()
                .filter(e -> !readable.contains(e.ownerUid())
                        && (seen.unread().contains(e.ownerUid())
                                || marked.contains(e.ownerUid())
                                // Nobody could look: as many as there were.
                                || !(seen.marked() instanceof Seen.Present)))
                .sorted(Looks.ELEMENTS)
                .forEach(members::add);
        links().stream().filter(e -> !isSmuggled(e)).forEach(members::add);
        return members.all;
    }

    /** Members that tables which stand lack for links of owners whose records cannot be read: nobody else plans for them. */
    List<FirewallElement> missing(FirewallState state) {
        Keys members = new Keys(state.elements());
        List<FirewallElement> missing = new ArrayList<>();
        for (FirewallElement link : links()) {
            if (seen.unread().contains(link.ownerUid()) && !readable.contains(link.ownerUid()) && members.add(link)) {
                missing.add(link);
            }
        }
        return missing;
    }

    /** One element for each link that bears our mark. */
    private List<FirewallElement> links() {
        List<FirewallElement> elements = new ArrayList<>();
        marks().forEach((name, owner) -> {
            if (SAFE.matcher(name.value()).matches()) {
                switch (owner) {
                    case Owner.OfVm(String uid, var _) ->
                        elements.add(new FirewallElement(FirewallSet.TAPS, List.of(name.value()), uid));
                    case Owner.OfNetwork(String uid) ->
                        elements.add(new FirewallElement(FirewallSet.BRIDGES, List.of(name.value()), uid));
                    case Owner.Foreign _ -> {}
                }
            }
        });
        elements.sort(Looks.ELEMENTS);
        return elements;
    }

    private Map<LinkName, Owner> marks() {
        return seen.marked() instanceof Seen.Present<Map<LinkName, Owner>>(Map<LinkName, Owner> marks)
                ? marks
                : Map.of();
    }

    private static Optional<String> uid(Owner owner) {
        return switch (owner) {
            case Owner.OfVm(String uid, var _) -> Optional.of(uid);
            case Owner.OfNetwork(String uid) -> Optional.of(uid);
            case Owner.Foreign _ -> Optional.empty();
        };
    }

    /** An owner whose record can be read has no such link, and the next pass would take the element for a stranger's. */
    private boolean isSmuggled(FirewallElement element) {
        return readable.contains(element.ownerUid())
                && seen.networks().stream()
                        .filter(n -> n.id().uid().equals(element.ownerUid()))
                        .map(NetworkRecord::realised)
                        .noneMatch(n -> n.elements().contains(element))
                && seen.vms().stream()
                        .filter(vm -> vm.id().uid().equals(element.ownerUid()))
                        .map(VmRecord::nics)
                        .flatMap(Collection::stream)
                        .noneMatch(nic -> nic.elements(element.ownerUid()).contains(element));
    }

    /** Elements of which no two share a key, and no two subnets overlap: nft would refuse all of them. */
    private static final class Keys {
        final Set<FirewallElement> all;
        private final Set<Key> taken;
        private final List<Ipv4Prefix> subnets = new ArrayList<>();

        private record Key(FirewallSet set, List<String> parts) {
            /** Of a map's member its key alone: one port of the node leads to one place. */
            static Key of(FirewallElement element) {
                int parts = element.set().keyParts(element.key().size());
                return new Key(element.set(), element.key().subList(0, parts));
            }
        }

        Keys(Set<FirewallElement> first) {
            all = new HashSet<>(first);
            taken = first.stream().map(Key::of).collect(Collectors.toSet());
            first.stream()
                    .filter(e -> e.set() == FirewallSet.SUBNETS)
                    .flatMap(e -> subnet(e).stream())
                    .forEach(subnets::add);
        }

        boolean add(FirewallElement element) {
            if (element.set() == FirewallSet.SUBNETS) {
                Optional<Ipv4Prefix> subnet = subnet(element);
                if (subnet.isEmpty() || subnets.stream().anyMatch(s -> s.overlaps(subnet.get()))) {
                    return false;
                }
                subnets.add(subnet.get());
            }
            return taken.add(Key.of(element)) && all.add(element);
        }

        /** Empty for a range that is no prefix: none of ours. */
        private static Optional<Ipv4Prefix> subnet(FirewallElement element) {
            try {
                return Optional.of(Ipv4Prefix.parse(element.key().getFirst()));
            } catch (IllegalArgumentException e) {
                return Optional.empty();
            }
        }
    }
}
