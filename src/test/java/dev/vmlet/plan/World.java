package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Disk;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.controller.StoreWatch;
import dev.vmlet.controller.Sweeper;
import dev.vmlet.host.Applier;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.host.Wishes;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.UserData;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.Witnesses;
import dev.vmlet.resolve.NetworkResolver;
import dev.vmlet.resolve.NetworkResolver.HostAddressing;
import dev.vmlet.resolve.Statuses;
import dev.vmlet.resolve.VmResolver;
import dev.vmlet.status.NetworkStatuses;
import dev.vmlet.status.VmStatus;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * A whole host in memory with its agent and the objects of its API server: the reconcilers' straight line, without
 * their framework. Time passes only when the test says so; the agent dies where the test says so.
 */
final class World {
    static final LinkName UPLINK = new LinkName("eth0");
    /** A bridge that the operator keeps, and its port to the LAN, which is smaller. */
    static final LinkName BR0 = new LinkName("br0");

    static final LinkName LAN_PORT = new LinkName("lan0");
    static final int LAN_MTU = 1400;
    static final Duration ORPHAN_GRACE = Duration.ofSeconds(60);

    /** The end of the agent's process between two steps. */
    static final class AgentDied extends Error {
        private static final long serialVersionUID = 1L;
    }

    final FakeHost links = new FakeHost(Given.INSTALLATION);
    final FakeVmms vmms = new FakeVmms("boot-0");
    final FakeDisks disks = new FakeDisks();
    final FakeRecords records = new FakeRecords();
    final FakeProbes probes = new FakeProbes();
    private final Host host = new Host(links, links, vmms, disks, records, probes);
    private final Observer observer = new Observer(host, Given.NAMES);
    private final Applier applier = new Applier(host, this::beforeStep, () -> reapDue = true);

    final Map<String, VirtualMachine> vms = new TreeMap<>();
    final Map<String, Network> networks = new TreeMap<>();
    final Map<String, NetworkSlice> slices = new TreeMap<>();
    /** VMs whose user data is in a Secret that somebody has deleted. */
    final Set<String> secretless = new HashSet<>();

    Instant now = Given.NOW;
    int boots;
    /** The reaper was woken, and has not come yet; an agent that dies takes this knowledge with it. */
    private boolean reapDue;

    private final SplittableRandom random;
    private final Oracle oracle;
    private VmPlanner vmPlanner = new VmPlanner(Given.NAMES, Given.PATHS, "boot-0");
    private final NetworkPlanner networkPlanner = new NetworkPlanner(Given.NAMES);
    private Sweeper sweeper;
    /** The agent dies before a step with this chance in a hundred. */
    int deadly;
    /** A look fails in a pass with this chance in a hundred, and so does a step. */
    int flaky;

    final StringBuilder story = new StringBuilder();
    boolean tell;
    /** Only what was planned, without the steps as they are made. */
    boolean plansOnly;

    int steps;
    int deaths;
    int passes;

    World(SplittableRandom random) {
        this.random = random;
        this.oracle = new Oracle(this);
        this.sweeper = newSweeper();
        records.keepCluster("cluster-1");
        plantUplink(random.nextBoolean());
    }

    /** The operator makes the bridge, or makes it again: other indexes, the same names. */
    void plantLan() {
        links.plant(BR0.value(), "bridge", "02:00:00:00:00:05", LAN_MTU, true, new Mark("the office"), -1);
        links.plant(LAN_PORT.value(), "veth", "02:00:00:00:00:06", LAN_MTU, true, new Mark(""), -1);
        try {
            links.attach(LAN_PORT, BR0);
        } catch (HostException e) {
            throw new IllegalStateException(e);
        }
        oracle.keptByOperator(BR0);
        oracle.keptByOperator(LAN_PORT);
    }

    void unplugLan() {
        for (LinkName link : List.of(LAN_PORT, BR0)) {
            oracle.takenByOperator(link);
            links.unplug(link);
        }
    }

    boolean hasLan() {
        return links.everyLink().containsKey(BR0);
    }

    Oracle oracle() {
        return oracle;
    }

