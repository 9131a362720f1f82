package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import dev.vmlet.api.CloudInit;
import dev.vmlet.api.Condition;
import dev.vmlet.api.Disk;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceSpec;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeStatus;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import dev.vmlet.host.Disks;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.FakeWishes;
import dev.vmlet.host.Host;
import dev.vmlet.host.Records;
import dev.vmlet.host.Vmms;
import dev.vmlet.host.files.EvacuationWordFile;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import dev.vmlet.status.NodeStatus;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.http.BasicBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What an agent does that starts beside running guests and does not yet, or cannot, know what it should: nothing. The
 * real agent with its framework against the embedded API server; only the host is a fake. Orphans have no grace here:
 * what saves them is never the time that is left.
 */
class WarmBeforeActTest {
    private static final Duration PATIENCE = Duration.ofSeconds(60);

    @TempDir
    Path directory;

    private final FakeHost links = new FakeHost(Given.INSTALLATION);
    private final FakeVmms vmms = new FakeVmms(Given.BOOT);
    private final FakeDisks disks = new FakeDisks();
    private final FakeRecords records = new FakeRecords();
    /** How often everything of ours was looked for: once at a start, and once in each sweep. */
    private final AtomicInteger inventories = new AtomicInteger();

    /** How often all records of VMs were asked for: in the interlude by every round. */
    private final AtomicInteger recordsListed = new AtomicInteger();

    /** How often an agent would have ended its process, to be started again. */
    private final AtomicInteger watchesLost = new AtomicInteger();

    private volatile boolean disksCannotBeListed;
    private final Host host = new Host(
            links,
            links,
            guarded(Vmms.class, vmms),
            guarded(Disks.class, disks),
            guarded(Records.class, records),
            new FakeProbes());
    private final ConcurrentLinkedQueue<String> steps = new ConcurrentLinkedQueue<>();
    private final List<AutoCloseable> open = new ArrayList<>();

    /** The fakes know no threads; the agent has eight. */
    private <T> T guarded(Class<T> door, T fake) {
        return door.cast(Proxy.newProxyInstance(
                door.getClassLoader(), new Class<?>[] {door}, (_, method, arguments) -> {
                    if (method.getName().equals("traces") && door == Disks.class) {
                        if (disksCannotBeListed) {
                            throw new HostException.Refused("list the disks: Input/output error", null);
                        }
                        inventories.incrementAndGet();
                    }
                    if (method.getName().equals("vms") && door == Records.class) {
                        recordsListed.incrementAndGet();
                    }
                    synchronized (this) {
                        try {
                            return method.invoke(fake, arguments);
                        } catch (InvocationTargetException e) {
                            throw e.getCause();
                        }
                    }
                }));
    }

    @AfterEach
    void closeAll() throws Exception {
        for (AutoCloseable part : open.reversed()) {
            part.close();
        }
    }

    private <T extends AutoCloseable> T keep(T part) {
        open.add(part);
        return part;
    }

    private void close(AutoCloseable part) throws Exception {
        open.remove(part);
        part.close();
    }

    // ---- what there is on the host ----

    private record Sight(
            Map<LinkName, Link> links,
            Map<LinkName, Set<InterfaceAddress>> addresses,
            Set<FirewallElement> elements,
            Map<String, VmRecord> vms,
            Map<String, NetworkRecord> networks,
            Set<String> files,
            Map<String, String> guests) {}

    private synchronized Sight sight() {
        Map<LinkName, Link> all = links.everyLink();
        Map<LinkName, Set<InterfaceAddress>> addresses = new TreeMap<>();
        all.keySet().forEach(name -> addresses.put(name, links.everyAddress(name)));
        Map<String, String> guests = new TreeMap<>();
        vmms.guests().forEach((uid, guest) -> guests.put(uid, guest.alive() + " " + guest.kind()));
        return new Sight(
                all,
                addresses,
                links.everyElement(),
                new TreeMap<>(records.all()),
                new TreeMap<>(records.allNetworks()),
                disks.traces(),
                guests);
    }

    private synchronized boolean lives(String uid) {
        return vmms.lives(uid);
    }

    // ---- API server and agents ----

    private ApiServer server(String name, int port) throws Exception {
        return keep(ApiServer.start(
                Settings.of(directory.resolve(name), new InetSocketAddress(InetAddress.getLoopbackAddress(), port))));
    }

