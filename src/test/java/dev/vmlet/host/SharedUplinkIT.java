package dev.vmlet.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.host.files.FileRecords;
import dev.vmlet.host.net.LinkMonitor;
import dev.vmlet.host.net.LinuxLinks;
import dev.vmlet.host.net.NftFirewall;
import dev.vmlet.host.net.OwnNamespace;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.Egress;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
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
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
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

    /**
     * Between its look and its act the first was overtaken, and it dies before it looks again. Nobody but the second is
     * left to mend it, and the kernel tells the second.
     */
    @Test
    void whatAnAgentLeavesOffWhenItDiesInBetweenTheOtherHearsOfAndTurnsOn() throws Exception {
        first.realise();
        first.remove();
        first.hook = (_, _, next) -> {
            if (next instanceof Step.RestoreForwarding) {
                second.realise();
            }
        };
        BlockingQueue<LinkName> heard = new LinkedBlockingQueue<>();
        try (LinkMonitor monitor = new LinkMonitor(new FlagsOnly(heard))) {
            assertThat(monitor).isNotNull();
            first.diesAfterTurningOff = true;
            assertThatThrownBy(first::lookAtHost).isInstanceOf(AgentDied.class);
            assertThat(forwards()).as("the second's guests are cut").isFalse();
            LinkName told;
            do {
                told = heard.poll(5, TimeUnit.SECONDS);
                assertThat(told).isNotNull();
            } while (!told.equals(UPLINK));
            second.lookAtHost();
        }
        assertThat(forwards()).isTrue();
        // The first comes back, finds the second's bridge and keeps its note; the last to go leaves the flag as it was.
        first.diesAfterTurningOff = false;
        first.hook = (_, _, _) -> {};
        first.lookAtHost();
        assertThat(forwards()).isTrue();
        second.letGo();
        first.lookAtHost();
        assertThat(forwards()).isFalse();
        assertThat(first.records.forwardingOriginals()).isEmpty();
        assertThat(second.records.forwardingOriginals()).isEmpty();
    }

    private static final class AgentDied extends Error {
        private static final long serialVersionUID = 1;
    }

    /** Hears whose flag was written and nothing else. */
    private record FlagsOnly(BlockingQueue<LinkName> heard) implements LinkMonitor.Listener {
        @Override
        public void changed(LinkName link) {}

        @Override
        public void forwardingWritten(LinkName link) {
            heard.add(link);
        }

        @Override
        public void heardBehind(LinkName port) {}

        @Override
        public void neighbourForgotten(Ipv4Address address) {}

        @Override
        public void everything() {}

        @Override
        public void deaf(String monitor, String why) {}

        @Override
        public void hears(String monitor) {}
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
        private boolean diesAfterTurningOff;

        Installed(String name, String subnet) throws HostException {
            id = new InstallationId(name);
            HostNames names = new HostNames(id);
            Path state = directory.resolve(name);
            records = new FileRecords(
                    new HostPaths(state.toString(), state.resolve("run").toString()));
            firewall = new NftFirewall(id, state.resolve("firewall"));
            Host host =
                    new Host(mortal(), firewall, new FakeVmms("boot-1"), new FakeDisks(), records, new FakeProbes());
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

        /** The kernel's links, in the hands of an agent that may die with a flag turned off. */
        private Links mortal() {
            return (Links) Proxy.newProxyInstance(
                    Links.class.getClassLoader(), new Class<?>[] {Links.class}, (_, method, arguments) -> {
                        Object answer;
                        try {
                            answer = method.invoke(links, arguments);
                        } catch (InvocationTargetException e) {
                            throw e.getCause();
                        }
                        if (diesAfterTurningOff
                                && method.getName().equals("setForwarding")
                                && Boolean.FALSE.equals(arguments[1])) {
                            throw new AgentDied();
                        }
                        return answer;
                    });
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