    void plantUplink(boolean forwarding) {
        links.plant(UPLINK.value(), "", "02:00:00:00:00:01", 1500, true, new Mark(""), -1);
        links.routeEverythingBy(UPLINK, 100);
        setUplink(forwarding);
    }

    private void setUplink(boolean forwarding) {
        try {
            links.setForwarding(UPLINK, forwarding);
        } catch (HostException e) {
            throw new IllegalStateException(e);
        }
        oracle.uplinkWas(forwarding);
    }

    void say(String what) {
        if (tell) {
            story.append(what).append('\n');
        }
    }

    private void tellPlan(String object, Plan plan) {
        if (tell && !plan.equals(Plan.nothing())) {
            say(object + ":");
            Texts.of(plan).lines().forEach(line -> say("  " + line));
        }
    }

    // ---- the agent ----

    private Sweeper newSweeper() {
        return new Sweeper(
                observer,
                records,
                new StoreWatch(records),
                vmPlanner,
                networkPlanner,
                applier,
                Given.INSTALLATION,
                ORPHAN_GRACE,
                Optional::empty,
                Wishes.none(),
                new Clock() {
                    @Override
                    public java.time.ZoneId getZone() {
                        return ZoneOffset.UTC;
                    }

                    @Override
                    public Clock withZone(java.time.ZoneId zone) {
                        return this;
                    }

                    @Override
                    public Instant instant() {
                        return now;
                    }
                },
                () -> reapDue = true);
    }

    /** A new process of the agent on the same host. */
    void agentStarts() {
        disks.agentDies();
        reapDue = false;
        probes.watched().clear();
        vmPlanner = new VmPlanner(Given.NAMES, Given.PATHS, "boot-" + boots);
        sweeper = newSweeper();
    }

    void reboot() {
        boots++;
        boolean lan = hasLan();
        links.reboot();
        links.routeEverythingBy(UPLINK, 100);
        vmms.reboot("boot-" + boots);
        records.enterBoot();
        // The operator may have changed the host's own setting meanwhile.
        setUplink(random.nextBoolean());
        oracle.rebooted();
        if (lan) {
            plantLan();
        }
        agentStarts();
    }

    private void beforeStep(String subject, int done, Step next) {
        oracle.hold();
        oracle.mayHappen(next);
        if (random.nextInt(100) < deadly) {
            throw new AgentDied();
        }
        steps++;
        if (!plansOnly) {
            say("    " + next);
        }
    }

    /** One pass over everything, in any order; the agent may die in the middle. True when nothing was to do. */
    boolean round() {
        boolean quiet = true;
        try {
            quiet &= node();
            for (String uid : shuffled(networks.keySet())) {
                quiet &= network(java.util.Objects.requireNonNull(networks.get(uid)));
            }
            for (String uid : shuffled(vms.keySet())) {
                quiet &= vm(java.util.Objects.requireNonNull(vms.get(uid)));
            }
            quiet &= sweep();
            quiet &= reap();
        } catch (AgentDied e) {
            deaths++;
            say("  the agent dies");
            clearFaults();
            agentStarts();
            quiet = false;
        }
        oracle.hold();
        return quiet;
    }

    /** The reaper comes in its own time. */
    private boolean reap() throws AgentDied {
        if (!reapDue || random.nextInt(3) == 0) {
            return !reapDue;
        }
        reapDue = false;
        try {
            List<LinkName> reaped = links.reap(Given.INSTALLATION, Given.NAMES.reapGroup());
            if (!plansOnly) {
                reaped.forEach(tap -> say("  reaped: " + tap));
            }
        } catch (HostException e) {
            throw new IllegalStateException("no failure was set for it", e);
        }
        return false;
    }

    private List<String> shuffled(Set<String> uids) {
        List<String> list = new java.util.ArrayList<>(uids);
        for (int i = list.size() - 1; i > 0; i--) {
            java.util.Collections.swap(list, i, random.nextInt(i + 1));
        }
        return list;
    }

    // ---- faults ----

