package dev.vmlet.doctor;

import dev.vmlet.doctor.Facts.IdRange;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Route;
import dev.vmlet.model.Seen;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** Judges what else lives on the host: firewalls of others, addresses and routes, user ids. */
final class Surroundings {
    private static final Ipv4Prefix EVERYWHERE = Ipv4Prefix.parse("0.0.0.0/0");

    /** Where to look for another pool, in this order. */
    private static final List<Ipv4Prefix> PRIVATE = List.of(
            Ipv4Prefix.parse("10.0.0.0/8"), Ipv4Prefix.parse("172.16.0.0/12"), Ipv4Prefix.parse("192.168.0.0/16"));

    /** A Network's own size where it does not say. */
    private static final int NETWORK_LENGTH = 20;

    private static final long HIGHEST_USER = 2_000_000_000;

    private final Facts facts;
    private final Facts.Network network;
    private final List<Finding> findings = new ArrayList<>();

    private Surroundings(Facts facts) {
        this.facts = facts;
        this.network = facts.network();
    }

    static List<Finding> of(Facts facts) {
        Surroundings surroundings = new Surroundings(facts);
        surroundings.firewalls();
        surroundings.uplink();
        surroundings.reversePath();
        surroundings.pool();
        surroundings.userIds();
        return surroundings.findings;
    }

    private void firewalls() {
        List<ForwardChain> dropping = new ArrayList<>();
        boolean known = true;
        boolean tried = tried();
        if (network.legacy() instanceof Seen.Present<ForwardChain>(ForwardChain chain)) {
            dropping.add(chain);
        } else if (network.legacy() instanceof Seen.Unknown<ForwardChain>(String cause) && !tried) {
            known = false;
            findings.add(Finding.warn(
                    "firewall",
                    "whether iptables-legacy drops what guests send is unknown: " + cause,
                    facts.identity().user() == 0
                            ? "look for yourself, with the tool of the package iptables: iptables-legacy -S FORWARD"
                            : "run this as root"));
        }
        if (network.forwarding() instanceof Seen.Present<List<ForwardChain>>(List<ForwardChain> listed)) {
            dropping.addAll(listed);
        } else if (network.forwarding() instanceof Seen.Unknown<List<ForwardChain>>(String cause)) {
            known = false;
            findings.add(Finding.warn(
                    "firewall",
                    "firewalls of others could not be read: " + cause,
                    facts.identity().user() == 0
                            ? "look for drops at the forward hook: nft list ruleset"
                            : "run this as root"));
        }
        dropping.removeIf(chain -> !chain.drops());
        for (ForwardChain chain : dropping) {
            if (!tried || chain.isOfBridges()) {
                guess(chain);
            }
        }
        if (dropping.isEmpty() && known && !(network.passage() instanceof Seen.Present)) {
            findings.add(Finding.ok("firewall", "no firewall of others drops what this host forwards"));
        }
        bridged(dropping.stream()
                .filter(c -> !c.isOfBridges())
                .filter(c -> !c.letsGuests(facts.wishes().pool()))
                .findFirst());
    }

    /** What a packet found out; false where none did, or what it found out leaves open who ended it. */
    private boolean tried() {
        String packet = "a packet sent as a guest would send it ";
        return switch (network.passage()) {
            case Seen.Present<Passage>(Passage.Open _) -> {
                findings.add(Finding.ok("firewall", packet + "passes all firewalls of this host"));
                yield true;
            }
            case Seen.Present<Passage>(Passage.Dropped dropped) -> {
                findings.add(Finding.warn(
                        "firewall",
                        packet + "is dropped by " + dropped.by().what()
                                + ": guests reach nothing outside their Network",
                        dropped.leavingBy(outBy()).remedy()));
                yield true;
            }
            case Seen.Present<Passage>(Passage.Lost(String cause)) -> {
                findings.add(Finding.warn(
                        "firewall",
                        packet + "does not leave this host: " + cause,
                        "look at each that this names; nft list ruleset shows the rest"));
                yield false;
            }
            case Seen.Unknown<Passage>(String cause)
            when facts.identity().user() == 0 -> {
                findings.add(Finding.warn(
                        "firewall",
                        "no packet could be sent as a guest would send it, so rules are read instead: " + cause,
                        "see to that, and run this again"));
                yield false;
            }
            case Seen.Unknown<Passage> _, Seen.Missing<Passage> _ -> false;
        };
    }

    /** By the words of its rules, where no packet tells: guests' packets to each other are not tried. */
    private void guess(ForwardChain chain) {
        Ipv4Prefix pool = facts.wishes().pool();
        String whose = chain.place() + " (" + chain.keeper().text() + ") drops";
        if (chain.letsGuests(pool)) {
            findings.add(Finding.ok("firewall", whose + ", and has rules that let guests through"));
        } else {
            findings.add(Finding.warn(
                    "firewall",
                    whose + " what it does not know: "
                            + (chain.isOfBridges()
                                    ? "guests of one Network do not reach each other"
                                    : "guests reach nothing outside their Network"),
                    chain.remedy(pool, outBy())));
        }
    }

