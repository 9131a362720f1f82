package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkPolicy;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.ServicePort;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.SocketAddress;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Senders of UDP who never pause, while a published port comes, moves and goes, and a guest. */
@Tag("netns")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class FlowsIT {
    private static final int HOST_PORT = 5060;
    private static final int GUEST_PORT = 5061;
    private static final int TRIES = 50;

    private Town town;
    private DesiredNic one;
    private DesiredNic two;
    private Peer first;
    private Peer second;
    private Peer outside;

    @BeforeAll
    void build(@TempDir Path directory) throws Exception {
        OwnNamespace.require();
        town = new Town("udpflows", directory);
        DesiredNetwork network = new DesiredNetwork(
                new NetworkId("lab", "net", "net-1"),
                new LinkName("vmb-flows"),
                new MacAddress("52:00:00:00:aa:01"),
                Mark.ofNetwork(town.installation, "net-1"),
                Ipv4Prefix.parse("10.87.0.0/24"),
                1500,
                Egress.MASQUERADE,
                NetworkPolicy.PLAIN);
        town.build(network);
        town.install();
        one = Town.nic(network, "52:00:00:00:00:11", "10.87.0.11");
        two = Town.nic(network, "52:00:00:00:00:12", "10.87.0.12");
        first = town.plug(one, network);
        second = town.plug(two, network);
        outside = town.outside();
    }

    @AfterAll
    void tearDown() {
        if (OwnNamespace.isPrivate() && town != null) {
            town.close();
        }
    }

    @Test
    void anEndlessSenderFollowsAPortThatComesMovesAndGoes() throws Exception {
        try (DatagramSocket sender = outside.within(() -> new DatagramSocket(40_000));
                DatagramSocket atOne = first.within(() -> new DatagramSocket(GUEST_PORT));
                DatagramSocket atTwo = second.within(() -> new DatagramSocket(GUEST_PORT));
                DatagramSocket passing = second.within(() -> new DatagramSocket(40_001))) {
            send(sender, Town.NODE_OUTSIDE);
            // The same number, through this node and to nobody on it.
            send(passing, Town.OUTSIDE);
            List<FirewallElement> toOne = published(one);
            List<FirewallElement> toTwo = published(two);

            town.firewall.add(toOne);
            assertThat(hears(atOne, sender)).as("the port came").isTrue();
            town.firewall.delete(toOne);
            town.firewall.add(toTwo);
            assertThat(hears(atTwo, sender)).as("the port moved").isTrue();
            town.firewall.delete(toTwo);
            drain(atTwo);
            send(sender, Town.NODE_OUTSIDE);
            assertThat(drain(atTwo)).as("the port went").isZero();
            // Only the first user namespace's root may read it; the stage that runs as root does.
            Path remembered = Path.of("/proc/net/nf_conntrack");
            if (Files.isReadable(remembered)) {
                assertThat(Files.readAllLines(remembered))
                        .as("the flow that passes through")
                        .anyMatch(flow -> flow.contains("src=10.87.0.12 dst=" + Town.OUTSIDE + " sport=40001"));
            } else {
                System.out.println("SKIPPED in part: FlowsIT: " + remembered + " cannot be read by this user");
            }
        }
    }

    @Test
    void whoeverGetsAnAddressNextHearsNothingThatWasMeantForTheGuestBefore() throws Exception {
        List<FirewallElement> members = two.elements("vm-" + two.ip());
        endsWhatWasBegunBy(() -> {
            town.firewall.delete(members);
            town.firewall.add(members);
        });
    }

    @ParameterizedTest
    @ValueSource(ints = {0, Integer.MAX_VALUE - 1})
    void findsTheFlowsOfAGuestAmongManyAndAmongFew(int few) throws Exception {
        try (Flows flows = new Flows(few)) {
            endsWhatWasBegunBy(() -> flows.deleted(two.elements("vm-" + two.ip())));
        }
    }

    /** On an operator's bridge a guest may have asked for it, and the node has connections of its own there. */
    @Test
    void leavesWhatIsOpenWithAnAddressThatIsNotBehindABridgeOfOurs() throws Exception {
        try (Flows flows = new Flows(Integer.MAX_VALUE - 1);
                DatagramSocket guest = first.within(() -> new DatagramSocket(45_002));
                DatagramSocket world = outside.within(() -> new DatagramSocket(HOST_PORT))) {
            DatagramPacket heard = new DatagramPacket(new byte[1], 1);
            world.setSoTimeout(10_000);
            send(guest, Town.OUTSIDE);
            world.receive(heard);
            for (String address : List.of(Town.OUTSIDE, Town.NODE_OUTSIDE)) {
                flows.deleted(List.of(new FirewallElement(FirewallSet.HELD, List.of(address), "vm")));
            }
            answer(world, heard.getSocketAddress());
            assertThat(drain(guest)).isOne();
        }
    }

    private interface End {
        void come() throws Exception;
    }

    private void endsWhatWasBegunBy(End end) throws Exception {
        try (DatagramSocket guest = second.within(() -> new DatagramSocket(45_000));
                DatagramSocket other = first.within(() -> new DatagramSocket(45_001));
                DatagramSocket world = outside.within(() -> new DatagramSocket(HOST_PORT))) {
            DatagramPacket heard = new DatagramPacket(new byte[1], 1);
            world.setSoTimeout(10_000);
            send(other, Town.OUTSIDE);
            world.receive(heard);
            SocketAddress toOther = heard.getSocketAddress();
            send(guest, Town.OUTSIDE);
            world.receive(heard);
            SocketAddress toGuest = heard.getSocketAddress();
            answer(world, toGuest);
            assertThat(drain(guest)).as("while it is there").isOne();

            end.come();
            answer(world, toGuest);
            answer(world, toOther);
            assertThat(drain(other)).as("its neighbour").isOne();
            assertThat(drain(guest)).as("the next guest").isZero();
        }
    }

    private static void answer(DatagramSocket from, SocketAddress to) throws IOException {
        from.send(new DatagramPacket(new byte[] {2}, 1, to));
    }

    private static List<FirewallElement> published(DesiredNic nic) {
        DesiredNic publishing = nic.withLivePartOf(Optional.of(new DesiredNic(
                nic.network(),
                nic.bridge(),
                nic.bridgeMark(),
                nic.tap(),
                nic.mark(),
                nic.mac(),
                nic.ip(),
                nic.mtu(),
                nic.isolated(),
                List.of(new PublishedPort(new ServicePort(Protocol.UDP, HOST_PORT), GUEST_PORT)))));
        List<FirewallElement> plain = nic.elements("vm");
        return publishing.elements("vm").stream()
                .filter(element -> !plain.contains(element) && element.set() != FirewallSet.TAPS)
                .toList();
    }

    private static void send(DatagramSocket from, String to) throws IOException {
        from.send(new DatagramPacket(new byte[] {1}, 1, InetAddress.getByName(to), HOST_PORT));
    }

    /** Never pauses as long as conntrack would need to forget by itself, which is 30 s. */
    private static boolean hears(DatagramSocket guest, DatagramSocket sender) throws IOException {
        guest.setSoTimeout(200);
        for (int i = 0; i < TRIES; i++) {
            send(sender, Town.NODE_OUTSIDE);
            try {
                guest.receive(new DatagramPacket(new byte[1], 1));
                return true;
            } catch (SocketTimeoutException e) {
                // Once more.
            }
        }
        return false;
    }

    private static int drain(DatagramSocket guest) throws IOException {
        guest.setSoTimeout(500);
        for (int heard = 0; ; heard++) {
            try {
                guest.receive(new DatagramPacket(new byte[1], 1));
            } catch (SocketTimeoutException e) {
                return heard;
            }
        }
    }
}