    private void looksMayFail() {
        if (random.nextInt(100) >= flaky) {
            return;
        }
        switch (random.nextInt(8)) {
            case 0 -> vmms.failNextLook("evidence disagrees");
            case 1 -> disks.failNextLook("cannot list");
            case 2 -> links.failNext("contained", new HostException.TimedOut("nft", null));
            case 3 -> links.failNext("list", new HostException.TimedOut("dump", null));
            case 4 -> links.failNext("addresses", new HostException.TimedOut("addresses", null));
            case 5 -> links.failNext("forwarding", new HostException.Refused("sysctl", null));
            case 6 -> links.failNext("observe", new HostException.TimedOut("nft", null));
            default -> links.failNext("find", new HostException.TimedOut("find", null));
        }
    }

    /** Whether a fault that was set is still waiting. */
    private boolean clearFaults() {
        boolean pending = links.takeBackFailures();
        pending |= vmms.takeBackFailure();
        pending |= disks.takeBackFailure();
        return pending;
    }

    private void stepsMayFail() {
        if (random.nextInt(100) >= flaky) {
            return;
        }
        List<String> doors =
                List.of("createTap", "attach", "setUp", "add", "delete", "retire", "createBridge", "install");
        if (random.nextInt(9) == 0) {
            vmms.refuseNextSpawn(new HostException.Refused("spawn", null));
        } else {
            links.failNext(doors.get(random.nextInt(doors.size())), new HostException.Busy("not now", null));
        }
    }

    /** Observes; the second value tells whether a look failed meanwhile. */
    private <T> T blindfolded(java.util.function.Supplier<T> look, boolean[] blind) {
        looksMayFail();
        boolean armed = links.armed() || vmms.armed() || disks.armed();
        T seen = look.get();
        blind[0] = armed && !clearFaults();
        clearFaults();
        return seen;
    }

    private Outcome apply(String subject, Plan plan) {
        stepsMayFail();
        Outcome outcome = applier.apply(subject, plan);
        outcome.failed().ifPresent(f -> say("    refused: " + f.cause().getMessage()));
        clearFaults();
        return outcome;
    }

    // ---- passes: what the reconcilers do ----

    private boolean node() {
        passes++;
        boolean[] blind = new boolean[1];
        HostObservation seen = blindfolded(observer::observeHost, blind);
        Plan plan = HostPlanner.plan(Given.INSTALLATION, seen);
        tellPlan("node", plan);
        Outcome outcome = apply("node", plan);
        outcome.done().stream()
                .filter(done -> done.step() instanceof Step.InstallFirewall)
                .forEach(_ -> oracle.installed(seen));
        return plan.isEmpty() && outcome.failed().isEmpty() && !blind[0];
    }

    boolean isUsed(Network network) {
        return vms.values().stream()
                        .anyMatch(vm -> names(vm).contains(network.getMetadata().getName()))
                || records.all().values().stream()
                        .anyMatch(r -> r.nics().stream()
                                .anyMatch(n -> n.network()
                                        .uid()
                                        .equals(network.getMetadata().getUid())));
    }

    static List<String> names(VirtualMachine vm) {
        return nics(vm).stream().map(VirtualMachineSpec.NetworkInterface::name).toList();
    }

    /** Whether the Network is on the operator's bridge. */
    static boolean isLan(Network network) {
        return NetworkResolver.existingBridge(network).isPresent();
    }

    static List<VirtualMachineSpec.NetworkInterface> nics(VirtualMachine vm) {
        List<VirtualMachineSpec.NetworkInterface> nics = spec(vm).networks();
        return nics == null ? List.of() : nics;
    }

    static VirtualMachineSpec spec(VirtualMachine vm) {
        return java.util.Objects.requireNonNull(vm.getSpec());
    }