    private void bridged(Optional<ForwardChain> dropping) {
        if (network.bridgeCallsIptables() && dropping.isPresent()) {
            findings.add(Finding.warn(
                    "br_netfilter",
                    "br_netfilter hands bridged packets to that chain: guests of one Network do not reach each other"
                            + " either",
                    "let guests through as above, or: sysctl -w net.bridge.bridge-nf-call-iptables=0"));
        } else {
            findings.add(Finding.ok(
                    "br_netfilter",
                    network.bridgeCallsIptables()
                            ? "br_netfilter is on, and nothing drops what it hands over"
                            : "bridged packets do not pass iptables"));
        }
    }

    private List<Route> defaults() {
        return network.routes().stream()
                .filter(r -> r.destination().equals(EVERYWHERE))
                .toList();
    }

    private Optional<LinkName> outBy() {
        return defaults().stream().min(Comparator.comparingLong(Route::metric)).map(Route::device);
    }

    private void uplink() {
        if (defaults().isEmpty()) {
            findings.add(Finding.warn(
                    "uplink",
                    "this host has no default route: guests reach nothing outside",
                    "give it one, or use Networks with egress: None"));
        } else {
            findings.add(Finding.ok(
                    "uplink", "guests go out by " + defaults().getFirst().device()));
        }
    }

    private void reversePath() {
        TreeSet<String> ways = new TreeSet<>();
        defaults().forEach(r -> ways.add(r.device().value()));
        TreeSet<String> strict = new TreeSet<>(network.strictReversePath());
        strict.retainAll(ways);
        if (ways.size() > 1 && !strict.isEmpty()) {
            findings.add(Finding.warn(
                    "rp_filter",
                    "default routes by " + String.join(" and ", ways) + ", and strict rp_filter on "
                            + String.join(", ", strict) + ": replies to guests that come in the other way are dropped",
                    "sysctl -w net.ipv4.conf." + strict.first() + ".rp_filter=2"));
        } else {
            findings.add(Finding.ok("rp_filter", "rp_filter stands in nobody's way"));
        }
    }

    private void pool() {
        Ipv4Prefix pool = facts.wishes().pool();
        TreeSet<String> clashes = new TreeSet<>();
        TreeSet<Ipv4Prefix> taken = new TreeSet<>();
        network.links()
                .forEach((link, addresses) -> addresses.forEach(address -> {
                    taken.add(address.prefix());
                    if (pool.overlaps(address.prefix())) {
                        clashes.add(address + " of " + link);
                    }
                }));
        for (Route route : network.routes()) {
            if (route.destination().equals(EVERYWHERE)) {
                continue;
            }
            boolean ofAnAddress = !taken.add(route.destination());
            if (pool.overlaps(route.destination()) && !ofAnAddress) {
                clashes.add("the route to " + route.destination() + " by " + route.device());
            }
        }
        if (clashes.isEmpty()) {
            findings.add(Finding.ok("network-pool", "nothing of this host's lies in the network pool " + pool));
            return;
        }
        findings.add(Finding.warn(
                "network-pool",
                "the network pool " + pool + " overlaps " + String.join(", ", clashes)
                        + ": a Network with one of these addresses would cut this host off from them",
                free(pool.length(), taken)
                                .map(other -> "--network-pool " + other + " is free here")
                                .orElse("choose a free --network-pool")
                        + ", or give each Network a spec.cidr"));
    }

    /** The first private prefix of that length, or of a Network's, that touches none of those taken. */
    private static Optional<Ipv4Prefix> free(int length, Set<Ipv4Prefix> taken) {
        for (int wanted = length; wanted <= NETWORK_LENGTH; wanted++) {
            for (Ipv4Prefix range : PRIVATE) {
                for (long i = range.count(wanted) - 1; i >= 0; i--) {
                    Ipv4Prefix candidate = range.slice(wanted, i);
                    if (taken.stream().noneMatch(candidate::overlaps)) {
                        return Optional.of(candidate);
                    }
                }
            }
        }
        return Optional.empty();
    }

    private void userIds() {
        IdRange ours = facts.wishes().userIds();
        List<IdRange> clashes = facts.takenIds().stream().filter(ours::overlaps).toList();
        if (clashes.isEmpty()) {
            findings.add(Finding.ok("user-ids", "nobody else has user ids in " + ours));
            return;
        }
        String who = String.join(
                ", ",
                clashes.stream().map(c -> c.whose() + " (" + c + ")").limit(3).toList());
        findings.add(Finding.warn(
                "user-ids",
                "guests' user ids " + ours + " overlap those of " + who
                        + (clashes.size() > 3 ? " and " + (clashes.size() - 3) + " more" : "")
                        + ": they could open guests' files",
                "--vm-user-ids " + freeIds(ours.count()) + ":" + ours.count()));
    }

    /** Behind everything that is taken, at a round number. */
    private long freeIds(long count) {
        long first = facts.wishes().userIds().first();
        boolean moved = true;
        while (moved && first + count < HIGHEST_USER) {
            moved = false;
            for (IdRange range : facts.takenIds()) {
                if (range.overlaps(new IdRange("", first, count))) {
                    first = (range.first() + range.count() + 99_999) / 100_000 * 100_000;
                    moved = true;
                }
            }
        }
        return first;
    }
}
