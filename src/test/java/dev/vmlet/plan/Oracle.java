package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * What must be true of the host, said without the planners: {@link #hold} at every moment, {@link #mayHappen} of every
 * step, {@link #settled} when nobody has anything left to do.
 */
final class Oracle {
    /** Why a guest's last run ended, as the test knows it. */
    enum End {
        STOPPED,
        POWERED_OFF,
        FAILED,
        TAP_LOST,
        REBOOT
    }

    private final World world;
    private final Map<LinkName, Link> foreign = new TreeMap<>();
    /** The operator's bridge and its port. */
    private final Map<LinkName, Link> operators = new TreeMap<>();
    /** Address by "VM uid/Network uid", for as long as the VM may count on it. */
    private final Map<String, String> given = new HashMap<>();

    private final Set<String> recorded = new HashSet<>();
    private final Map<String, Set<End>> ends = new HashMap<>();
    private final Map<String, String> launchedToken = new HashMap<>();
    /** Records that are about to be rebuilt, and VMs whose present launch was. */
    private final Map<String, VmRecord> rebuilding = new HashMap<>();

    private final Set<String> rebuilt = new HashSet<>();
    private final Set<String> stopping = new HashSet<>();
    /** Taps that somebody deleted under a guest. */
    private final Set<LinkName> torn = new HashSet<>();

    /** Starts that were about to happen, by VM uid. */
    private final Map<String, LaunchSpec> spawning = new HashMap<>();

    /** How often a rung was about to be taken, since the VM was started last. */
    private final Map<String, Integer> cutsTried = new HashMap<>();

    private final Map<String, Integer> terminationsTried = new HashMap<>();

    private final Map<String, Boolean> retain = new HashMap<>();
    private boolean uplinkForwarding;

    Oracle(World world) {
        this.world = world;
    }

    // ---- what the test did ----

    void uplinkWas(boolean forwarding) {
        uplinkForwarding = forwarding;
    }

    void planted(LinkName name) {
        foreign.put(name, world.links.everyLink().get(name));
    }

    void keptByOperator(LinkName name) {
        operators.put(
                name, java.util.Objects.requireNonNull(world.links.everyLink().get(name)));
    }

    void takenByOperator(LinkName name) {
        operators.remove(name);
    }

    Map<LinkName, Link> foreign() {
        return foreign;
    }

    void torn(LinkName tap) {
        torn.add(tap);
    }

    void ended(String uid, End how) {
        ends.computeIfAbsent(uid, _ -> EnumSet.noneOf(End.class)).add(how);
    }

    void rebooted() {
        foreign.keySet().retainAll(world.links.everyLink().keySet());
        foreign.replaceAll((name, _) -> world.links.everyLink().get(name));
        operators.clear();
        torn.clear();
        world.records.all().forEach((uid, record) -> {
            if (record.launch().isPresent()) {
                ended(uid, End.REBOOT);
            }
        });
    }

    /** The object is deleted now; its disk is to be kept or not. */
    void deleted(String uid, boolean keepDisk) {
        if (world.disks.finished(uid).contains("root")) {
            retain.put(uid, keepDisk);
        }
    }

    void released(String uid) {
        Boolean keep = retain.remove(uid);
        if (keep != null) {
            assertThat(world.disks.retainedNames().contains(uid + "/root"))
                    .as("disk of %s is kept", uid)
                    .isEqualTo(keep);
        }
        assertThat(world.vmms.guest(uid)).as("process of released VM %s", uid).isNull();
        forget(uid);
    }

    /**
     * The tables are new. Whoever's the links are, whatever their records are worth: the sets know each of them, and
     * what was in force for an owner whose record is damaged still is.
     */
    void installed(HostObservation before) {
        Set<FirewallElement> now = world.links.everyElement();
        if (before.marked() instanceof Seen.Present) {
            world.links.everyLink().values().forEach(link -> {
                Owner owner = link.mark().owner(Given.INSTALLATION);
                boolean waitsToBeDeleted = link.isRetired(Given.NAMES.reapGroup());
                FirewallSet set = owner instanceof Owner.OfVm ? FirewallSet.TAPS : FirewallSet.BRIDGES;
                if (!(owner instanceof Owner.Foreign) && !waitsToBeDeleted && isLost(owner)) {
                    assertThat(now.stream()
                                    .filter(e -> e.set() == set)
                                    .map(e -> e.key().getFirst()))
                            .as("%s of those that the firewall knows", set)
                            .contains(link.name().value());
                }
            });
        }
        if (before.firewall() instanceof Seen.Present<FirewallState>(FirewallState state)) {
            assertThat(now)
                    .as("what was in force for owners whose records cannot be read")
                    .containsAll(state.elements().stream()
                            .filter(e -> world.records.vm(e.ownerUid()) instanceof Seen.Unknown)
                            .toList());
        }
    }

    private boolean isLost(Owner owner) {
        return switch (owner) {
            case Owner.OfVm(String uid, var _) -> !(world.records.vm(uid) instanceof Seen.Present);
            case Owner.OfNetwork(String uid) -> !(world.records.network(uid) instanceof Seen.Present);
            case Owner.Foreign _ -> false;
        };
    }

    private void forget(String uid) {
        given.keySet().removeIf(key -> key.startsWith(uid + "/"));
        recorded.remove(uid);
        ends.remove(uid);
        launchedToken.remove(uid);
        stopping.remove(uid);
    }

    // ---- at every moment ----

    void hold() {
        noteStarts();
        Map<LinkName, Link> links = world.links.everyLink();
        foreign.forEach((name, link) -> {
            if (!link.equals(links.get(name))) {
                fail("foreign link " + link + " is now " + links.get(name));
            }
        });
        operators.forEach((name, link) -> {
            if (!link.equals(links.get(name))) {
                fail("the operator's link " + link + " is now " + links.get(name));
            }
        });
        if (world.links.everyNeighbour().containsKey(World.BR0)) {
            fail("the node knows for good who is on the operator's bridge: " + world.links.everyNeighbour());
        }
        addressesAreKept();
        subnetsAreApart();
        Set<Integer> userIds = new HashSet<>();
        world.records.all().forEach((uid, record) -> {
            if (!userIds.add(record.userId())) {
                fail("user id " + record.userId() + " is given twice");
            }
            noteStop(uid, record, links);
        });
        world.vmms.guests().forEach((uid, guest) -> {
            if (guest.alive()) {
                guestIsWhole(uid, guest, links);
            }
        });
    }

    private void subnetsAreApart() {
        List<NetworkRecord> realised = List.copyOf(world.records.allNetworks().values());
        for (NetworkRecord one : realised) {
            for (NetworkRecord other : realised) {
                if (!one.equals(other)
                        && one.realised().subnet().overlaps(other.realised().subnet())) {
                    fail("Networks " + one + " and " + other + " have the same addresses on one node");
                }
            }
        }
    }

    private void addressesAreKept() {
        Map<String, String> holders = new HashMap<>();
        world.records.all().forEach((uid, record) -> {
            recorded.add(uid);
            for (DesiredNic nic : record.nics()) {
                String key = uid + "/" + nic.network().uid();
                String before = given.put(key, nic.ip().toString());
                if (before != null && !before.equals(nic.ip().toString())) {
                    fail("address of " + key + " changed from " + before + " to " + nic.ip());
                }
            }
        });
        given.keySet().removeIf(key -> !mayCountOn(key));
        given.forEach((key, ip) -> {
            String other = holders.put(key.substring(key.indexOf('/') + 1) + " " + ip, key);
            if (other != null && !ip.equals(Ipv4Address.UNSPECIFIED.toString())) {
                fail(ip + " belongs to " + other + " and to " + key);
            }
        });
        for (String uid : recorded) {
            VirtualMachine vm = world.vms.get(uid);
            if (vm != null
                    && vm.getMetadata().getDeletionTimestamp() == null
                    && world.record(uid).isEmpty()) {
                fail("the record of VM " + uid + " is gone, and its object is not");
            }
        }
        recorded.removeIf(
                uid -> !world.vms.containsKey(uid) && world.record(uid).isEmpty());
    }

    private boolean mayCountOn(String key) {
        String uid = key.substring(0, key.indexOf('/'));
        String networkUid = key.substring(key.indexOf('/') + 1);
        if (world.record(uid).stream()
                .flatMap(r -> r.nics().stream())
                .anyMatch(n -> n.network().uid().equals(networkUid))) {
            return true;
        }
        VirtualMachine vm = world.vms.get(uid);
        Network network = world.networks.get(networkUid);
        return vm != null
                && vm.getMetadata().getDeletionTimestamp() == null
                && network != null
                && World.names(vm).contains(network.getMetadata().getName());
    }

    /** No guest is stopped without a reason that the test knows. */
    private void noteStop(String uid, VmRecord record, Map<LinkName, Link> links) {
        if (record.stop().isEmpty()) {
            stopping.remove(uid);
            return;
        }
        if (!stopping.add(uid)) {
            return;
        }
        FakeVmms.Guest guest = world.vmms.guest(uid);
        VirtualMachine vm = world.vms.get(uid);
        boolean justified = vm == null ? isTheOnlyOrphan(uid) : vm.getMetadata().getDeletionTimestamp() != null;
        if (vm != null
                && (World.spec(vm).runStrategy() == RunStrategy.Halted
                        || tokenAsked(vm, launchedToken.getOrDefault(uid, "")))) {
            ended(uid, End.STOPPED);
            justified = true;
        }
        if (guest != null && guest.kind() == GuestState.Kind.POWERED_OFF) {
            ended(uid, End.POWERED_OFF);
            justified = true;
        }
        if (guest != null && guest.panicked()) {
            ended(uid, End.FAILED);
            justified = true;
        }
        if (guest != null && guest.launch().nics().stream().anyMatch(n -> !links.containsKey(n.tap()))) {
            ended(uid, End.TAP_LOST);
            justified = true;
        }
        if (!justified) {
            fail("VM " + uid + " is stopped (" + record.stop() + ") without a reason");
        }
    }

    /** Two at once look like a lost object store: none of them may be stopped. */
    private boolean isTheOnlyOrphan(String uid) {
        Set<String> orphans = new HashSet<>(world.records.all().keySet());
        orphans.addAll(world.disks.traces());
        orphans.removeAll(world.vms.keySet());
        return orphans.equals(Set.of(uid));
    }

    private static boolean tokenAsked(VirtualMachine vm, String launched) {
        String token = token(vm);
        return !token.isEmpty() && !token.equals(launched);
    }

    static String token(VirtualMachine vm) {
        return vm.getMetadata().getAnnotations() == null
                ? ""
                : vm.getMetadata().getAnnotations().getOrDefault(VirtualMachine.RESTARTED_AT, "");
    }

    /** Nothing that a living guest stands on is gone. */
    private void guestIsWhole(String uid, FakeVmms.Guest guest, Map<LinkName, Link> links) {
        Optional<VmRecord> record = world.record(uid);
        if (record.flatMap(VmRecord::launch).isEmpty()) {
            fail("VM " + uid + " lives, and no record tells of its launch");
        }
        LaunchSpec told = record.get().launch().get().spec();
        boolean right = rebuilt.contains(uid)
                // What it was started with besides, nobody can tell any more.
                ? told.vmm() == guest.launch().vmm()
                        && told.userId() == guest.launch().userId()
                        && told.cores() == guest.launch().cores()
                        && told.memory().equals(guest.launch().memory())
                : told.equals(guest.launch());
        if (!right) {
            fail("VM " + uid + " was launched with " + guest.launch() + ", its record says " + record.get());
        }
        for (LaunchSpec.Nic nic : guest.launch().nics()) {
            Link tap = links.get(nic.tap());
            if (!torn.contains(nic.tap()) && (tap == null || !isOf(tap.mark(), uid))) {
                fail("VM " + uid + " lives, and its tap " + nic.tap() + " is " + tap);
            }
        }
        if (!world.disks.finished(uid).contains("root") || !world.disks.hasSeed(uid)) {
            fail("VM " + uid + " lives, and its disk or seed is gone");
        }
    }

    private static boolean isOf(Mark mark, String vmUid) {
        return mark.owner(Given.INSTALLATION) instanceof Owner.OfVm(String uid, var _) && uid.equals(vmUid);
    }

    // ---- of every step ----

    void mayHappen(Step step) {
        switch (step) {
            case Step.SpawnVmm(LaunchSpec launch) -> maySpawn(launch);
            case Step.SetLinkUp(LinkName name) -> {
                Link link = world.links.everyLink().get(name);
                if (link != null
                        && link.mark().owner(Given.INSTALLATION) instanceof Owner.OfVm(String uid, var _)
                        && world.links.bothTablesExist()) {
                    isGuarded(name, uid);
                }
            }
            case Step.RebuildVmRecord(VmRecord record) -> mayRebuild(record);
            case Step.DeleteVmRecord(var vm) -> {
                assertThat(world.vmms.guest(vm.uid()))
                        .as("process at the end of the record of %s", vm.uid())
                        .isNull();
                assertThat(world.disks.finished(vm.uid()))
                        .as("disks at the end of the record")
                        .isEmpty();
                assertThat(world.links.everyLink().values())
                        .as("links at the end of the record of %s", vm.uid())
                        .noneMatch(l -> isOf(l.mark(), vm.uid()) && !l.isRetired(Given.NAMES.reapGroup()));
            }
            case Step.RestoreForwarding(var _, var _) ->
                assertThat(!uplinkForwarding
                                && foreign.values().stream().anyMatch(Oracle::isOfAnotherInstallationsNetwork))
                        .as("forwarding is taken from another installation's guests")
                        .isFalse();
            case Step.DeleteVmFiles(var vm, var _) -> isDead(vm.uid(), step);
            case Step.ReleaseProcess(var vm) -> isDead(vm.uid(), step);
            case Step.RetireTap(var _, Mark mark, var _) -> ownerIsDead(mark, step);
            case Step.DeleteLink(var _, Mark mark) -> ownerIsDead(mark, step);
            case Step.PressPowerButton(var vm) -> isStopping(vm.uid());
            case Step.PowerOff(var vm) -> {
                isStopping(vm.uid());
                cutsTried.merge(vm.uid(), 1, Integer::sum);
            }
            case Step.Terminate(var vm) -> {
                isStopping(vm.uid());
                isNotSkipped("power cut", vm.uid(), cutsTried, FakeVmms.Guest::cuts);
                terminationsTried.merge(vm.uid(), 1, Integer::sum);
            }
            case Step.Kill(var vm) -> {
                isStopping(vm.uid());
                isNotSkipped("SIGTERM", vm.uid(), terminationsTried, FakeVmms.Guest::terminations);
            }
            default -> {}
        }
    }

    /** A rung was taken before the next is tried, unless the agent died three times on the way to it. */
    private void isNotSkipped(
            String rung,
            String uid,
            Map<String, Integer> tried,
            java.util.function.ToIntFunction<FakeVmms.Guest> made) {
        FakeVmms.Guest guest = world.vmms.guest(uid);
        if (guest != null && guest.alive() && made.applyAsInt(guest) == 0 && tried.getOrDefault(uid, 0) < 3) {
            fail("the " + rung + " of VM " + uid + " is skipped");
        }
    }

    private void isStopping(String uid) {
        if (world.record(uid).flatMap(VmRecord::stop).isEmpty()) {
            fail("VM " + uid + " is being stopped, and no record says so");
        }
    }

    private void isDead(String uid, Step step) {
        if (world.vmms.lives(uid)) {
            fail(step + ", while the guest lives");
        }
    }

    private void ownerIsDead(Mark mark, Step step) {
        if (mark.owner(Given.INSTALLATION) instanceof Owner.OfVm(String uid, var _)) {
            isDead(uid, step);
        }
    }

    private void isGuarded(LinkName tap, String uid) {
        Set<FirewallElement> elements = world.links.everyElement();
        assertThat(elements)
                .as("guards of %s before it is up", tap)
                .anyMatch(e -> e.set() == FirewallSet.TAPS && e.key().equals(List.of(tap.value())))
                .anyMatch(e -> (e.set() == FirewallSet.OK4 || e.set() == FirewallSet.FREE4)
                        && e.key().get(0).equals(tap.value())
                        && e.ownerUid().equals(uid));
    }

    private void maySpawn(LaunchSpec launch) {
        String uid = launch.id().uid();
        isDead(uid, new Step.SpawnVmm(launch));
        VirtualMachine vm = world.vms.get(uid);
        if (vm == null
                || vm.getMetadata().getDeletionTimestamp() != null
                || World.spec(vm).runStrategy() == RunStrategy.Halted) {
            fail("VM " + uid + " is started, and nobody wants it to run");
        }
        if (Boolean.FALSE.equals(mustRun(vm))) {
            fail("VM " + uid + " is started again after " + ends.get(uid) + " with "
                    + World.spec(vm).runStrategy());
        }
        Map<LinkName, Link> links = world.links.everyLink();
        for (LaunchSpec.Nic nic : launch.nics()) {
            Link tap = links.get(nic.tap());
            DesiredNic kept = world.record(uid).orElseThrow().nics().stream()
                    .filter(n -> n.tap().equals(nic.tap()))
                    .findFirst()
                    .orElseThrow();
            Link bridge = links.get(bridgeOf(kept));
            if (tap == null
                    || bridge == null
                    || !tap.mark()
                            .equals(Mark.ofNic(
                                    Given.INSTALLATION, uid, kept.network().uid()))
                    || !isBridgeOf(kept, bridge)
                    || !tap.up()
                    || tap.tapUid() != launch.userId()
                    || tap.masterIndex() != bridge.index()) {
                fail("VM " + uid + " is started with tap " + tap + " and bridge " + bridge);
            }
            isGuarded(nic.tap(), uid);
        }
        if (!world.disks.finished(uid).contains("root") || !world.disks.hasSeed(uid)) {
            fail("VM " + uid + " is started without disk or seed");
        }
        assertThat(world.record(uid).flatMap(VmRecord::launch).map(VmRecord.Launch::spec))
                .as("the launch is recorded first")
                .contains(launch);
        spawning.put(uid, launch);
    }

    /** Known by its name and kind alone where it is the operator's. */
    private static LinkName bridgeOf(DesiredNic nic) {
        return nic.bridge().equals(World.BR0)
                ? World.BR0
                : Given.NAMES.bridge(nic.network().uid());
    }

    private static boolean isBridgeOf(DesiredNic nic, Link bridge) {
        return bridge.name().equals(World.BR0)
                ? bridge.kind().equals("bridge")
                : bridge.mark()
                        .equals(Mark.ofNetwork(Given.INSTALLATION, nic.network().uid()));
    }

    /** The world still has the record that the agent has lost. */
    private void mayRebuild(VmRecord record) {
        String uid = record.id().uid();
        VmRecord lost = world.record(uid).orElseThrow();
        assertThat(world.records.vm(uid)).as("record of %s", uid).isInstanceOf(Seen.Unknown.class);
        assertThat(record.userId()).as("user id of %s", uid).isEqualTo(lost.userId());
        FakeVmms.Guest guest = world.vmms.guest(uid);
        // What is left of one that ended needs none where its VM goes anyway.
        if (guest != null && (guest.alive() || !isLeaving(uid))) {
            assertThat(record.launch()).as("launch of %s", uid).isPresent();
        }
        rebuilding.put(uid, record);
    }

    private boolean isLeaving(String uid) {
        VirtualMachine vm = world.vms.get(uid);
        return vm == null || vm.getMetadata().getDeletionTimestamp() != null;
    }

    /** A start counts when it has happened: the agent may die, or the host refuse, on the way to it. */
    private void noteStarts() {
        spawning.values().removeIf(launch -> {
            String uid = launch.id().uid();
            FakeVmms.Guest guest = world.vmms.guest(uid);
            if (guest == null || !guest.launch().equals(launch)) {
                return false;
            }
            ends.remove(uid);
            cutsTried.remove(uid);
            terminationsTried.remove(uid);
            torn.removeAll(launch.nics().stream().map(LaunchSpec.Nic::tap).toList());
            launchedToken.put(uid, launch.restartToken());
            rebuilt.remove(uid);
            return true;
        });
        rebuilding.values().removeIf(record -> {
            String uid = record.id().uid();
            VirtualMachine vm = world.vms.get(uid);
            if (vm == null || !world.records.vm(uid).equals(Seen.present(record))) {
                return false;
            }
            // A restart that was asked for while the record was lost counts as made: nobody knows whether it was.
            launchedToken.put(uid, token(vm));
            rebuilt.add(uid);
            return true;
        });
    }

    /** Whether the VM is to run by its strategy and its past; null where two things ended it at once. */
    private @Nullable Boolean mustRun(VirtualMachine vm) {
        String uid = vm.getMetadata().getUid();
        Set<End> past = ends.getOrDefault(uid, Set.of());
        RunStrategy strategy = java.util.Objects.requireNonNull(World.spec(vm).runStrategy());
        if (strategy == RunStrategy.Halted) {
            return false;
        }
        if (past.isEmpty() || tokenAsked(vm, launchedToken.getOrDefault(uid, ""))) {
            return true;
        }
        if (rebuilt.contains(uid) && past.contains(End.STOPPED) && strategy != RunStrategy.Always) {
            // That its end was half of a restart is lost with the record.
            return null;
        }
        Set<End> final_ = strategy == RunStrategy.Always
                ? Set.of()
                : strategy == RunStrategy.RerunOnFailure
                        ? Set.of(End.POWERED_OFF)
                        : Set.of(End.POWERED_OFF, End.FAILED, End.REBOOT);
        if (past.stream().noneMatch(final_::contains)) {
            return true;
        }
        return final_.containsAll(past) ? false : null;
    }

    // ---- when everybody is content ----

    private Set<String> orphans() {
        Set<String> orphans = new TreeSet<>(world.records.all().keySet());
        orphans.addAll(world.vmms.guests().keySet());
        orphans.addAll(world.disks.traces());
        orphans.removeAll(world.vms.keySet());
        return orphans;
    }

    private @Nullable Network named(String name) {
        return world.networks.values().stream()
                .filter(n -> n.getMetadata().getName().equals(name))
                .findFirst()
                .orElse(null);
    }

    /** A VM whose object cannot be followed, or whose NICs cannot be made. */
    private boolean isBlocked(VirtualMachine vm) {
        return world.secretless.contains(vm.getMetadata().getUid()) || lacksANetwork(vm);
    }

    /** Another VM of the node has the address that it asks for: the firewall's sets know an address once. */
    private boolean asksForAnothersAddress(VirtualMachine vm) {
        return World.nics(vm).stream()
                .map(VirtualMachineSpec.NetworkInterface::address)
                .filter(java.util.Objects::nonNull)
                .anyMatch(asked -> world.records.all().values().stream()
                        .filter(r -> !r.id().uid().equals(vm.getMetadata().getUid()))
                        .flatMap(r -> r.nics().stream())
                        .anyMatch(n -> n.ip().toString().equals(asked)));
    }

    /** A Network is missing or leaving, or somebody's link bears one of its names, or an address is another's. */
    private boolean lacksANetwork(VirtualMachine vm) {
        String uid = vm.getMetadata().getUid();
        if (asksForAnothersAddress(vm)) {
            return true;
        }
        for (String name : World.names(vm)) {
            Network network = named(name);
            if (network == null || foreign.containsKey(Given.NAMES.tap(uid, name)) || lacksItsBridge(network)) {
                return true;
            }
            if (network.getMetadata().getDeletionTimestamp() != null) {
                return true;
            }
        }
        return false;
    }

    private boolean lacksItsBridge(Network network) {
        return World.isLan(network)
                ? !world.hasLan()
                : isInTheWayOf(network).isPresent()
                        || foreign.containsKey(
                                Given.NAMES.bridge(network.getMetadata().getUid()));
    }

    /** Another Network that this node still has, of the same addresses. */
    private Optional<NetworkRecord> isInTheWayOf(Network network) {
        String uid = network.getMetadata().getUid();
        Ipv4Prefix subnet = subnet(uid);
        return world.records.allNetworks().values().stream()
                .filter(r -> !r.id().uid().equals(uid) && r.realised().subnet().overlaps(subnet))
                .findFirst();
    }

    private Ipv4Prefix subnet(String networkUid) {
        return Ipv4Prefix.parse(java.util.Objects.requireNonNull(
                java.util.Objects.requireNonNull(java.util.Objects.requireNonNull(world.slices.get(networkUid))
                                .getSpec())
                        .cidr()));
    }

    void settled() {
        Set<String> orphans = orphans();
        if (orphans.size() == 1) {
            fail("the orphan " + orphans + " is alone and still here");
        }
        assertThat(world.links.rulesAreIntact()).as("firewall").isTrue();
        Map<LinkName, Link> links = world.links.everyLink();
        Set<FirewallElement> elements = new HashSet<>(world.links.everyElement());
        Set<LinkName> expected = new HashSet<>(foreign.keySet());
        expected.addAll(operators.keySet());
        expected.add(World.UPLINK);
        expected.add(new LinkName("lo"));
        Set<LinkName> allowed = new HashSet<>();
        Set<String> allowedOwners = new HashSet<>(orphans);
        Set<FirewallElement> must = new HashSet<>();

        for (Network network : world.networks.values()) {
            networkIsRight(network, links, expected, must, allowedOwners);
        }
        world.records
                .all()
                .values()
                .forEach(r -> r.nics().forEach(n -> {
                    // A Network that was taken away by force under a VM: kept for as long as the VM's record names it.
                    if (!world.networks.containsKey(n.network().uid())
                            && !n.bridge().equals(World.BR0)) {
                        allowed.add(Given.NAMES.bridge(n.network().uid()));
                        allowedOwners.add(n.network().uid());
                    }
                }));
        for (VirtualMachine vm : world.vms.values()) {
            vmIsRight(vm, links, expected, must, allowed, allowedOwners);
        }
        orphans.forEach(orphan -> allowWhatItHas(orphan, links, allowed));
        assertThat(elements).as("elements").containsAll(must);
        elements.removeAll(must);
        elements.removeIf(e -> allowedOwners.contains(e.ownerUid()));
        assertThat(elements).as("elements that nobody needs").isEmpty();
        assertThat(links.keySet()).as("links").containsAll(expected);
        Set<LinkName> surplus = new TreeSet<>(links.keySet());
        surplus.removeAll(expected);
        surplus.removeAll(allowed);
        assertThat(surplus).as("links that nobody needs").isEmpty();
        recordsAreRight(orphans);
        nobodyIsKnownWithoutARecord();
    }

    /** The node knows nobody for good whom no record names. */
    private void nobodyIsKnownWithoutARecord() {
        Map<LinkName, Map<Ipv4Address, String>> known = world.links.everyNeighbour();
        Map<LinkName, Map<Ipv4Address, String>> recorded = new HashMap<>();
        world.records
                .all()
                .values()
                .forEach(record -> record.nics()
                        .forEach(nic -> recorded.computeIfAbsent(nic.bridge(), _ -> new HashMap<>())
                                .put(nic.ip(), nic.mac().value())));
        known.forEach((bridge, entries) -> assertThat(
                        recorded.getOrDefault(bridge, Map.of()).entrySet())
                .as("neighbours on %s", bridge)
                .containsAll(entries.entrySet()));
    }

    private void recordsAreRight(Set<String> orphans) {
        for (String uid : world.records.all().keySet()) {
            assertThat(world.vms.containsKey(uid) || orphans.contains(uid))
                    .as("record of %s", uid)
                    .isTrue();
        }
        for (String uid : world.records.allNetworks().keySet()) {
            Network network = world.networks.get(uid);
            assertThat(network != null && World.isLan(network))
                    .as("Network record %s of the operator's bridge", uid)
                    .isFalse();
            boolean used = world.networks.containsKey(uid) && world.isUsed(world.networks.get(uid))
                    || world.records.all().values().stream()
                            .anyMatch(r -> r.nics().stream()
                                    .anyMatch(n -> n.network().uid().equals(uid)));
            assertThat(used).as("Network record %s is used", uid).isTrue();
        }
        boolean leaving = world.records.allNetworks().values().stream()
                .map(NetworkRecord::realised)
                .anyMatch(n -> n.egress() == dev.vmlet.model.Egress.MASQUERADE);
        if (leaving) {
            assertThat(world.links.forwards(World.UPLINK)).as("uplink forwards").isTrue();
        }
        if (world.records.allNetworks().isEmpty()) {
            boolean kept = !world.records.forwardingOriginals().isEmpty();
            boolean relied = foreign.values().stream().anyMatch(Oracle::isOfAnotherInstallationsNetwork);
            assertThat(world.links.forwards(World.UPLINK))
                    .as("uplink's own flag, or on while another installation's guests leave by it")
                    .isEqualTo(uplinkForwarding || relied && kept);
            assertThat(kept && !relied).as("kept flags that nobody needs").isFalse();
        }
    }

    private static boolean isOfAnotherInstallationsNetwork(Link link) {
        return link.mark().text().startsWith("vmlet:zzzzzzzz:net:");
    }

    private void networkIsRight(
            Network network,
            Map<LinkName, Link> links,
            Set<LinkName> expected,
            Set<FirewallElement> must,
            Set<String> allowedOwners) {
        String uid = network.getMetadata().getUid();
        LinkName name = Given.NAMES.bridge(uid);
        if (!world.isUsed(network) || World.isLan(network)) {
            // Of the operator's bridge nothing is ours: links and elements that nobody needs would show.
            return;
        }
        if (foreign.containsKey(name)) {
            allowedOwners.add(uid);
            return;
        }
        Optional<NetworkRecord> former = isInTheWayOf(network);
        if (former.isPresent()) {
            String holder = former.get().id().uid();
            assertThat(world.records.all().values())
                    .as("a VM that keeps Network %s, which is in the way of %s", holder, uid)
                    .anyMatch(r ->
                            r.nics().stream().anyMatch(n -> n.network().uid().equals(holder)));
            return;
        }
        NetworkSpec spec = java.util.Objects.requireNonNull(network.getSpec());
        Ipv4Prefix subnet = subnet(uid);
        Link bridge = links.get(name);
        if (bridge == null
                || !bridge.up()
                || !bridge.kind().equals("bridge")
                || !bridge.mark().equals(Mark.ofNetwork(Given.INSTALLATION, uid))) {
            fail("bridge of " + uid + " is " + bridge);
        }
        assertThat(world.links.forwards(name)).as("bridge %s forwards", name).isTrue();
        assertThat(world.links.everyAddress(name).toString())
                .isEqualTo("[" + subnet.network().plus(1) + "/" + subnet.length() + "]");
        expected.add(name);
        must.add(new FirewallElement(FirewallSet.BRIDGES, List.of(name.value()), uid));
        must.add(new FirewallElement(FirewallSet.SAME, List.of(name.value(), name.value()), uid));
        if (spec.egress() == NetworkSpec.Egress.Masquerade) {
            must.add(new FirewallElement(FirewallSet.EGRESS, List.of(name.value()), uid));
            must.add(new FirewallElement(FirewallSet.SUBNETS, List.of(subnet.toString()), uid));
        }
    }

    private void vmIsRight(
            VirtualMachine vm,
            Map<LinkName, Link> links,
            Set<LinkName> expected,
            Set<FirewallElement> must,
            Set<LinkName> allowed,
            Set<String> allowedOwners) {
        String uid = vm.getMetadata().getUid();
        if (vm.getMetadata().getDeletionTimestamp() != null) {
            fail("the deletion of VM " + uid + " does not come to an end");
        }
        FakeVmms.Guest guest = world.vmms.guest(uid);
        boolean lives = world.vmms.lives(uid);
        boolean blocked = isBlocked(vm);
        Boolean wanted = mustRun(vm);
        if (lives && World.spec(vm).runStrategy() == RunStrategy.Halted) {
            fail("VM " + uid + " is halted, and runs" + (blocked ? ", because its object cannot be followed" : ""));
        }
        if (blocked && !lacksANetwork(vm) && isWhereItWas(uid)) {
            if (!lives && Boolean.TRUE.equals(wanted)) {
                fail("VM " + uid + " ran before, and is not started again while its Secret is gone");
            }
            if (lives && tokenAsked(vm, launchedToken.getOrDefault(uid, ""))) {
                fail("VM " + uid + " is not restarted while its Secret is gone");
            }
        }
        if (!blocked && wanted != null && lives != wanted) {
            fail("VM " + uid + " " + (lives ? "runs" : "does not run") + " with "
                    + World.spec(vm).runStrategy() + " after " + ends.get(uid));
        }
        if (lives && guest != null) {
            VmRecord record = world.record(uid).orElseThrow();
            if (blocked) {
                // What cannot be followed is left alone, whatever became of its taps; it is whole, hold() says.
                allowedOwners.add(uid);
                allowWhatItHas(uid, links, allowed);
                return;
            }
            assertThat(record.stop()).as("stop of running %s", uid).isEmpty();
            assertThat(guest.kind()).as("guest of %s", uid).isEqualTo(GuestState.Kind.RUNNING);
            assertThat(guest.stopped()).as("guest of %s is stopped", uid).isFalse();
            assertThat(guest.limits()).as("changed limits of %s", uid).isEmpty();
            for (DesiredNic nic : record.nics()) {
                if (foreign.containsKey(nic.tap())) {
                    allowedOwners.add(uid);
                    continue;
                }
                expected.add(nic.tap());
                guards(uid, nic, must);
                Link tap = links.get(nic.tap());
                Link bridge = links.get(bridgeOf(nic));
                boolean bridgeIsRight = bridge != null && isBridgeOf(nic, bridge);
                if (bridgeIsRight && bridge != null && tap != null) {
                    assertThat(tap.up()).as("tap of %s is up", uid).isTrue();
                    assertThat(tap.mac())
                            .as("MAC of the tap of %s", uid)
                            .isNotEqualTo(nic.mac().value());
                    assertThat(tap.masterIndex()).as("bridge of tap of %s", uid).isEqualTo(bridge.index());
                    if (bridge.name().equals(World.BR0)) {
                        assertThat(tap.mtu()).as("MTU of the tap of %s", uid).isEqualTo(World.LAN_MTU);
                        assertThat(tap.mac())
                                .as("MAC of the tap of %s, above any of the operator's", uid)
                                .startsWith("fe:");
                    } else {
                        assertThat(world.links.everyNeighbour().getOrDefault(bridge.name(), Map.of()))
                                .as("what the node knows of %s", uid)
                                .containsEntry(nic.ip(), nic.mac().value());
                    }
                }
                if (!world.networks.containsKey(nic.network().uid()) || !bridgeIsRight) {
                    // Nobody makes that bridge again; the guest stays as it is.
                    must.removeIf(e -> e.ownerUid().equals(uid));
                    allowedOwners.add(uid);
                }
            }
            return;
        }
        if (blocked || wanted == null) {
            // It cannot be followed, so what it has stays.
            allowedOwners.add(uid);
            allowWhatItHas(uid, links, allowed);
            return;
        }
        assertThat(guest).as("traces of the process of %s at rest", uid).isNull();
        assertThat(world.record(uid).orElseThrow().launch())
                .as("launch of %s at rest", uid)
                .isEmpty();
    }

    /** What the firewall must hold of a NIC: on the operator's bridge an address that its VM asked for, or any. */
    private static void guards(String uid, DesiredNic nic, Set<FirewallElement> must) {
        String tap = nic.tap().value();
        String mac = nic.mac().value();
        String ip = nic.ip().toString();
        must.add(new FirewallElement(FirewallSet.TAPS, List.of(tap), uid));
        if (ip.equals(Ipv4Address.UNSPECIFIED.toString())) {
            assertThat(nic.bridge())
                    .as("bridge of %s, whose address nobody gave", uid)
                    .isEqualTo(World.BR0);
            must.add(new FirewallElement(FirewallSet.FREE4, List.of(tap, mac), uid));
        } else {
            must.add(new FirewallElement(FirewallSet.OK4, List.of(tap, mac, ip), uid));
            must.add(new FirewallElement(FirewallSet.HELD, List.of(ip), uid));
        }
    }

    /** It ran on the Networks that its record names, and they are all still there and ours to use. */
    private boolean isWhereItWas(String uid) {
        Optional<VmRecord> record = world.record(uid);
        Optional<LaunchSpec> run =
                record.flatMap(VmRecord::launch).map(VmRecord.Launch::spec).or(() -> record.flatMap(VmRecord::lastRun));
        return run.isPresent()
                && run.get().nics().stream()
                        .map(LaunchSpec.Nic::tap)
                        .toList()
                        .equals(record.get().nics().stream()
                                .map(DesiredNic::tap)
                                .toList())
                && record.get().nics().stream().allMatch(nic -> {
                    Network network = world.networks.get(nic.network().uid());
                    return network != null
                            && network.getMetadata().getDeletionTimestamp() == null
                            && !foreign.containsKey(nic.tap())
                            && (World.isLan(network)
                                    ? world.hasLan()
                                    : !foreign.containsKey(
                                            Given.NAMES.bridge(nic.network().uid())));
                });
    }

    /** Its links, and what a crash may have left under the names that its record tells. */
    private void allowWhatItHas(String uid, Map<LinkName, Link> links, Set<LinkName> allowed) {
        links.values().stream().filter(l -> isOf(l.mark(), uid)).forEach(l -> allowed.add(l.name()));
        world.record(uid).ifPresent(r -> r.nics().forEach(n -> allowed.add(n.tap())));
    }
}