    private boolean network(Network network) {
        passes++;
        String uid = network.getMetadata().getUid();
        boolean used = isUsed(network);
        boolean letGo = network.getMetadata().getDeletionTimestamp() != null && !used;
        NetworkObservation look = observer.observeNetwork(uid, Optional.empty());
        Resolution<DesiredNetwork> resolution = letGo
                ? new Resolution.Absent<>()
                : NetworkResolver.resolve(
                        network,
                        List.copyOf(networks.values()),
                        List.copyOf(slices.values()),
                        Given.NODE,
                        used,
                        look.record() instanceof Seen.Present<NetworkRecord>(NetworkRecord r)
                                ? Optional.of(r.realised().subnet())
                                : Optional.empty(),
                        addressing(uid),
                        Given.INSTALLATION);
        Optional<DesiredNetwork> desired = resolution instanceof Resolution.Desired<DesiredNetwork>(DesiredNetwork d)
                ? Optional.of(d)
                : Optional.empty();
        boolean[] blind = new boolean[1];
        NetworkObservation seen = blindfolded(() -> observer.observeNetwork(uid, desired), blind);
        Plan plan = networkPlanner.plan(uid, resolution, seen);
        tellPlan("Network lab/" + network.getMetadata().getName() + " uid " + uid, plan);
        if (blind[0]) {
            assertThat(plan.steps()).as("a failed look blocks Network %s", uid).isEmpty();
        }
        Outcome outcome = apply(uid, plan);
        NetworkResolver.existingBridge(network).ifPresent(bridge -> {
            NetworkSlice slice = java.util.Objects.requireNonNull(slices.get(uid));
            slice.setStatus(NetworkStatuses.ofLan(slice, bridge, observer.observeLan(bridge), now));
        });
        if (letGo
                && plan.isEmpty()
                && outcome.failed().isEmpty()
                && records.network(uid) instanceof Seen.Missing
                && !blind[0]) {
            networks.remove(uid);
            slices.remove(uid);
            return false;
        }
        return plan.isEmpty() && outcome.failed().isEmpty() && !blind[0];
    }

    private HostAddressing addressing(String uid) {
        try {
            Set<LinkName> bridges = links.list().stream()
                    .filter(l -> l.mark().owner(Given.INSTALLATION).equals(new Owner.OfNetwork(uid)))
                    .map(Link::name)
                    .collect(Collectors.toCollection(HashSet::new));
            var addresses = new HashMap<>(links.allAddresses());
            addresses.keySet().removeAll(bridges);
            return new HostAddressing(
                    addresses,
                    links.routes().stream()
                            .filter(r -> !bridges.contains(r.device()))
                            .toList(),
                    records.networks());
        } catch (HostException e) {
            throw new IllegalStateException(e);
        }
    }

    Resolution<DesiredVm> resolve(VirtualMachine vm) {
        return VmResolver.resolve(
                vm,
                List.copyOf(networks.values()),
                List.copyOf(slices.values()),
                secretless.contains(vm.getMetadata().getUid())
                        ? new UserData.Refused(Reason.SecretNotFound, "there is no such Secret")
                        : new UserData.NotAsked(),
                Given.facts(records.vms(), records.reservations()));
    }

