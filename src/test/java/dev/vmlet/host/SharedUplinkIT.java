package dev.vmlet.host;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.host.files.FileRecords;
import dev.vmlet.host.net.LinuxLinks;
import dev.vmlet.host.net.NftFirewall;
import dev.vmlet.host.net.OwnNamespace;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.HostPlanner;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.Step;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two installations with state directories of their own on one kernel: whose going may turn forwarding off, and when. */
class SharedUplinkIT {
    private static final LinkName UPLINK = new LinkName("up0");

    @TempDir
    private Path directory;

    private LinuxLinks links;
    private Installed first;
    private Installed second;

    @BeforeEach
    void open() throws Exception {
        OwnNamespace.require();
        links = new LinuxLinks();
        OwnNamespace.run("ip", "link", "add", UPLINK.value(), "type", "bridge");
        OwnNamespace.run("ip", "address", "add", "192.0.2.2/24", "dev", UPLINK.value());
        OwnNamespace.run("ip", "link", "set", UPLINK.value(), "up");
        OwnNamespace.run("ip", "route", "add", "default", "via", "192.0.2.1");
        links.setForwarding(UPLINK, false);
        first = new Installed("aaaaaaaa", "10.77.1.0/24");
        second = new Installed("bbbbbbbb", "10.77.2.0/24");
    }

    @AfterEach
    void sweep() throws Exception {
        if (!OwnNamespace.isPrivate()) {
            return;
        }
        first.close();
        second.close();
        OwnNamespace.run("ip", "link", "delete", UPLINK.value());
        links.close();
    }

    @Test
    void theLastInstallationToGoRestoresTheFlagWhateverTheOrder() throws Exception {
        first.realise();
        second.realise();
        assertThat(forwards()).isTrue();
        first.letGo();
        assertThat(forwards()).as("the second's guests go on leaving").isTrue();
        second.letGo();
        // The second found the flag on; the first, which turned it on, puts it back in its next pass.
        first.lookAtHost();
        assertThat(forwards()).isFalse();
        assertThat(first.records.forwardingOriginals()).isEmpty();
    }

    @Test
    void anInstallationThatCameLaterGoesFirst() throws Exception {
        first.realise();
        second.realise();
        second.letGo();
        assertThat(forwards()).isTrue();
        first.letGo();
        assertThat(forwards()).isFalse();
    }

    @Test
    void aBridgeMadeBetweenLookAndActKeepsTheFlagOn() throws Exception {
        first.realise();
        first.remove();
        first.hook = (_, _, next) -> {
            if (next instanceof Step.RestoreForwarding) {
                second.realise();
            }
        };
        first.lookAtHost();
        assertThat(forwards()).isTrue();
        assertThat(first.records.keptForwarding(UPLINK.value())).isEqualTo(Seen.present(false));
        second.letGo();
        first.hook = (_, _, _) -> {};
        first.lookAtHost();
        assertThat(forwards()).isFalse();
    }

    @Test
    void theGlobalSwitchTurnedOnMeanwhileKeepsTheFlagOn() throws Exception {
        first.realise();
        OwnNamespace.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward");
        try {
            first.letGo();
            assertThat(forwards()).isTrue();
        } finally {
            OwnNamespace.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward");
        }
        first.lookAtHost();
        assertThat(first.records.forwardingOriginals()).isEmpty();
    }

    private boolean forwards() {
        return links.forwarding(UPLINK).equals(Seen.present(true));
    }

    /** One installation's passes over its node and its one Network. */
    private final class Installed {
        private final InstallationId id;
        private final FileRecords records;
        private final NftFirewall firewall;
        private final Observer observer;
        private final Applier applier;
        private final NetworkPlanner planner;
        private final DesiredNetwork network;
        private Applier.StepHook hook = (_, _, _) -> {};

        Installed(String name, String subnet) throws HostException {
            id = new InstallationId(name);
            HostNames names = new HostNames(id);
            Path state = directory.resolve(name);
            records = new FileRecords(
                    new HostPaths(state.toString(), state.resolve("run").toString()));
            firewall = new NftFirewall(id, state.resolve("firewall"));
            Host host = new Host(links, firewall, new FakeVmms("boot-1"), new FakeDisks(), records, new FakeProbes());
            observer = new Observer(host, names);
            applier = new Applier(host, (subject, done, next) -> hook.at(subject, done, next), () -> {});
            planner = new NetworkPlanner(names);
            String uid = "net-" + name;
            network = new DesiredNetwork(
                    new NetworkId("lab", name, uid),
                    names.bridge(uid),
                    names.bridgeMac(uid),
                    Mark.ofNetwork(id, uid),
                    Ipv4Prefix.parse(subnet),
                    1500,
                    Egress.MASQUERADE);
        }

        void realise() {
            lookAtHost();
            pass(new Resolution.Desired<>(network));
            lookAtHost();
        }

        void letGo() {
            remove();
            lookAtHost();
        }

        void remove() {
            pass(new Resolution.Absent<>());
        }

        private void pass(Resolution<DesiredNetwork> resolution) {
            Optional<DesiredNetwork> desired =
                    resolution instanceof Resolution.Desired<DesiredNetwork>(var d) ? Optional.of(d) : Optional.empty();
            apply(planner.plan(
                    network.id().uid(),
                    resolution,
                    observer.observeNetwork(network.id().uid(), desired)));
        }

        void lookAtHost() {
            apply(HostPlanner.plan(id, observer.observeHost()));
        }

        private void apply(Plan plan) {
            Outcome outcome = applier.apply(id.value(), plan);
            assertThat(outcome.failed()).as(plan.toString()).isEmpty();
        }

        void close() throws HostException {
            firewall.remove();
            firewall.close();
        }
    }
}
