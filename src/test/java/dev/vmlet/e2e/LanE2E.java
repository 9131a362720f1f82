package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.api.VirtualMachineStatus;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Real guests on a bridge that an operator keeps: {@code fixed} asks for an address of the LAN, {@code leased} is given one
 * by the LAN's own DHCP server. They boot once; the last test deletes them, and the bridge is what it was.
 */
@ExtendWith(EndToEnd.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class LanE2E {
    private static final String NS = "office";
    private static final String FIXED = "192.168.177.50";
    private static final int LAST = Integer.MAX_VALUE;

    private @Nullable Lan lan;
    private @Nullable Leftovers before;
    private String look = "";
    private List<String> permanent = List.of();
    private boolean ready;

    @BeforeEach
    void boot(Cluster cluster) throws IOException {
        assumeTrue(
                Lan.isPossible(),
                "SKIPPED: no /usr/sbin/dnsmasq, the LAN's DHCP server (apt-get install dnsmasq-base)");
        if (ready) {
            return;
        }
        assumeTrue(before == null, "the guests did not become ready before");
        before = Leftovers.atRest(cluster.agent());
        lan = new Lan(Files.createTempDirectory(cluster.dir(), "lan"));
        look = Lan.look();
        permanent = Lan.permanent();
        cluster.namespace(NS);
        cluster.apply("""
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {namespace: %s, name: office}
                spec: {existingBridge: %s, cidr: %s, gateway: %s}
                """.formatted(NS, Lan.BRIDGE, Lan.CIDR, Lan.MACHINE)
                + cluster.tiny(NS, "fixed", "a", "office")
                        .replace("[{name: office}]", "[{name: office, address: " + FIXED + "}]")
                + cluster.tiny(NS, "leased", "a", "office"));
        cluster.awaitReady(NS, "fixed", "leased");
        ready = true;
    }

    @AfterAll
    void takeDownTheLan() {
        if (lan != null) {
            lan.close();
        }
    }

    private Lan lan() {
        return Objects.requireNonNull(lan);
    }

    private static VirtualMachineStatus.Address address(Cluster cluster, String vm) {
        return Objects.requireNonNull(
                        Objects.requireNonNull(cluster.vm(NS, vm).getStatus()).addresses())
                .getFirst();
    }

    @Test
    @Order(1)
    void eachIsReadyAtItsAddressOfTheLan(Cluster cluster) {
        assertThat(cluster.address(NS, "fixed")).isEqualTo(FIXED);
        String mac = Objects.requireNonNull(address(cluster, "leased").mac());
        assertThat(lan().leaseOf(mac)).contains(new Lan.Lease(mac, cluster.address(NS, "leased"), "leased"));
        assertThat(lan().leaseOf(
                                Objects.requireNonNull(address(cluster, "fixed").mac())))
                .as("a lease of the guest that asked for its address here")
                .isEmpty();
        for (String vm : List.of("fixed", "leased")) {
            for (String type : List.of("NetworkReady", "GuestReachable", "Ready")) {
                assertThat(String.valueOf(
                                cluster.condition(NS, vm, type).orElseThrow().status()))
                        .as(type + " of " + vm)
                        .isEqualTo("True");
            }
            assertThat(cluster.events(NS, "VirtualMachine", vm)).noneMatch(e -> e.startsWith("Warning"));
        }
        assertThat(cluster.kubectl("get", "vm", "leased", "-n", NS, "--no-headers")
                        .split(" +"))
                .contains(cluster.address(NS, "leased"));
        assertThat(cluster.kubectl(
                        "get",
                        "networkslice",
                        "-n",
                        NS,
                        "-o",
                        "jsonpath={.items[*].status.bridge} {.items[*].status.mtu}"))
                .isEqualTo(Lan.BRIDGE + " 1500");
    }

    @Test
    @Order(2)
    void theLanTheNodeAndTheGuestsReachEachOther(Cluster cluster) {
        for (String vm : List.of("fixed", "leased")) {
            Guest guest = cluster.guest(NS, vm);
            assertThat(guest.ssh("hostname; ip -4 -o addr show; ip route"))
                    .contains(vm, " " + guest.address() + "/24 ", "default via " + Lan.MACHINE + " ");
            assertThat(lan().reaches(guest.address()))
                    .as("the LAN reaches " + vm)
                    .isTrue();
            assertThat(guest.ssh(ping(Lan.MACHINE))).as(vm + " reaches the LAN").contains(" 0% packet loss");
            assertThat(guest.ssh(ping(Lan.NODE))).as(vm + " reaches the node").contains(" 0% packet loss");
        }
        assertThat(cluster.guest(NS, "fixed").ssh(ping(cluster.address(NS, "leased"))))
                .contains(" 0% packet loss");
    }

    @Test
    @Order(3)
    void nobodyTakesTheAddressThatAnotherGuestAskedFor(Cluster cluster) {
        Guest leased = cluster.guest(NS, "leased");
        leased.ssh("ip addr add " + FIXED + "/24 dev eth0");
        try {
            assertThat(leased.run("ping -c 2 -W 2 -I " + FIXED + " " + Lan.MACHINE)
                            .output())
                    .contains("100% packet loss");
            assertThat(leased.ssh("ping -c 2 -W 5 -I " + leased.address() + " " + Lan.MACHINE))
                    .contains(" 0% packet loss");
            leased.ssh("arping -q -A -c 1 -w 1 -I eth0 " + FIXED);
            assertThat(lan().reaches(FIXED)).isTrue();
        } finally {
            leased.ssh("ip addr del " + FIXED + "/24 dev eth0");
        }
    }

    @Test
    @Order(4)
    void onTheBridgeAreTheTapsAndNothingElseIsNew(Cluster cluster) {
        List<String> ports = new ArrayList<>(List.of("lan0"));
        for (String vm : List.of("fixed", "leased")) {
            ports.add(cluster.agent()
                    .names()
                    .tap(cluster.uid(NS, "vm", vm), "office")
                    .value());
        }
        assertThat(Lan.ports()).containsExactlyInAnyOrderElementsOf(ports);
        assertThat(set(Lan.look())).isEqualTo(set(look));
        assertThat(Lan.permanent()).containsAll(permanent).noneMatch(line -> line.contains(FIXED));
    }

    @Test
    @Order(5)
    void aKilledAgentFindsTheGuestsAndTheirAddressesAgain(Cluster cluster) {
        List<Cluster.Life> lives = lives(cluster);
        cluster.agent().kill();
        assertThat(lan().reaches(FIXED)).as("without an agent").isTrue();
        cluster.agent();
        Cluster.await(
                "both are ready as before",
                Cluster.SOON,
                () -> cluster.agent().ask("plan").contains("VirtualMachine office/leased: nothing to do")
                        && String.valueOf(cluster.condition(NS, "leased", "Ready")
                                        .orElseThrow()
                                        .status())
                                .equals("True"));
        assertThat(lives(cluster)).isEqualTo(lives);
        assertThat(set(Lan.look())).isEqualTo(set(look));
        Cluster.await(
                "it is told what the leased guest said a moment ago, before its agent died",
                Cluster.SOON,
                () -> String.valueOf(cluster.condition(NS, "leased", "NetworkReady")
                                .orElseThrow()
                                .message())
                        .startsWith("The guest speaks as " + FIXED
                                + " on Network office, and VM office/fixed of this node asked for that address"));
    }

    /** What somebody has set: how much a bridge takes in one piece is the least of its ports', which the kernel sees to. */
    private static String set(String looked) {
        return looked.replaceAll("tso_max_(size|segs) \\d+ ?", "");
    }

    private static List<Cluster.Life> lives(Cluster cluster) {
        return List.of(cluster.life(NS, "fixed"), cluster.life(NS, "leased"));
    }

    @Test
    @Order(LAST)
    void kubectlDeleteLeavesTheBridgeAsItWas(Cluster cluster) {
        cluster.kubectl("delete", "vm", "--all", "-n", NS, "--timeout=120s");
        cluster.kubectl("delete", "vmnet", "--all", "-n", NS, "--timeout=90s");
        Objects.requireNonNull(before).awaitAgain(cluster.agent());
        assertThat(Lan.look()).isEqualTo(look);
        assertThat(Lan.permanent()).isEqualTo(permanent);
        assertThat(Lan.ports()).containsExactly("lan0");
        assertThat(lan().reaches(Lan.NODE)).isTrue();
    }

    private static String ping(String address) {
        return "ping -c 2 -W 5 " + address;
    }
}
