package dev.vmlet.status;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceStatus;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.NetworkStatus;
import dev.vmlet.model.CidrChoice;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LanBridge;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class NetworkStatusesTest {
    private static final DesiredNetwork NET = Given.desiredNetwork(Egress.MASQUERADE);
    private static final CidrChoice CHOSEN = new CidrChoice.Chosen(Ipv4Prefix.parse("10.96.0.0/20"));

    private static Condition ready(Condition.Status status, Reason reason, String message) {
        return new Condition("Ready", status, reason.name(), message, 1L, "2026-01-01T12:00:00Z");
    }

    @Test
    void writesTheChosenCidrAndNeverChangesIt() {
        Network network = Given.network();
        network.setStatus(null);
        NetworkStatus status = NetworkStatuses.ofNetwork(network, CHOSEN, 0, List.of(), Given.NOW);
        assertThat(status)
                .isEqualTo(new NetworkStatus(
                        "10.96.0.0/20",
                        1L,
                        List.of(ready(
                                Condition.Status.True,
                                Reason.AsExpected,
                                "The Network has the addresses 10.96.0.0/20."))));
        network.setStatus(status);
        CidrChoice another = new CidrChoice.Chosen(Ipv4Prefix.parse("10.97.0.0/20"));
        assertThat(NetworkStatuses.ofNetwork(network, another, 0, List.of(), Given.NOW.plusSeconds(99)))
                .isEqualTo(status);
    }

    @Test
    void saysWhyThereIsNoCidr() {
        Network network = Given.network();
        network.setStatus(null);
        assertThat(NetworkStatuses.ofNetwork(
                        network, new CidrChoice.Refused(Reason.PoolExhausted, "none is free"), 0, List.of(), Given.NOW))
                .isEqualTo(new NetworkStatus(
                        null, 1L, List.of(ready(Condition.Status.False, Reason.PoolExhausted, "none is free"))));
    }

    @Test
    void saysWhoKeepsANetworkThatIsBeingDeleted() {
        Network network = Given.network();
        network.getMetadata().setDeletionTimestamp("2026-01-01T00:00:00Z");
        assertThat(NetworkStatuses.ofNetwork(network, CHOSEN, 2, List.of(), Given.NOW)
                        .conditions())
                .containsExactly(ready(
                        Condition.Status.False,
                        Reason.NetworkBeingDeleted,
                        "The Network is kept until the 2 VMs that use it are gone."));
        assertThat(NetworkStatuses.ofNetwork(network, CHOSEN, 0, List.of(), Given.NOW)
                        .conditions())
                .containsExactly(ready(Condition.Status.False, Reason.NetworkBeingDeleted, Reason.Deleting.sentence()));
    }

    private static NetworkObservation seen(Seen<Link> bridge, boolean forwarding) {
        return new NetworkObservation(
                Seen.missing(),
                bridge,
                Seen.present(Set.of(NET.gatewayAddress())),
                Seen.present(forwarding),
                Seen.present(Set.copyOf(NET.elements())),
                Seen.present(Set.of()));
    }

    private static NetworkSliceStatus slice(
            Resolution<DesiredNetwork> resolution, Plan plan, Outcome outcome, NetworkObservation seen) {
        NetworkSlice slice = Given.slice();
        NetworkSliceStatus status = NetworkStatuses.ofSlice(slice, resolution, plan, outcome, seen, Given.NOW);
        slice.setStatus(status);
        assertThat(NetworkStatuses.ofSlice(slice, resolution, plan, outcome, seen, Given.NOW.plusSeconds(99)))
                .as("nothing new, nothing written")
                .isEqualTo(status);
        return status;
    }

    private static String brief(NetworkSliceStatus status) {
        return status.bridge() + " " + status.ready() + " " + status.reason() + ": " + status.message() + " "
                + Objects.requireNonNull(status.conditions()).get(0).status();
    }

    @Test
    void isReadyWhenAllOfItWasSeen() {
        assertThat(slice(
                        new Resolution.Desired<>(NET),
                        Plan.nothing(),
                        Outcome.nothing(),
                        seen(Seen.present(Given.bridge()), true)))
                .isEqualTo(new NetworkSliceStatus(
                        NET.bridge().value(),
                        null,
                        "10.77.4.1",
                        true,
                        "AsExpected",
                        "Bridge, gateway and firewall are in place.",
                        1L,
                        List.of(ready(
                                Condition.Status.True,
                                Reason.AsExpected,
                                "Bridge, gateway and firewall are in place."))));
    }

    private static String lan(Seen<LanBridge> seen) {
        NetworkSlice slice = Given.lanSlice(null);
        NetworkSliceStatus status = NetworkStatuses.ofLan(slice, new LinkName("br0"), seen, Given.NOW);
        slice.setStatus(status);
        assertThat(NetworkStatuses.ofLan(slice, new LinkName("br0"), seen, Given.NOW.plusSeconds(99)))
                .as("nothing new, nothing written")
                .isEqualTo(status);
        return status.mtu() + " " + brief(status);
    }

    @Test
    void saysOfABridgeOfTheOperatorsWhatIsSeenOfIt() {
        Link br0 = Given.br0();
        assertThat(lan(Seen.present(new LanBridge(br0, 1400))))
                .isEqualTo("1400 br0 true AsExpected: Bridge br0 is there; it is the operator's, and nothing of it is"
                        + " changed. True");
        assertThat(lan(Seen.missing()))
                .isEqualTo(
                        "null null false BridgeMissing: This node has no bridge br0. Make it, with a port to the LAN,"
                                + " or use a Network that names another; VMs go on by themselves when it is there False");
        assertThat(lan(Seen.unknown("list links: timed out")))
                .isEqualTo("null null false CannotLook: list links: timed out Unknown");
        assertThat(lan(Seen.present(new LanBridge(like(br0, "veth", br0.mark(), true), 1500))))
                .isEqualTo(
                        "null null false BridgeMissing: Link br0 of this node is no bridge. Put it into one as a port,"
                                + " and use a Network that names the bridge False");
        assertThat(lan(Seen.present(
                        new LanBridge(like(br0, "bridge", Mark.ofNetwork(Given.INSTALLATION, "net-7"), true), 1500))))
                .isEqualTo(
                        "null null false InvalidSpec: Bridge br0 is vmlet's own, of another Network: let VMs name that"
                                + " Network False");
        assertThat(lan(Seen.present(new LanBridge(like(br0, "bridge", br0.mark(), false), 1500))))
                .isEqualTo(
                        "1500 br0 false NetworkNotReady: Bridge br0 is down, and it is the operator's to set up: ip link"
                                + " set br0 up False");
    }

    private static Link like(Link link, String kind, Mark mark, boolean up) {
        return new Link(link.index(), link.name(), kind, link.mac(), link.mtu(), up, mark, 0, -1, 0);
    }

    @Test
    void aNetworkOnTheOperatorsBridgeIsReadyWithoutACidr() {
        Network lan = Given.lan(null, null);
        lan.setStatus(null);
        NetworkStatus status = NetworkStatuses.ofNetwork(lan, new CidrChoice.Lan("br0"), 0, List.of(), Given.NOW);
        assertThat(status.cidr()).isNull();
        assertThat(Objects.requireNonNull(status.conditions()).get(0).message())
                .isEqualTo("Guests are on the operator's bridge br0 of their node, with addresses of its LAN.");
        lan.setStatus(status);
        assertThat(NetworkStatuses.ofNetwork(lan, new CidrChoice.Lan("br0"), 0, List.of(), Given.NOW.plusSeconds(99)))
                .isEqualTo(status);
        assertThat(NetworkStatuses.ofNetwork(
                                Given.lan("192.168.1.0/24", null), new CidrChoice.Lan("br0"), 0, List.of(), Given.NOW)
                        .cidr())
                .isEqualTo("192.168.1.0/24");
    }

    @Test
    void isNotReadyWhenAPartIsMissing() {
        assertThat(brief(slice(
                        new Resolution.Desired<>(NET),
                        Plan.nothing(),
                        Outcome.nothing(),
                        seen(Seen.present(Given.bridge()), false))))
                .isEqualTo(
                        NET.bridge() + " false NetworkNotReady: The Network is not yet realised on this node. False");
    }

    @Test
    void saysWhatItWaitsForAndWhatItDoesNotKnow() {
        assertThat(brief(slice(
                        new Resolution.Desired<>(NET),
                        Plan.waiting(Reason.ForeignObject, "vmb is not ours", Duration.ofSeconds(30)),
                        Outcome.nothing(),
                        seen(Seen.present(Given.bridge()), true))))
                .isEqualTo("null false ForeignObject: vmb is not ours False");
        assertThat(brief(slice(
                        new Resolution.Desired<>(NET),
                        Plan.waiting(Reason.CannotLook, "timed out", Duration.ofSeconds(2)),
                        Outcome.nothing(),
                        seen(Seen.unknown("timed out"), true))))
                .isEqualTo("null false CannotLook: timed out Unknown");
        assertThat(brief(slice(
                        new Resolution.Unresolved<>(Reason.CidrOverlaps, "overlaps eth0"),
                        Plan.nothing(),
                        Outcome.nothing(),
                        seen(Seen.missing(), true))))
                .isEqualTo("null false CidrOverlaps: overlaps eth0 False");
        assertThat(brief(slice(
                        new Resolution.Absent<>(), Plan.nothing(), Outcome.nothing(), seen(Seen.missing(), true))))
                .isEqualTo("null false NotRunning: No VM of this node is on the Network now, so it has no bridge here."
                        + " False");
    }

    @Test
    void namesTheStepThatTheHostRefused() {
        PlannedStep step = new PlannedStep(new Step.SetLinkUp(NET.bridge()), "the bridge is down");
        Outcome failed = new Outcome(
                List.of(),
                Optional.of(new Outcome.Failure(step, new HostException.NotPermitted("EPERM", null))),
                List.of());
        assertThat(brief(slice(new Resolution.Desired<>(NET), Plan.nothing(), failed, seen(Seen.missing(), true))))
                .isEqualTo("null false HostRefused: set " + NET.bridge() + " up: EPERM False");
    }

    private static List<Condition> peered(List<String> oneSided, String... peers) {
        Network network = Given.network();
        NetworkSpec spec = requireNonNull(network.getSpec());
        network.setSpec(new NetworkSpec(
                spec.cidr(),
                spec.nodePrefixLength(),
                spec.egress(),
                spec.mtu(),
                null,
                null,
                spec.isolation(),
                List.of(peers),
                null,
                null));
        return requireNonNull(NetworkStatuses.ofNetwork(network, CHOSEN, 0, oneSided, Given.NOW)
                        .conditions())
                .stream()
                .filter(c -> "Peered".equals(c.type()))
                .toList();
    }

    @Test
    void saysWhichPeersDoNotNameTheNetwork() {
        assertThat(peered(List.of())).isEmpty();
        assertThat(peered(List.of(), "db")).singleElement().satisfies(c -> {
            assertThat(c.status()).isEqualTo(Condition.Status.True);
            assertThat(c.message()).isEqualTo("All peers of the Network name it too.");
        });
        assertThat(peered(List.of("db"), "db")).singleElement().satisfies(c -> {
            assertThat(c.reason()).isEqualTo("PeerNotMutual");
            assertThat(c.message())
                    .isEqualTo("Nothing passes to or from db: add net to spec.peers there, or take it out here.");
        });
        assertThat(peered(List.of("cache", "db"), "db", "cache"))
                .singleElement()
                .satisfies(c -> {
                    assertThat(c.status()).isEqualTo(Condition.Status.False);
                    assertThat(c.message())
                            .isEqualTo(
                                    "Nothing passes to or from cache, db: add net to spec.peers there, or take them out"
                                            + " here.");
                });
    }
}