    private KubernetesClient client(ApiServer server, Interceptor... between) throws Exception {
        Path kubeconfig = Files.createTempFile(directory, "kubeconfig", "");
        Files.delete(kubeconfig);
        Kubeconfig.write(server, kubeconfig);
        Config config = Config.fromKubeconfig(kubeconfig.toFile());
        return keep(new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder(config)
                        .withOnlyHttpWatches(true)
                        .withRequestRetryBackoffLimit(0)
                        .withRequestTimeout(60_000)
                        .build())
                .withKubernetesSerialization(Serialization.lenient())
                .withHttpClientBuilderConsumer(builder -> {
                    for (Interceptor one : between) {
                        builder.addOrReplaceInterceptor("test", one);
                    }
                })
                .build());
    }

    private final FakeWishes wishes = new FakeWishes();

    /** Of what an agent keeps in files here. */
    private HostPaths paths() {
        return new HostPaths(directory.toString(), directory.toString());
    }

    private Wakes wakes = new Wakes(Given.NAMES, Given.NODE);

    private Agent agent(KubernetesClient client) {
        wakes = new Wakes(Given.NAMES, Given.NODE);
        steps.clear();
        Agent.Parts parts = new Agent.Parts(
                client,
                Given.NODE,
                Given.INSTALLATION,
                Given.PATHS,
                Given.BOOT,
                host,
                wakes,
                new Downtimes(Seen::missing, new EvacuationWordFile(paths())),
                () -> Given.facts(host.records().vms()),
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
                        8,
                        "16384Mi"),
                new AgentSettings(
                        Duration.ZERO, AgentSettings.START_PARALLELISM, (_, _, step) -> steps.add(step.toString())),
                AgentMetrics.unheard(),
                wishes,
                Clock.systemUTC());
        return keep(new Agent(parts, Operators.create(client, watchesLost::incrementAndGet)));
    }

    /** Guests of these names run, as an agent before ours has left them; their uids by name. */
    private Map<String, String> run(ApiServer server, String... names) throws Exception {
        links.plant("eth0", "", "02:00:00:00:00:01", 1500, true, new Mark(""), -1);
        links.routeEverythingBy(new LinkName("eth0"), 100);
        KubernetesClient client = client(server);
        ClusterController controller =
                keep(new ClusterController(client, Ipv4Prefix.parse("10.64.0.0/10"), List.of(), Clock.systemUTC()));
        controller.start();
        Agent before = agent(client);
        before.start();
        Network network = new Network();
        network.setMetadata(
                new ObjectMetaBuilder().withName("net").withNamespace("default").build());
        network.setSpec(new NetworkSpec(
                "10.77.0.0/16",
                24,
                NetworkSpec.Egress.Masquerade,
                1500,
                null,
                null,
                NetworkSpec.Isolation.None,
                null,
                null,
                null));
        client.resource(network).create();
        Map<String, String> uids = new TreeMap<>();
        for (String name : names) {
            VirtualMachine vm = new VirtualMachine();
            vm.setMetadata(new ObjectMetaBuilder()
                    .withName(name)
                    .withNamespace("default")
                    .build());
            vm.setSpec(spec());
            uids.put(name, client.resource(vm).create().getMetadata().getUid());
        }
        await().atMost(PATIENCE).until(() -> uids.values().stream().allMatch(this::runs));
        // What is written down of a start is written down.
        await().atMost(PATIENCE).until(() -> {
            Sight first = sight();
            wakes.wakeAll();
            TimeUnit.MILLISECONDS.sleep(300);
            return first.equals(sight());
        });
        close(before);
        close(controller);
        return uids;
    }

    private boolean runs(String uid) {
        synchronized (this) {
            disks.finishAll();
            vmms.guests().values().forEach(FakeVmms.Guest::boots);
        }
        wakes.wakeVm(uid);
        synchronized (this) {
            VmRecord record = records.all().get(uid);
            return record != null
                    && record.launch().flatMap(VmRecord.Launch::ranAt).isPresent();
        }
    }

    private static VirtualMachineSpec spec() {
        VirtualMachineSpec given = Given.spec("net");
        return new VirtualMachineSpec(
                given.nodeName(),
                given.runStrategy(),
                given.cpu(),
                given.memory(),
                Objects.requireNonNull(given.disks()).stream()
                        .map(d -> new Disk(d.name(), d.size(), d.image(), d.reclaimPolicy()))
                        .toList(),
                given.networks(),
                new CloudInit(List.of("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMxxxxxxxx me"), null, null),
                null,
                null,
                30);
    }

    private static VmNode node(KubernetesClient client) {
        return client.resources(VmNode.class).withName(Given.NODE).get();
    }

    private static List<VmNodeStatus.Hold> holds(KubernetesClient client) {
        return Optional.ofNullable(node(client).getStatus())
                .map(VmNodeStatus::sweep)
                .map(VmNodeStatus.Sweep::holds)
                .orElse(List.of());
    }

    private static String condition(KubernetesClient client, String type) {
        VmNodeStatus status = node(client).getStatus();
        return status == null || status.conditions() == null
                ? ""
                : status.conditions().stream()
                        .filter(c -> type.equals(c.type()))
                        .map((Condition c) -> c.status() + "/" + c.reason() + ": " + c.message())
                        .findFirst()
                        .orElse("");
    }

    private static List<Event> events(KubernetesClient client, String reason) {
        return client.v1().events().inNamespace("default").list().getItems().stream()
                .filter(e -> reason.equals(e.getReason()))
                .toList();
    }

    /** So many more sweeps have begun, of which all but the last have ended. */
    private void awaitSweeps(int more) {
        for (int i = 0; i < more; i++) {
            int before = inventories.get();
            wakes.wakeNode();
            await().atMost(PATIENCE).until(() -> inventories.get() > before);
        }
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.walkFileTree(from, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) throws IOException {
                Files.createDirectories(to.resolve(from.relativize(folder)));
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.copy(
                        file,
                        to.resolve(from.relativize(file)),
                        java.nio.file.StandardCopyOption.REPLACE_EXISTING,
                        java.nio.file.StandardCopyOption.COPY_ATTRIBUTES);
                return FileVisitResult.CONTINUE;
            }
        });
    }

    // ---- no API server at the start ----

    private void dies(String uid) {
        synchronized (this) {
            Objects.requireNonNull(vmms.guests().get(uid)).dies(1, 0);
        }
    }

    @Test
    void anAgentWithoutAnApiServerKeepsItsGuestsAndMakesAndTakesNothing() throws Exception {
        ApiServer first = server("api", 0);
        int port = first.uri().getPort();
        Map<String, String> uids = run(first, "web-1", "web-2");
        String web1 = Objects.requireNonNull(uids.get("web-1"));
        String web2 = Objects.requireNonNull(uids.get("web-2"));
        KubernetesClient client = client(first);
        // Deleted while nobody was there to hear of it.
        client.resources(VirtualMachine.class)
                .inNamespace("default")
                .withName("web-2")
                .delete();
        // What nobody asks for: an API server would have it swept.
        synchronized (this) {
            links.createTap(new LinkName("vmt-stray"), 1, 1500, Mark.ofNic(Given.INSTALLATION, "nobody", "net"));
        }
        close(first);
        Sight before = sight();
        dies(web1);
        Agent agent = agent(client);
        Thread starting = Thread.ofPlatform().daemon().start(agent::start);

        await().atMost(PATIENCE).until(() -> lives(web1));
        assertThat(lives(web2)).isTrue();
        assertThat(agent.ready().stream().filter(c -> !c.passes().getAsBoolean()))
                .extracting(dev.vmlet.health.Check::name)
                .containsExactly("caches");
        assertThat(agent.live()).allMatch(c -> c.passes().getAsBoolean());
        assertThat(steps).noneMatch(s -> s.contains("create") || s.contains("delete"));
        Sight after = sight();
        assertThat(after.links()).isEqualTo(before.links());
        assertThat(after.elements()).isEqualTo(before.elements());
        assertThat(after.files()).isEqualTo(before.files());
        assertThat(after.vms().keySet()).isEqualTo(before.vms().keySet());

        // And then it is there, and all that has happened meanwhile is told and done.
        ApiServer again = server("api", port);
        assertThat(again.uri().getPort()).isEqualTo(port);
        starting.join(PATIENCE);
        assertThat(starting.isAlive()).as("the start is over").isFalse();
        await().atMost(PATIENCE).until(() -> {
            boolean _ = runs(web1);
            VirtualMachine web = client.resources(VirtualMachine.class)
                    .inNamespace("default")
                    .withName("web-1")
                    .get();
            return web.getStatus() != null && Objects.equals(web.getStatus().restarts(), 1);
        });
        await().atMost(PATIENCE).until(() -> !sight().vms().containsKey(web2));
        assertThat(lives(web1)).isTrue();
    }

    @Test
    void aGuestThatWasToStayDownStaysDownWithoutAnApiServer() throws Exception {
        ApiServer first = server("api", 0);
        Map<String, String> uids = run(first, "web-1", "web-2");
        String web1 = Objects.requireNonNull(uids.get("web-1"));
        String web2 = Objects.requireNonNull(uids.get("web-2"));
        KubernetesClient client = client(first);
        close(first);
        // The one has no wish, as one that was being deleted; the other is to run.
        wishes.forget(web1);
        dies(web1);
        dies(web2);
        Agent agent = agent(client);
        var _ = Thread.ofPlatform().daemon().start(() -> {
            try {
                agent.start();
            } catch (RuntimeException closedBeforeItBegan) {
                // The server never comes.
            }
        });
        await().atMost(PATIENCE).until(() -> lives(web2));
        await().atMost(PATIENCE)
                .until(() -> Objects.requireNonNull(sight().vms().get(web1))
                        .lastExit()
                        .isPresent());
        assertThat(lives(web1)).isFalse();
    }

    private void startsWhileTheServerNeverComes(Agent agent) {
        var _ = Thread.ofPlatform().daemon().start(() -> {
            try {
                agent.start();
            } catch (RuntimeException closedBeforeItBegan) {
                // The server never comes.
            }
        });
    }

    private void annotate(KubernetesClient client, Map<String, String> annotations) {
        client.resources(VmNode.class).withName(Given.NODE).edit(node -> {
            node.getMetadata().setAnnotations(annotations);
            return node;
        });
    }

    @Test
    void aNodeThatIsEvacuatedByAnnotationStaysSoWithoutAnApiServerUntilTheAnnotationIsSeenGone() throws Exception {
        ApiServer first = server("api", 0);
        int port = first.uri().getPort();
        String web = Objects.requireNonNull(run(first, "web-1").get("web-1"));
        KubernetesClient client = client(first);
        Agent before = agent(client);
        before.start();
        annotate(client, Map.of(Downtimes.ANNOTATION, "true"));
        await().atMost(PATIENCE).until(() -> exitOf(web).equals(Optional.of("Evacuated")) && !lives(web));
        close(before);
        close(first);

        Agent blind = agent(client);
        startsWhileTheServerNeverComes(blind);
        roundsOfTheInterlude(6);
        assertThat(lives(web)).as("evacuated, and no API server to ask").isFalse();
        assertThat(steps).isEmpty();
        close(blind);

        // Removed while no agent was there to see it.
        ApiServer again = server("api", port);
        annotate(client, Map.of());
        assertThat(again.uri().getPort()).isEqualTo(port);
        Agent after = agent(client);
        after.start();
        await().atMost(PATIENCE).until(() -> runs(web));
        assertThat(Path.of(paths().evacuationWordFile())).doesNotExist();
        close(after);
        close(again);
        dies(web);
        startsWhileTheServerNeverComes(agent(client));
        await().atMost(PATIENCE).until(() -> lives(web));
    }

    @Test
    void nothingIsStartedWithoutAnApiServerWhileItCannotBeReadWhetherTheNodeIsEvacuated() throws Exception {
        ApiServer first = server("api", 0);
        int port = first.uri().getPort();
        Map<String, String> uids = run(first, "web-1", "web-2");
        String dead = Objects.requireNonNull(uids.get("web-1"));
        String alive = Objects.requireNonNull(uids.get("web-2"));
        KubernetesClient client = client(first);
        close(first);
        dies(dead);
        Files.createDirectory(Path.of(paths().evacuationWordFile()));
        Agent agent = agent(client);
        startsWhileTheServerNeverComes(agent);
        await().atMost(PATIENCE).until(() -> exitOf(dead).isPresent());
        roundsOfTheInterlude(6);
        assertThat(lives(dead)).as("whether it may run is not known").isFalse();
        assertThat(lives(alive)).as("nor that it may not").isTrue();

        ApiServer again = server("api", port);
        assertThat(again.uri().getPort()).isEqualTo(port);
        await().atMost(PATIENCE).until(() -> lives(dead));
        assertThat(Path.of(paths().evacuationWordFile())).doesNotExist();
    }

    private Optional<String> exitOf(String uid) {
        return Objects.requireNonNull(sight().vms().get(uid))
                .lastExit()
                .map(exit -> exit.reason().toString());
    }

    /** So many rounds have looked at every VM here. */
    private void roundsOfTheInterlude(int howMany) {
        for (int i = 0; i < howMany; i++) {
            int before = recordsListed.get();
            await().atMost(PATIENCE).until(() -> recordsListed.get() > before);
        }
    }

    // ---- an object store that was restored from a backup ----

    @Test
    void aRestoredObjectStoreCostsNoGuestUntilAPersonHasSaidWhich() throws Exception {
        ApiServer first = server("api", 0);
        int port = first.uri().getPort();
        close(first);
        copy(directory.resolve("api"), directory.resolve("backup"));
        ApiServer busy = server("api", port);
        Map<String, String> uids = run(busy, "web-1", "web-2");
        Sight before = sight();
        close(busy);
        copy(directory.resolve("backup"), directory.resolve("api"));
        ApiServer restored = server("api", port);
        KubernetesClient client = client(restored);
        assertThat(client.resources(VirtualMachine.class)
                        .inAnyNamespace()
                        .list()
                        .getItems())
                .isEmpty();
        agent(client).start();

        await().atMost(PATIENCE).until(() -> holds(client).size() == 2);
        awaitSweeps(4);
        assertThat(sight()).isEqualTo(before);
        assertThat(steps).isEmpty();
        assertThat(holds(client)).extracting(VmNodeStatus.Hold::cause).containsExactly("ManyAtOnce", "ManyAtOnce");
        assertThat(condition(client, "Swept")).startsWith("False/OrphanHeld: VirtualMachine default/web-");
        await().atMost(PATIENCE).until(() -> events(client, "OrphanHeld").size() == 2);
        assertThat(events(client, "OrphanHeld")).extracting(Event::getCount).containsExactly(1, 1);

        // The command of the hold, as kubectl does it.
        String web1 = Objects.requireNonNull(uids.get("web-1"));
        String web2 = Objects.requireNonNull(uids.get("web-2"));
        String command = holds(client).stream()
                .filter(h -> ("uid " + web1).equals(h.owner()))
                .map(h -> String.valueOf(h.confirm()))
                .findFirst()
                .orElseThrow();
        assertThat(command).isEqualTo("kubectl annotate vmnode a vmlet.dev/confirm-removal=" + web1 + " --overwrite");
        annotate(client, web1);
        await().atMost(PATIENCE).until(() -> !sight().vms().containsKey(web1));
        assertThat(steps).as("the ordinary ladder").contains("press the power button of default/web-1");
        assertThat(lives(web1)).isFalse();
        await().atMost(PATIENCE)
                .until(() -> events(client, "Repaired").stream()
                        .anyMatch(
                                e -> e.getMessage().startsWith("swept default/web-1, as confirmed on this VmNode: ")));
        awaitSweeps(3);
        assertThat(lives(web2)).as("nobody confirmed this one").isTrue();
        assertThat(sight().vms().get(web2)).isEqualTo(before.vms().get(web2));
        assertThat(events(client, "NothingToConfirm")).isEmpty();

        annotate(client, "no-such-uid");
        await().atMost(PATIENCE).until(() -> events(client, "NothingToConfirm").size() == 1);
        assertThat(events(client, "NothingToConfirm").getFirst().getMessage())
                .startsWith("annotation vmlet.dev/confirm-removal names no-such-uid, which nothing that is held on this"
                        + " node has");
        assertThat(lives(web2)).isTrue();
    }

    private static void annotate(KubernetesClient client, String value) {
        client.resources(VmNode.class).withName(Given.NODE).edit(n -> {
            n.getMetadata().setAnnotations(Map.of(VmNode.CONFIRM_REMOVAL, value));
            return n;
        });
    }

    @Test
    void aStoreThatIsRestoredUnderARunningAgentCostsNoGuest() throws Exception {
        ApiServer first = server("api", 0);
        int port = first.uri().getPort();
        close(first);
        copy(directory.resolve("api"), directory.resolve("backup"));
        ApiServer busy = server("api", port);
        var _ = run(busy, "web-1", "web-2");
        KubernetesClient client = client(busy);
        agent(client).start();
        awaitSweeps(1);
        Sight before = sight();
        steps.clear();
        close(busy);
        copy(directory.resolve("backup"), directory.resolve("api"));
        var _ = server("api", port);
        // The agent's own object went with the others: it says nothing of itself until it is started again.
        await().atMost(PATIENCE)
                .until(() -> client.resources(VirtualMachine.class)
                        .inAnyNamespace()
                        .list()
                        .getItems()
                        .isEmpty());
        TimeUnit.SECONDS.sleep(3);
        wakes.wakeAll();
        TimeUnit.SECONDS.sleep(2);
        assertThat(sight()).isEqualTo(before);
        assertThat(steps).isEmpty();
    }

    /** With this node's Lease in the backup, renewed before the guest was. */
    private KubernetesClient aBackupIsRestoredThatIsOlderThanTheOneGuest(boolean underTheAgent) throws Exception {
        ApiServer first = server("api", 0);
        int port = first.uri().getPort();
        Agent before = agent(client(first));
        before.start();
        await().atMost(PATIENCE).until(() -> records.storeStamp().isPresent());
        close(before);
        close(first);
        copy(directory.resolve("api"), directory.resolve("backup"));
        ApiServer busy = server("api", port);
        var _ = run(busy, "web-1");
        KubernetesClient client = client(busy);
        if (underTheAgent) {
            agent(client).start();
            awaitSweeps(1);
        }
        steps.clear();
        close(busy);
        copy(directory.resolve("backup"), directory.resolve("api"));
        var _ = server("api", port);
        if (!underTheAgent) {
            agent(client).start();
        }
        return client;
    }

    private void awaitRestoredStoreHeld(KubernetesClient client) {
        await().atMost(PATIENCE).ignoreExceptions().untilAsserted(() -> {
            wakes.wakeNode();
            assertThat(holds(client)).extracting(VmNodeStatus.Hold::cause).containsExactly("StoreRestored");
        });
    }

    @Test
    void aLoneGuestThatIsNotInARestoredStoreWaitsForAPerson() throws Exception {
        KubernetesClient client = aBackupIsRestoredThatIsOlderThanTheOneGuest(false);
        Sight before = sight();
        awaitRestoredStoreHeld(client);
        awaitSweeps(3);
        assertThat(sight()).isEqualTo(before);
        assertThat(steps).isEmpty();
        assertThat(holds(client).getFirst().reason())
                .isEqualTo(
                        "the object store went back in time, as a backup that was restored, and the object of this VM"
                                + " is not in it; nothing is touched until a person decides");
    }

    /** Which renews its Lease meanwhile, and so writes over what tells of it. */
    @Test
    void soItDoesWhenTheStoreIsRestoredUnderARunningAgent() throws Exception {
        KubernetesClient client = aBackupIsRestoredThatIsOlderThanTheOneGuest(true);
        Sight before = sight();
        await().atMost(PATIENCE).ignoreExceptions().until(() -> {
            wakes.wakeNode();
            return !records.unseen().isEmpty();
        });
        wakes.wakeAll();
        TimeUnit.SECONDS.sleep(12);
        wakes.wakeAll();
        TimeUnit.SECONDS.sleep(1);
        assertThat(sight()).isEqualTo(before);
        assertThat(steps).isEmpty();
        assertThat(client).isNotNull();
    }

    @Test
    void aNodeThatLostItsSliceTakesTheSameAgain() throws Exception {
        ApiServer server = server("api", 0);
        KubernetesClient client = client(server);
        // Of another node, so that ours is not the first one of all.
        client.resource(slice("net-0", "b", "10.77.0.0/24")).create();
        var _ = run(server, "web-1");
        Sight before = sight();
        assertThat(before.networks().values().stream()
                        .map(n -> n.realised().subnet().toString()))
                .containsExactly("10.77.1.0/24");
        for (String lost : List.of("net-0", "net-1")) {
            var slice =
                    client.resources(NetworkSlice.class).inNamespace("default").withName(lost);
            var _ = slice.delete();
            if (slice.get() != null) {
                slice.edit(s -> {
                    s.getMetadata().setFinalizers(List.of());
                    return s;
                });
            }
        }
        agent(client).start();
        await().atMost(PATIENCE)
                .until(() -> client.resources(NetworkSlice.class).inNamespace("default").list().getItems().stream()
                        .anyMatch(s -> Given.NODE.equals(
                                        Objects.requireNonNull(s.getSpec()).nodeName())
                                && s.getStatus() != null));
        assertThat(client.resources(NetworkSlice.class)
                        .inNamespace("default")
                        .list()
                        .getItems())
                .extracting(s -> s.getMetadata().getName())
                .containsExactly("net-1");
        awaitSweeps(1);
        assertThat(sight()).isEqualTo(before);
        assertThat(steps).isEmpty();
    }

    private static NetworkSlice slice(String name, String node, String cidr) {
        NetworkSlice slice = new NetworkSlice();
        slice.setMetadata(
                new ObjectMetaBuilder().withName(name).withNamespace("default").build());
        slice.setSpec(new NetworkSliceSpec("net", node, cidr));
        return slice;
    }

    // ---- another cluster ----

    @Test
    void anotherClusterCostsNotEvenALoneGuest() throws Exception {
        Map<String, String> uids = run(server("home", 0), "web-1");
        Sight before = sight();
        KubernetesClient elsewhere = client(server("elsewhere", 0));
        agent(elsewhere).start();
        await().atMost(PATIENCE).until(() -> holds(elsewhere).size() == 1);
        awaitSweeps(4);
        assertThat(sight()).isEqualTo(before);
        assertThat(steps).isEmpty();
        assertThat(holds(elsewhere))
                .extracting(h -> h.owner() + " " + h.cause())
                .containsExactly("uid " + uids.get("web-1") + " OtherCluster");
    }

    // ---- an API server that refuses, lies or keeps silent ----

    /** Sends what it is told to another server, which answers as it is told. */
    private static final class Evil implements Interceptor, AutoCloseable {
        private final HttpServer server;
        private final Set<String> paths;
        private final CountDownLatch end = new CountDownLatch(1);
        final AtomicInteger asked = new AtomicInteger();

        /** @param paths last parts of the collections that it answers for */
        Evil(String how, Set<String> paths) throws IOException {
            this.paths = paths;
            this.server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
            server.setExecutor(Executors.newVirtualThreadPerTaskExecutor());
            server.createContext("/", exchange -> answer(exchange, how));
            server.start();
        }

        @Override
        public void before(BasicBuilder builder, HttpRequest request, RequestTags tags) {
            URI asks = request.uri();
            if (request.method().equals("GET")
                    && paths.stream().anyMatch(p -> asks.getPath().endsWith("/" + p))) {
                builder.uri(URI.create("http://127.0.0.1:" + server.getAddress().getPort() + asks.getRawPath()
                        + (asks.getRawQuery() == null ? "" : "?" + asks.getRawQuery())));
            }
        }

        private void answer(HttpExchange exchange, String how) throws IOException {
            asked.incrementAndGet();
            boolean watches =
                    String.valueOf(exchange.getRequestURI().getQuery()).contains("watch=true");
            try {
                if (how.equals("hang") || how.equals("empty") && watches) {
                    end.await();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            int code = how.equals("empty") || how.equals("hang") ? 200 : Integer.parseInt(how);
            String body = code == 200
                    ? "{\"apiVersion\":\"vmlet.dev/v1alpha1\",\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"1\"},"
                            + "\"items\":[]}"
                    : "{\"apiVersion\":\"v1\",\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"no\",\"code\":"
                            + code + "}";
            exchange.getResponseHeaders().set("Content-Type", "application/json");
            byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(code, bytes.length);
            exchange.getResponseBody().write(bytes);
            exchange.close();
        }

        @Override
        public void close() {
            end.countDown();
            server.stop(0);
        }
    }

    /** As {@link Agent#start}, which may fail or take its time. */
    private static void startBeside(Agent agent) {
        Thread.ofVirtual().start(() -> {
            try {
                agent.start();
            } catch (RuntimeException _) {
                // The process would end with it, and be started again.
            }
        });
    }

    @Test
    void anApiServerThatRefusesOrHangsCostsNothing() throws Exception {
        ApiServer server = server("api", 0);
        var _ = run(server, "web-1");
        // One is being deleted: there would be something to do.
        client(server)
                .resources(VirtualMachine.class)
                .inNamespace("default")
                .withName("web-1")
                .delete();
        Sight before = sight();
        for (Set<String> kinds : List.of(Set.of("virtualmachines"), Set.of("vmnodes"), Set.of("networks"))) {
            for (String how : List.of("403", "500", "410", "hang")) {
                Evil evil = keep(new Evil(how, kinds));
                Agent agent = agent(client(server, evil));
                startBeside(agent);
                // The framework's timers fail loudly in an agent whose start failed; its process would end.
                await().dontCatchUncaughtExceptions().atMost(PATIENCE).until(() -> evil.asked.get() > 0);
                TimeUnit.MILLISECONDS.sleep(500);
                assertThat(sight()).as(how + " for " + kinds).isEqualTo(before);
                assertThat(steps).as(how + " for " + kinds).isEmpty();
                close(evil);
                close(agent);
            }
        }
    }

    @Test
    void listsThatAreEmptyAgainstWhatADirectReadSaysCostNothing() throws Exception {
        ApiServer server = server("api", 0);
        var _ = run(server, "web-1");
        Sight before = sight();
        // Networks, their slices and VMs, on every list and watch; also what the sweep asks past the caches.
        Evil evil = keep(new Evil("empty", Set.of("networkslices", "networks", "virtualmachines")));
        KubernetesClient truth = client(server);
        agent(client(server, evil)).start();
        awaitSweeps(4);
        assertThat(sight()).isEqualTo(before);
        assertThat(steps).isEmpty();
        assertThat(holds(truth)).isEmpty();
    }

    // ---- a host that does not show all ----

    @Test
    void nothingIsDoneBeforeTheHostWasSeenWhole() throws Exception {
        ApiServer server = server("api", 0);
        Map<String, String> uids = run(server, "web-1", "web-2");
        KubernetesClient client = client(server);
        client.resources(VirtualMachine.class)
                .inNamespace("default")
                .withName("web-1")
                .delete();
        String deleted = Objects.requireNonNull(uids.get("web-1"));
        Sight before = sight();
        disksCannotBeListed = true;
        agent(client).start();
        await().atMost(PATIENCE).until(() -> condition(client, "Swept").startsWith("Unknown"));
        assertThat(condition(client, "Swept"))
                .isEqualTo("Unknown/CannotLook: this node has not been seen whole since the agent started, and nothing"
                        + " is changed before that: list the disks: Input/output error");
        assertThat(condition(client, "Ready")).startsWith("Unknown/CannotLook");
        wakes.wakeAll();
        TimeUnit.SECONDS.sleep(1);
        assertThat(sight()).isEqualTo(before);
        assertThat(steps).isEmpty();
        disksCannotBeListed = false;
        await().atMost(PATIENCE).until(() -> !sight().vms().containsKey(deleted));
        assertThat(sight().guests().keySet()).isEqualTo(Set.of(Objects.requireNonNull(uids.get("web-2"))));
        await().atMost(PATIENCE).until(() -> condition(client, "Ready").startsWith("True"));
    }

    @Test
    void aLaterLookThatFailsEndsTheSweepAndShows() throws Exception {
        ApiServer server = server("api", 0);
        var _ = run(server, "web-1");
        KubernetesClient client = client(server);
        agent(client).start();
        awaitSweeps(1);
        LinkName stray = Given.NAMES.tap("vm-9", "net");
        disksCannotBeListed = true;
        links.plant(
                stray.value(), "tun", "02:00:00:00:00:07", 1500, false, Mark.ofNic(Given.INSTALLATION, "vm-9", "x"), 1);
        wakes.wakeNode();
        await().atMost(PATIENCE).until(() -> condition(client, "Swept").startsWith("False/HostRefused"));
        assertThat(condition(client, "Swept"))
                .isEqualTo("False/HostRefused: nothing was swept: list the disks: Input/output error");
        assertThat(links.everyLink()).containsKey(stray);
        disksCannotBeListed = false;
        await().atMost(PATIENCE).until(() -> !links.everyLink().containsKey(stray));
        await().atMost(PATIENCE).until(() -> condition(client, "Swept").startsWith("True"));
        assertThat(steps.stream().filter(s -> s.contains("web-1")).collect(Collectors.toSet()))
                .isEmpty();
    }
}
