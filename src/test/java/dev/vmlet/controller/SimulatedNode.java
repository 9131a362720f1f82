package dev.vmlet.controller;

import dev.vmlet.host.Disks;
import dev.vmlet.host.EvacuationWord;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.host.Probes;
import dev.vmlet.host.Records;
import dev.vmlet.host.Vmms;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Seen;
import dev.vmlet.status.NodeStatus;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.time.Clock;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * One node of many in this JVM: the real agent with its framework and a client of its own, on a host in memory whose
 * disks are ready and whose guests run as soon as they are asked for. What it cannot show is the time a host takes.
 */
public final class SimulatedNode implements AutoCloseable {
    private static final String LETTERS = "abcdefghijklmnopqrstuvwxyz234567";

    private final String name;
    private final InstallationId installation;
    private final KubernetesClient client;
    private final FakeHost links;
    private final FakeVmms vmms = new FakeVmms(Given.BOOT);
    private final FakeDisks disks = new FakeDisks();
    private final FakeRecords records = new FakeRecords();
    private final Host host;
    private final HostNames names;
    private final Wakes wakes;
    private final AtomicInteger watchesLost = new AtomicInteger();
    private @Nullable Agent agent;

    /**
     * @param number makes the installation id; below 1,024
     * @param client this node's own, closed with it
     */
    public SimulatedNode(String name, int number, KubernetesClient client) {
        this.name = name;
        this.client = client;
        // Eight of base32, the last two telling the number.
        this.installation = new InstallationId("simaaa" + LETTERS.charAt(number / 32) + LETTERS.charAt(number % 32));
        this.names = new HostNames(installation);
        this.links = new FakeHost(installation);
        links.plant("eth0", "", "02:00:00:00:00:01", 1500, true, new Mark(""), -1);
        links.plantAddress(new LinkName("eth0"), address(number));
        links.routeEverythingBy(new LinkName("eth0"), 100);
        this.wakes = new Wakes(names, name);
        this.host = new Host(
                links,
                links,
                inTurn(Vmms.class, vmms),
                inTurn(Disks.class, disks),
                inTurn(Records.class, records),
                inTurn(Probes.class, new FakeProbes()));
    }

    /** Of node number so-and-so, on the uplink. */
    static InterfaceAddress address(int number) {
        return new InterfaceAddress(Ipv4Address.parse("192.0." + (2 + number / 250) + "." + (1 + number % 250)), 24);
    }

    public String name() {
        return name;
    }

    public KubernetesClient client() {
        return client;
    }

    public void start() {
        Agent.Parts parts = new Agent.Parts(
                client,
                name,
                installation,
                Given.PATHS,
                Given.BOOT,
                host,
                wakes,
                new Downtimes(Seen::missing, EvacuationWord.none()),
                this::facts,
                new NodeStatus.Facts(
                        "test",
                        Given.BOOT,
                        true,
                        "KVM works.",
                        "cloud-hypervisor",
                        "v53.0",
                        "/vmm",
                        "",
                        false,
                        false,
                        6,
                        "",
                        "6.12",
                        "amd64",
                        64,
                        "262144Mi"),
                new AgentSettings(Duration.ofMinutes(5), 64, (_, _, _) -> {}),
                Clock.systemUTC());
        // A process of its own would end now, and be started again.
        agent = new Agent(parts, Operators.create(client, watchesLost::incrementAndGet));
        agent.start();
    }

    /** The agent ends; the host stays as it is. */
    public void stop() {
        if (agent != null) {
            agent.close();
            agent = null;
        }
    }

    private HostFacts facts() {
        HostFacts given = Given.facts(look(records::vms));
        return new HostFacts(
                name,
                installation,
                given.bootId(),
                64,
                new dev.vmlet.model.Mebibytes(262_144),
                given.architecture(),
                given.catalog(),
                given.vmms(),
                given.vmmReason(),
                given.vmmProblem(),
                given.defaultFirmware(),
                given.userIdFirst(),
                65_536,
                given.sha256Required(),
                given.records(),
                given.reservations(),
                given.reservedPorts());
    }

    /** How often the agent would have ended because it lost its watch of the API server. */
    public int watchesLost() {
        return watchesLost.get();
    }

    /** Guests that live. */
    public int running() {
        return look(() -> (int)
                vmms.guests().values().stream().filter(FakeVmms.Guest::alive).count());
    }

    /** Uids of the VMs that have a record here. */
    public Set<String> vms() {
        return look(() -> Set.copyOf(records.all().keySet()));
    }

    public boolean lives(String vmUid) {
        return look(() -> vmms.lives(vmUid));
    }

    /** How many of this node's bridges have a way out. */
    public long bridgesWithEgress() {
        return links.everyElement().stream()
                .filter(e -> e.set() == FirewallSet.EGRESS)
                .count();
    }

    /** MTUs of this node's bridges. */
    public Set<Integer> bridgeMtus() {
        return links.everyLink().values().stream()
                .filter(l -> l.name().value().startsWith("vmb-"))
                .map(Link::mtu)
                .collect(Collectors.toSet());
    }

    private <T> T look(Supplier<T> at) {
        synchronized (vmms) {
            return at.get();
        }
    }

    private <T> T inTurn(Class<T> door, T fake) {
        return door.cast(Proxy.newProxyInstance(
                door.getClassLoader(), new Class<?>[] {door}, (_, method, arguments) -> {
                    try {
                        synchronized (vmms) {
                            Object came = method.invoke(fake, arguments);
                            if (method.getName().equals("prepare")) {
                                disks.finishAll();
                            } else if (method.getName().equals("spawn")) {
                                vmms.guests().values().forEach(FakeVmms.Guest::boots);
                            }
                            return came;
                        }
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                }));
    }

    @Override
    public void close() {
        stop();
        client.close();
    }
}
