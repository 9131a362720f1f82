package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.Network;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LinkName;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Nobody tells this agent of anything that happens on its host: it has no monitors. What others break is seen by the
 * periodic pass all the same.
 */
class FullPassTest {
    private static final Duration PATIENCE = Duration.ofSeconds(90);

    @TempDir
    Path directory;

    /** Whatever the rows below change, and whether a look at each of them is as it was. */
    private static List<Object> all(NodeOnItsOwnServer node, FakeVmms.Guest guest, LinkName bridge) {
        return node.look(() -> new ArrayList<>(List.of(
                node.links.everyLink(),
                node.links.everyElement(),
                node.links.everyAddress(bridge),
                node.links.forwards(bridge),
                node.links.forwards(new LinkName("eth0")),
                guest.kind(),
                guest.stopped(),
                guest.limits())));
    }

    @Test
    void whatNoEventTellsOfIsSeenByTheNextPass() throws Exception {
        try (NodeOnItsOwnServer node = new NodeOnItsOwnServer(directory, AgentSettings.START_PARALLELISM)) {
            node.startAgent();
            node.createNetwork();
            node.createVm("web", RunStrategy.Always);
            String uid = node.vm("web").getMetadata().getUid();
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
            await().atMost(PATIENCE)
                    .untilAsserted(() ->
                            assertThat(node.vm("web").getStatus()).asString().contains("phase=Running"));
            LinkName bridge = Given.NAMES.bridge(node.client()
                    .resources(Network.class)
                    .inNamespace("default")
                    .withName("net")
                    .get()
                    .getMetadata()
                    .getUid());
            LinkName tap = Given.NAMES.tap(uid, "net");
            List<Object> whole = all(node, guest, bridge);
            assertThat(node.links.everyElement()).hasSize(7);

            vandalise(node, guest, bridge, tap);
            assertThat(all(node, guest, bridge)).isNotEqualTo(whole);
            await().atMost(PATIENCE)
                    .untilAsserted(() -> assertThat(all(node, guest, bridge)).isEqualTo(whole));
            assertThat(node.look(() -> node.vmms.guest(uid)))
                    .as("the same guest")
                    .isSameAs(guest);
        }
    }

    private static void vandalise(NodeOnItsOwnServer node, FakeVmms.Guest guest, LinkName bridge, LinkName tap) {
        node.look(() -> {
            try {
                node.links.deleteTable("bridge");
                node.links.turnForwarding(false);
                node.links.setMtu(bridge, 1300);
                node.links.changeMac(bridge, "02:00:00:00:00:77");
                node.links.setMtu(tap, 1300);
            } catch (HostException e) {
                throw new IllegalStateException(e);
            }
            guest.stops();
            guest.isLimited("pids.max is 1, at its launch it was 288");
            return guest;
        });
    }
}
