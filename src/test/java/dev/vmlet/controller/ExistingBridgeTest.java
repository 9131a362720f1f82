package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.Condition;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** From Network object to tap: a VM on the operator's bridge, which comes, goes, comes back and is never ours. */
class ExistingBridgeTest {
    private static final Duration PATIENCE = Duration.ofSeconds(90);
    private static final LinkName BR0 = new LinkName("br0");
    private static final Mark OFFICE = new Mark("the office");

    @TempDir
    Path directory;

    private static void plant(NodeOnItsOwnServer node) {
        node.look(() -> {
            node.links.plant("br0", "bridge", "02:00:00:00:00:05", 1450, true, OFFICE, -1);
            return 0;
        });
        // As the monitor of links does.
        node.wakes().wakeLink(BR0);
    }

    private static void createNetwork(NodeOnItsOwnServer node) {
        Network network = new Network();
        network.setMetadata(
                new ObjectMetaBuilder().withName("net").withNamespace("default").build());
        network.setSpec(new NetworkSpec(
                null,
                24,
                NetworkSpec.Egress.Masquerade,
                1500,
                null,
                null,
                NetworkSpec.Isolation.None,
                null,
                null,
                null,
                "br0",
                null));
        node.client().resource(network).create();
    }

    private static String condition(NodeOnItsOwnServer node, String type) {
        VirtualMachine vm = node.vm("web");
        return Optional.ofNullable(vm.getStatus()).map(VirtualMachineStatus::conditions).orElse(List.of()).stream()
                .filter(c -> type.equals(c.type()))
                .map((Condition c) -> c.status() + "/" + c.reason())
                .findFirst()
                .orElse("");
    }

    private static Optional<Link> link(NodeOnItsOwnServer node, LinkName name) {
        return Optional.ofNullable(node.look(() -> node.links.everyLink()).get(name));
    }

    private static boolean isOnBr0(NodeOnItsOwnServer node, LinkName tap) {
        Optional<Link> br0 = link(node, BR0);
        return br0.isPresent()
                && link(node, tap)
                        .filter(t -> t.masterIndex() == br0.get().index() && t.up() && t.mtu() == 1450)
                        .isPresent();
    }

    private static List<NetworkSlice> slices(NodeOnItsOwnServer node) {
        return node.client()
                .resources(NetworkSlice.class)
                .inNamespace("default")
                .list()
                .getItems();
    }

    @Test
    void aVmFollowsTheOperatorsBridgeAndLeavesItAlone() throws Exception {
        try (NodeOnItsOwnServer node = new NodeOnItsOwnServer(directory, AgentSettings.START_PARALLELISM)) {
            node.startAgent();
            createNetwork(node);
            node.createVm("web", RunStrategy.Always);
            String uid = node.vm("web").getMetadata().getUid();
            LinkName tap = Given.NAMES.tap(uid, "net");
            await().atMost(PATIENCE)
                    .untilAsserted(
                            () -> assertThat(condition(node, "NetworkReady")).isEqualTo("False/BridgeMissing"));

            plant(node);
            await().atMost(PATIENCE)
                    .until(() -> node.look(() -> {
                        node.disks.finishAll();
                        return node.vmms.lives(uid);
                    }));
            FakeVmms.Guest guest = Objects.requireNonNull(node.look(() -> node.vmms.guest(uid)));
            node.look(() -> {
                guest.boots();
                return guest;
            });
            assertThat(isOnBr0(node, tap)).isTrue();
            assertThat(slices(node))
                    .singleElement()
                    .satisfies(slice -> assertThat(Objects.requireNonNull(slice.getStatus()))
                            .matches(s -> "br0".equals(s.bridge())
                                    && Integer.valueOf(1450).equals(s.mtu())));

            node.look(() -> {
                node.links.speak(tap, HostNames.nicMac(uid, "net"), "192.168.1.77");
                return 0;
            });
            await().atMost(PATIENCE)
                    .untilAsserted(() -> assertThat(
                                    Objects.requireNonNull(node.vm("web").getStatus())
                                            .addresses())
                            .extracting(VirtualMachineStatus.Address::ip)
                            .containsExactly("192.168.1.77"));

            node.look(() -> {
                node.links.unplug(BR0);
                return 0;
            });
            node.wakes().wakeLink(tap);
            await().atMost(PATIENCE)
                    .untilAsserted(
                            () -> assertThat(condition(node, "NetworkReady")).isEqualTo("False/BridgeMissing"));
            plant(node);
            await().atMost(PATIENCE).until(() -> isOnBr0(node, tap));
            assertThat(node.look(() -> node.vmms.guest(uid)))
                    .as("the same guest")
                    .isSameAs(guest);
            Link operators = link(node, BR0).orElseThrow();

            node.client().resource(node.vm("web")).delete();
            node.client()
                    .resources(Network.class)
                    .inNamespace("default")
                    .withName("net")
                    .delete();
            await().atMost(PATIENCE)
                    .until(() -> node.vms().isEmpty()
                            && slices(node).isEmpty()
                            && node.client()
                                    .resources(Network.class)
                                    .inNamespace("default")
                                    .list()
                                    .getItems()
                                    .isEmpty());
            assertThat(link(node, BR0)).contains(operators);
            assertThat(node.look(() -> node.links.everyElement())).isEmpty();
        }
    }
}