    private boolean vm(VirtualMachine vm) {
        passes++;
        VmId id = VmResolver.idOf(vm);
        boolean deleting = vm.getMetadata().getDeletionTimestamp() != null;
        Resolution<DesiredVm> resolution = deleting ? new Resolution.Absent<>() : resolve(vm);
        Optional<DesiredVm> desired =
                resolution instanceof Resolution.Desired<DesiredVm>(DesiredVm d) ? Optional.of(d) : Optional.empty();
        boolean[] blind = new boolean[1];
        VmObservation seen = blindfolded(() -> observer.observeVm(id, desired), blind);
        Optional<Witnesses> witnesses = deleting ? observer.survivors(id) : observer.witnesses(id);
        Plan plan = witnesses
                .map(left -> deleting
                        ? new Rebuild(vmPlanner)
                                .planRemoval(
                                        id,
                                        resolve(vm),
                                        VmResolver.retained(vm),
                                        VmResolver.power(vm).map(PowerWish::grace),
                                        Statuses.told(vm),
                                        left,
                                        now)
                        : new Rebuild(vmPlanner).plan(resolution, Statuses.told(vm), left, now))
                .orElseGet(() -> deleting
                        ? vmPlanner.planRemoval(id, VmResolver.retained(vm), seen, now)
                        : vmPlanner.plan(id, resolution, VmResolver.power(vm), seen, now));
        tellPlan("VirtualMachine " + id + " uid " + id.uid(), plan);
        // A rebuild looks for itself, at other things; what is heard of a guest's address is told and decides nothing.
        boolean deaf = seen.nics().values().stream().anyMatch(nic -> nic.arp() instanceof Seen.Unknown);
        if (blind[0] && witnesses.isEmpty() && !deaf) {
            assertThat(plan.steps()).as("a failed look blocks VM %s", id.uid()).isEmpty();
        }
        if (random.nextInt(8) == 0 && !deleting && witnesses.isEmpty()) {
            assertThat(vmPlanner.plan(id, resolution, VmResolver.power(vm), seen, now))
                    .as("same values in, same plan out")
                    .isEqualTo(plan);
        }
        Outcome outcome = apply(id.uid(), plan);
        VmObservation after = plan.isEmpty() ? seen : observer.observeVm(id, desired);
        VirtualMachineStatus status = VmStatus.of(vm, resolution, plan, outcome, after, Optional.empty(), now);
        boolean same = status.equals(vm.getStatus());
        vm.setStatus(status);
        boolean gone = after.record() instanceof Seen.Missing
                && after.process() instanceof Seen.Missing
                && after.leftovers().equals(Seen.present(false))
                && after.strayTaps().equals(Seen.present(Map.of()));
        if (deleting && gone && outcome.failed().isEmpty()) {
            vms.remove(id.uid());
            oracle.released(id.uid());
            return false;
        }
        return plan.isEmpty() && outcome.failed().isEmpty() && !blind[0] && same;
    }

    private boolean sweep() {
        passes++;
        try {
            Sweeper.Result result = sweeper.sweep(
                    () -> new Sweeper.Known(Set.copyOf(vms.keySet()), Set.copyOf(networks.keySet())),
                    new Sweeper.Authority() {
                        @Override
                        public Seen<String> cluster() {
                            return Seen.present("cluster-1");
                        }

                        @Override
                        public Seen<StoreStamp> store() {
                            return Seen.missing();
                        }

                        @Override
                        public Seen<String> uidOf(VmId vm) {
                            return vms.values().stream()
                                    .filter(v -> v.getMetadata().getName().equals(vm.name()))
                                    .map(v -> v.getMetadata().getUid())
                                    .findFirst()
                                    .<Seen<String>>map(Seen::present)
                                    .orElseGet(Seen::missing);
                        }
                    });
            if (!result.equals(new Sweeper.Result(List.of(), List.of(), List.of()))) {
                say("sweep: " + result);
            }
            return result.findings().isEmpty();
        } catch (HostException e) {
            return false;
        }
    }

    // ---- the guests' and the image store's own doings ----

    /** Guests boot, downloads end, time passes. */
    void pass(Duration time) {
        vmms.guests().values().forEach(FakeVmms.Guest::boots);
        disks.finishAll();
        now = now.plus(time);
    }

    static VirtualMachineSpec spec(
            RunStrategy strategy, int grace, List<VirtualMachineSpec.NetworkInterface> nics, boolean retain) {
        VirtualMachineSpec base = Given.spec();
        Disk root = java.util.Objects.requireNonNull(base.disks()).get(0);
        return new VirtualMachineSpec(
                Given.NODE,
                strategy,
                base.cpu(),
                base.memory(),
                List.of(new Disk(
                        root.name(),
                        root.size(),
                        root.image(),
                        retain ? Disk.ReclaimPolicy.Retain : Disk.ReclaimPolicy.Delete)),
                nics,
                base.cloudInit(),
                null,
                null,
                grace);
    }

    static NetworkSpec withEgress(NetworkSpec spec, NetworkSpec.Egress egress) {
        return new NetworkSpec(
                spec.cidr(),
                spec.nodePrefixLength(),
                egress,
                spec.mtu(),
                spec.dns(),
                spec.realize(),
                NetworkSpec.Isolation.None,
                null,
                null,
                null);
    }

    Optional<VmRecord> record(String uid) {
        return Optional.ofNullable(records.all().get(uid));
    }
}
