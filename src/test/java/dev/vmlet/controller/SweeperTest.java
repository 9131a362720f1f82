package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.controller.Sweeper.Known;
import dev.vmlet.controller.Sweeper.Result;
import dev.vmlet.host.Applier;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.FakeWishes;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Downtime;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.Reason;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Orphans;
import dev.vmlet.plan.Orphans.Cause;
import dev.vmlet.plan.Orphans.Held;
import dev.vmlet.plan.Ruleset;
import dev.vmlet.plan.VmPlanner;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What is swept at once, what waits, and what waits for a person. */
class SweeperTest {
    private static final Duration GRACE = Duration.ofMinutes(5);
    private static final NetworkId NET = new NetworkId("lab", "net", "net-1");

    private final FakeHost links = new FakeHost(Given.INSTALLATION);
    private final FakeVmms vmms = new FakeVmms(Given.BOOT);
    private final FakeDisks disks = new FakeDisks();
    private final FakeRecords records = new FakeRecords();
    private final Host host = new Host(links, links, vmms, disks, records, new FakeProbes());
    private final Observer observer = new Observer(host, Given.NAMES);
    private Instant now = Given.NOW;

    private final Map<String, String> objects = new HashMap<>();
    private Seen<String> cluster = Seen.present("cluster-1");
    private boolean reachable = true;
    private Set<String> confirmed = Set.of();
    private Set<String> heldTogether = Set.of();
    private int reaperWakes;

    private Seen<StoreStamp> lease = Seen.missing();
    private final StoreWatch store = new StoreWatch(records);
    private Optional<Downtime> downtime = Optional.empty();
    private final FakeWishes wishes = new FakeWishes();
    private final Sweeper sweeper = new Sweeper(
            observer,
            records,
            store,
            new VmPlanner(Given.NAMES, Given.PATHS, Given.BOOT),
            new NetworkPlanner(Given.NAMES),
            new Applier(host, (_, _, _) -> {}, this::reap),
            Given.INSTALLATION,
            GRACE,
            () -> downtime,
            wishes,
            new Clock() {
                @Override
                public ZoneId getZone() {
                    return ZoneOffset.UTC;
                }

                @Override
                public Clock withZone(ZoneId zone) {
                    return this;
                }

                @Override
                public Instant instant() {
                    return now;
                }
            },
            () -> reaperWakes++);

    @BeforeEach
    void hostWithFirewall() throws Exception {
        links.install(new Ruleset(Given.INSTALLATION, Set.of()));
        records.keepCluster("cluster-1");
    }

    private void reap() {
        try {
            List<LinkName> _ = links.reap(Given.INSTALLATION, Given.NAMES.reapGroup());
        } catch (HostException e) {
            throw new AssertionError(e);
        }
    }

    private Result sweep(Known known) throws Exception {
        return sweeper.sweep(() -> known, new Sweeper.Authority() {
            @Override
            public Seen<String> cluster() {
                return cluster;
            }

            @Override
            public Seen<StoreStamp> store() {
                return lease;
            }

            @Override
            public Seen<String> uidOf(VmId vm) {
                if (!reachable) {
                    return Seen.unknown("timeout");
                }
                String uid = objects.get(vm.toString());
                return uid == null ? Seen.missing() : Seen.present(uid);
            }
        });
    }

    private Result sweepKnowingNobody() throws Exception {
        return sweep(new Known(Set.of(), Set.of(), confirmed, heldTogether));
    }

    private static DesiredNic nic(String vmUid, int last) {
        return new DesiredNic(
                NET,
                Given.NAMES.bridge("net-1"),
                Mark.ofNetwork(Given.INSTALLATION, "net-1"),
                Given.NAMES.tap(vmUid, "net"),
                Mark.ofNic(Given.INSTALLATION, vmUid, "net-1"),
                dev.vmlet.model.HostNames.nicMac(vmUid, "net"),
                Ipv4Address.parse("10.77.4." + last),
                1500);
    }

    private static DesiredNetwork network() {
        return new DesiredNetwork(
                NET,
                Given.NAMES.bridge("net-1"),
                Given.NAMES.bridgeMac("net-1"),
                Mark.ofNetwork(Given.INSTALLATION, "net-1"),
                Ipv4Prefix.parse("10.77.4.0/24"),
                1500,
                Egress.MASQUERADE);
    }

    private void realiseNetwork() throws Exception {
        DesiredNetwork network = network();
        records.write(new NetworkRecord(NET, network));
        links.add(network.elements());
        links.createBridge(network.bridge(), network.bridgeMac(), 1500, network.mark());
    }

    /** A VM with tap, elements, disk, record and a running guest. */
    private VmId runVm(String uid, int last) throws Exception {
        VmId vm = new VmId("lab", "web-" + uid, uid);
        DesiredNic nic = nic(uid, last);
        LaunchSpec spec = new LaunchSpec(
                vm,
                VmmKind.QEMU,
                1,
                "",
                200_000 + last,
                1,
                new Mebibytes(256),
                List.of(),
                "",
                List.of(new LaunchSpec.Nic("net", nic.tap(), nic.mac())));
        records.write(VmRecord.of(vm, 200_000 + last, List.of(nic), List.of(), Duration.ZERO)
                .withLaunch(new VmRecord.Launch(spec, Given.BOOT, now, Optional.of(now), ""), 0));
        links.add(nic.elements(uid));
        links.createTap(nic.tap(), 200_000 + last, 1500, nic.mark());
        disks.writeSeed(vm, new dev.vmlet.model.Seed("", "", ""), 1);
        vmms.spawn(spec);
        java.util.Objects.requireNonNull(vmms.guests().get(uid)).boots();
        return vm;
    }

    @Test
    void leavesAloneWhatTheApiKnows() throws Exception {
        realiseNetwork();
        runVm("vm-1", 2);
        var before = links.everyLink();
        assertThat(sweep(new Known(Set.of("vm-1"), Set.of("net-1"))))
                .isEqualTo(new Result(List.of(), List.of(), List.of()));
        assertThat(links.everyLink()).isEqualTo(before);
        assertThat(vmms.lives("vm-1")).isTrue();
    }

    @Test
    void sweepsInertLeftoversAtOnce() throws Exception {
        DesiredNic nic = nic("vm-9", 9);
        links.createTap(nic.tap(), 1, 1500, nic.mark());
        links.add(nic.elements("vm-9"));
        assertThat(sweepKnowingNobody().findings())
                .extracting(Finding::kind, Finding::name)
                .containsExactly(
                        org.assertj.core.groups.Tuple.tuple("FirewallElement", "3 elements"),
                        org.assertj.core.groups.Tuple.tuple("VirtualMachine", "?/uid-vm-9"));
        assertThat(links.everyLink()).doesNotContainKey(nic.tap());
        assertThat(links.everyElement()).isEmpty();
    }

    @Test
    void takesATapOffTheOperatorsBridgeAndLeavesTheBridgeWithItsPorts() throws Exception {
        DesiredNic nic = Given.lanNic("vm-9", "0.0.0.0", 1500);
        links.plant("br0", "bridge", "02:00:00:00:00:05", 1500, true, new Mark("the office"), -1);
        links.plant("lan0", "veth", "02:00:00:00:00:06", 1500, true, new Mark(""), -1);
        links.plant("vnet7", "tun", "fe:54:00:00:00:07", 1500, true, new Mark(""), 107);
        links.attach(new LinkName("lan0"), nic.bridge());
        links.attach(new LinkName("vnet7"), nic.bridge());
        var operators = links.everyLink();
        links.add(nic.elements("vm-9"));
        links.createTap(nic.tap(), 200_009, 1500, nic.mark());
        links.attach(nic.tap(), nic.bridge());
        links.setUp(nic.tap());
        assertThat(sweepKnowingNobody().findings())
                .extracting(Finding::kind, Finding::name)
                .containsExactly(
                        org.assertj.core.groups.Tuple.tuple("FirewallElement", "2 elements"),
                        org.assertj.core.groups.Tuple.tuple("VirtualMachine", "?/uid-vm-9"));
        reap();
        assertThat(links.everyLink()).isEqualTo(operators);
        assertThat(links.everyElement()).isEmpty();
        assertThat(sweepKnowingNobody()).isEqualTo(new Result(List.of(), List.of(), List.of()));
        assertThat(links.everyLink()).isEqualTo(operators);
    }

    @Test
    void leavesForeignTapsUnderOurNameAlone() throws Exception {
        LinkName name = Given.NAMES.tap("vm-9", "net");
        links.plant(name.value(), "tun", "02:00:00:00:00:07", 1500, true, new Mark("vmlet:zzzzzzzz:vm:vm-9:net-1"), 1);
        assertThat(sweepKnowingNobody()).isEqualTo(new Result(List.of(), List.of(), List.of()));
        assertThat(links.everyLink()).containsKey(name);
    }

    @Test
    void holdsALiveGuestDuringTheGrace() throws Exception {
        runVm("vm-1", 2);
        assertThat(sweepKnowingNobody().holds())
                .containsExactly(new Held(
                        "VirtualMachine",
                        "lab/web-vm-1",
                        "vm-1",
                        new Orphans.Doubt(
                                Cause.GracePeriod,
                                "its VirtualMachine object is gone without our release; it is taken down when that"
                                        + " lasts 300 s"),
                        Given.NOW));
        now = now.plus(GRACE).minusSeconds(1);
        assertThat(sweepKnowingNobody().holds()).hasSize(1);
        assertThat(vmms.lives("vm-1")).isTrue();
        assertThat(links.everyElement()).hasSize(3);
    }

    @Test
    void takesDownALoneOrphanAfterTheGrace() throws Exception {
        realiseNetwork();
        runVm("vm-1", 2);
        assertThat(sweepKnowingNobody().holds()).hasSize(1);
        now = now.plus(GRACE);
        for (int i = 0; i < 20 && !records.all().isEmpty(); i++) {
            assertThat(sweepKnowingNobody().holds()).isEmpty();
            now = now.plusSeconds(6);
        }
        boolean _ = sweepKnowingNobody().findings().isEmpty();
        assertThat(records.all()).isEmpty();
        assertThat(records.allNetworks()).isEmpty();
        assertThat(vmms.guests()).isEmpty();
        assertThat(disks.traces()).isEmpty();
        assertThat(links.everyLink().keySet()).containsExactly(new LinkName("lo"));
        assertThat(links.everyElement()).isEmpty();
    }

    @Test
    void beginsTheGraceAnewWhenTheObjectWasThereMeanwhile() throws Exception {
        runVm("vm-1", 2);
        assertThat(sweepKnowingNobody().holds()).hasSize(1);
        now = now.plus(GRACE);
        assertThat(sweep(new Known(Set.of("vm-1"), Set.of())).holds()).isEmpty();
        assertThat(sweepKnowingNobody().holds()).hasSize(1);
    }

    @Test
    void holdsTwoOrphansAtOnceForAPerson() throws Exception {
        runVm("vm-1", 2);
        runVm("vm-2", 3);
        assertThat(sweepKnowingNobody().holds()).hasSize(2);
        now = now.plus(GRACE).plus(GRACE);
        assertThat(sweepKnowingNobody().holds())
                .extracting(h -> h.doubt().sentence())
                .allMatch(r -> r.startsWith("2 VMs of this node lost their objects together"));
        assertThat(vmms.lives("vm-1")).isTrue();
        assertThat(vmms.lives("vm-2")).isTrue();
    }

    private String reasonAfterTheGrace() throws Exception {
        return reasonAfterTheGrace(() -> {});
    }

    private String reasonAfterTheGrace(Runnable meanwhile) throws Exception {
        runVm("vm-1", 2);
        boolean _ = sweepKnowingNobody().holds().isEmpty();
        now = now.plus(GRACE);
        meanwhile.run();
        List<Held> holds = sweepKnowingNobody().holds();
        assertThat(holds).hasSize(1);
        assertThat(vmms.lives("vm-1")).isTrue();
        return holds.get(0).doubt().sentence();
    }

    @Test
    void holdsWhenTheApiServerIsAnother() throws Exception {
        cluster = Seen.present("cluster-2");
        assertThat(reasonAfterTheGrace())
                .isEqualTo("the API server is not the one this node belongs to (uid of kube-system differs)");
    }

    @Test
    void holdsWhenTheApiServerHasNoIdentity() throws Exception {
        cluster = Seen.missing();
        assertThat(reasonAfterTheGrace()).startsWith("the API server is not the one");
    }

    @Test
    void holdsWhenTheApiServerCannotBeAsked() throws Exception {
        assertThat(reasonAfterTheGrace(() -> reachable = false))
                .isEqualTo("the API server could not be asked: timeout");
    }

    @Test
    void nobodyIsMissingWhileTheApiServerDoesNotAnswer() throws Exception {
        reachable = false;
        assertThat(reasonAfterTheGrace())
                .isEqualTo("its VirtualMachine object is not in the list, and the API server could not be asked for it:"
                        + " timeout");
        reachable = true;
        assertThat(sweepKnowingNobody().holds())
                .extracting(h -> h.doubt().sentence())
                .as("the grace begins with the first NotFound")
                .containsExactly("its VirtualMachine object is gone without our release; it is taken down when that"
                        + " lasts 300 s");
    }

    @Test
    void aVmThatTheListHasNotSeenYetIsNoOrphan() throws Exception {
        realiseNetwork();
        runVm("vm-1", 2);
        runVm("vm-2", 3);
        objects.putAll(Map.of("lab/web-vm-1", "vm-1", "lab/web-vm-2", "vm-2"));
        assertThat(sweep(new Known(Set.of(), Set.of("net-1")))).isEqualTo(new Result(List.of(), List.of(), List.of()));
        assertThat(links.everyElement()).hasSize(10);
    }

    @Test
    void aNewVmDoesNotMakeALoneOrphanOneOfTwo() throws Exception {
        runVm("vm-1", 2);
        boolean _ = sweepKnowingNobody().holds().isEmpty();
        now = now.plus(GRACE);
        runVm("vm-2", 3);
        objects.put("lab/web-vm-2", "vm-2");
        assertThat(sweepKnowingNobody().holds()).isEmpty();
        assertThat(vmms.lives("vm-2")).isTrue();
    }

    @Test
    void holdsWhenADirectReadFindsTheObject() throws Exception {
        assertThat(reasonAfterTheGrace(() -> objects.put("lab/web-vm-1", "vm-1")))
                .isEqualTo("a direct read found its object, though the list did not");
    }

    @Test
    void keepsTheFormerGuestOfANameThatAnotherObjectBearsNow() throws Exception {
        assertThat(reasonAfterTheGrace(() -> objects.put("lab/web-vm-1", "vm-7")))
                .isEqualTo("an object of its name is there again with another uid (vm-7), as after a restored backup;"
                        + " guest and disks of the former one are kept until a person decides");
        now = now.plus(GRACE).plus(GRACE);
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 Recreated"));
        confirmed = Set.of("vm-1");
        sweepUntilGone("vm-1");
    }

    private static List<String> causes(Result result) {
        return result.holds().stream()
                .map(h -> h.uid() + " " + h.doubt().cause())
                .toList();
    }

    /** Until no record, no guest and no file is left of it; a stop takes several passes. */
    private void sweepUntilGone(String uid) throws Exception {
        for (int i = 0; i < 20 && records.all().containsKey(uid); i++) {
            var _ = sweepKnowingNobody();
            now = now.plusSeconds(6);
        }
        assertThat(records.all()).doesNotContainKey(uid);
        assertThat(vmms.guests()).doesNotContainKey(uid);
        assertThat(disks.traces()).doesNotContain(uid);
        assertThat(links.everyLink()).doesNotContainKey(Given.NAMES.tap(uid, "net"));
    }

    @Test
    void aConfirmedOrphanGoesByItsPowerButtonAndTheOthersStayHeld() throws Exception {
        runVm("vm-1", 2);
        records.write(java.util.Objects.requireNonNull(records.all().get("vm-1"))
                .withAsked(200_002, List.of(nic("vm-1", 2)), List.of(), Duration.ofSeconds(30)));
        runVm("vm-2", 3);
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 ManyAtOnce", "vm-2 ManyAtOnce"));
        confirmed = Set.of("vm-1");
        Result first = sweepKnowingNobody();
        assertThat(causes(first)).isEqualTo(List.of("vm-2 ManyAtOnce"));
        assertThat(first.findings())
                .extracting(f -> f.owner() + ": " + f.reason())
                .singleElement()
                .asString()
                .startsWith("uid vm-1: ")
                .contains("press the power button of lab/web-vm-1");
        assertThat(first.underWay()).isTrue();
        sweepUntilGone("vm-1");
        confirmed = Set.of();
        now = now.plus(GRACE).plus(GRACE);
        assertThat(causes(sweepKnowingNobody()))
                .as("alone now, and still one of two that were lost together")
                .isEqualTo(List.of("vm-2 ManyAtOnce"));
        assertThat(vmms.lives("vm-2")).isTrue();
    }

    @Test
    void anAgentLearnsFromItsPredecessorWhoWasLostTogether() throws Exception {
        runVm("vm-2", 3);
        heldTogether = Set.of("vm-1", "vm-2");
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-2 ManyAtOnce"));
        now = now.plus(GRACE).plus(GRACE);
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-2 ManyAtOnce"));
        heldTogether = Set.of();
        assertThat(causes(sweep(new Known(Set.of("vm-2"), Set.of())))).isEmpty();
        assertThat(causes(sweepKnowingNobody()))
                .as("its object was there meanwhile")
                .isEqualTo(List.of("vm-2 GracePeriod"));
    }

    @Test
    void whatWasDeletedByForceGoesAtOnceAndCountsForNobodyElse() throws Exception {
        VmId first = runVm("vm-1", 2);
        VmId second = runVm("vm-2", 3);
        runVm("vm-3", 4);
        Known known = new Known(
                Set.of(),
                Set.of(),
                Set.of(),
                Set.of(),
                Map.of(
                        "vm-1", new Sweeper.Stone(first, List.of()),
                        "vm-2", new Sweeper.Stone(second, List.of())));
        for (int i = 0; i < 20 && records.all().size() > 1; i++) {
            assertThat(causes(sweep(known))).containsExactly("vm-3 GracePeriod");
            now = now.plusSeconds(6);
        }
        assertThat(causes(sweep(known))).as("the third is a lone orphan").containsExactly("vm-3 GracePeriod");
        assertThat(sweeper.remains()).isEqualTo(Seen.present(Set.of("vm-3")));
        assertThat(vmms.lives("vm-1")).isFalse();
        assertThat(vmms.lives("vm-2")).isFalse();
        assertThat(vmms.lives("vm-3")).isTrue();
        assertThat(records.all()).containsOnlyKeys("vm-3");
    }

    /** What the next agent goes by, should it start without an API server. */
    @Test
    void whatHasLostItsObjectIsNoLongerToRun() throws Exception {
        PowerWish runs = new PowerWish(RunStrategy.ALWAYS, "", Duration.ofSeconds(30));
        VmId held = runVm("held", 2);
        VmId listedLate = runVm("listed-late", 3);
        objects.put(listedLate.toString(), "listed-late");
        VmId gone = new VmId("lab", "web-gone", "gone");
        VmId here = new VmId("lab", "web-here", "here");
        List.of("held", "listed-late", "gone", "here").forEach(uid -> wishes.keep(uid, runs));
        Known known = new Known(
                Set.of("here"),
                Set.of(),
                Set.of(),
                Set.of(),
                Map.of(
                        "gone", new Sweeper.Stone(gone, List.of()),
                        "here", new Sweeper.Stone(here, List.of())));
        reachable = false;
        assertThat(sweep(known).holds()).hasSize(2);
        assertThat(wishes.all().keySet())
                .as("whom the API server has not answered for may have an object")
                .isEqualTo(Set.of("held", "listed-late", "here"));
        reachable = true;
        assertThat(causes(sweep(known))).containsExactly("held GracePeriod");
        assertThat(wishes.all().keySet()).isEqualTo(Set.of("listed-late", "here"));
        assertThat(vmms.lives(held.uid())).as("it is held, and runs").isTrue();
    }

    @Test
    void aTombstoneOnAnObjectThatIsThereTouchesNothing() throws Exception {
        VmId vm = runVm("vm-1", 2);
        objects.put(vm.toString(), "vm-1");
        Known known =
                new Known(Set.of(), Set.of(), Set.of(), Set.of(), Map.of("vm-1", new Sweeper.Stone(vm, List.of())));
        assertThat(sweep(known).findings()).isEmpty();
        assertThat(vmms.lives("vm-1")).isTrue();
    }

    @Test
    void whatIsLeftIsUnknownWhileARecordCannotBeRead() throws Exception {
        runVm("vm-1", 2);
        records.damage("vm-1");
        boolean _ = sweepKnowingNobody().holds().isEmpty();
        assertThat(sweeper.remains()).isInstanceOf(Seen.Unknown.class);
    }

    @Test
    void aConfirmationThatIsTakenBackStopsNothingMore() throws Exception {
        runVm("vm-1", 2);
        runVm("vm-2", 3);
        vmms.ignorePowerButtons(true);
        confirmed = Set.of("vm-1");
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-2 ManyAtOnce"));
        confirmed = Set.of();
        now = now.plus(GRACE);
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 ManyAtOnce", "vm-2 ManyAtOnce"));
        assertThat(vmms.lives("vm-1")).isTrue();
    }

    @Test
    void noConfirmationTakesDownWhatADirectReadFinds() throws Exception {
        runVm("vm-1", 2);
        runVm("vm-2", 3);
        var _ = sweepKnowingNobody();
        confirmed = Set.of("vm-1", "vm-2");
        objects.put("lab/web-vm-1", "vm-1");
        reachable = false;
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 CannotAsk", "vm-2 CannotAsk"));
        reachable = true;
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 ObjectFound"));
        assertThat(vmms.lives("vm-1")).isTrue();
    }

    @Test
    void whatIsConfirmedInAnotherClusterGoes() throws Exception {
        cluster = Seen.present("cluster-2");
        runVm("vm-1", 2);
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 OtherCluster"));
        confirmed = Set.of("vm-1");
        sweepUntilGone("vm-1");
    }

    @Test
    void disksWhoseRecordIsLostGoWhenConfirmed() throws Exception {
        disks.writeSeed(new VmId("lab", "web", "vm-1"), new dev.vmlet.model.Seed("", "", ""), 1);
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 RecordLost"));
        confirmed = Set.of("vm-1");
        assertThat(sweepKnowingNobody().findings()).extracting(Finding::owner).containsExactly("uid vm-1");
        assertThat(disks.traces()).isEmpty();
    }

    // ---- a store that went back in time ----

    private static final StoreStamp TOLD = new StoreStamp("lease-1", Given.NOW);

    private void aRestoredStoreLosesTheGuest() throws Exception {
        runVm("vm-1", 2);
        store.renewed(TOLD);
        lease = Seen.present(TOLD);
        assertThat(causes(sweep(new Known(Set.of("vm-1"), Set.of())))).isEmpty();
        lease = Seen.present(new StoreStamp("lease-1", Given.NOW.minusSeconds(3600)));
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 StoreRestored"));
        // The agent renews its Lease, and what it found is gone; so may be the agent.
        lease = Seen.present(new StoreStamp("lease-1", Given.NOW.plusSeconds(10)));
        now = now.plus(GRACE).plus(GRACE);
    }

    @Test
    void aLoneGuestThatARestoredStoreLostWaitsForAPerson() throws Exception {
        aRestoredStoreLosesTheGuest();
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 StoreRestored"));
        assertThat(records.unseen()).as("for the next agent").containsExactly("vm-1");
        confirmed = Set.of("vm-1");
        sweepUntilGone("vm-1");
        var _ = sweepKnowingNobody();
        assertThat(records.unseen()).isEmpty();
    }

    @Test
    void onlyTheStoreItselfShowsThatItHasTheObjectStill() throws Exception {
        aRestoredStoreLosesTheGuest();
        assertThat(causes(sweep(new Known(Set.of("vm-1"), Set.of())))).isEmpty();
        assertThat(records.unseen()).as("the list may be of the time before").containsExactly("vm-1");
        objects.put("lab/web-vm-1", "vm-1");
        assertThat(causes(sweep(new Known(Set.of("vm-1"), Set.of())))).isEmpty();
        assertThat(records.unseen()).isEmpty();
        objects.clear();
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 GracePeriod"));
    }

    @Test
    void aLeaseThatItsOwnRenewalHadToMakeTellsOfTheSame() throws Exception {
        runVm("vm-1", 2);
        store.renewed(TOLD);
        store.renewed(new StoreStamp("lease-1", Given.NOW.plusSeconds(10)));
        store.renewed(new StoreStamp("lease-1", Given.NOW.minusSeconds(3600)));
        assertThat(records.unseen()).as("the clock was set back").isEmpty();
        store.renewed(new StoreStamp("lease-2", Given.NOW.plusSeconds(20)));
        assertThat(records.unseen()).containsExactly("vm-1");
    }

    @Test
    void nothingGoesWhileNobodyTellsWhetherTheStoreIsAsOldAsEver() throws Exception {
        runVm("vm-1", 2);
        store.renewed(TOLD);
        lease = Seen.present(TOLD);
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 GracePeriod"));
        now = now.plus(GRACE);
        lease = Seen.unknown("timeout");
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 CannotAsk"));
        lease = Seen.present(TOLD);
        sweepUntilGone("vm-1");
    }

    @Test
    void aConfirmationIsSpentOnWhatItWasGivenFor() throws Exception {
        cluster = Seen.present("cluster-2");
        runVm("vm-1", 2);
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 OtherCluster"));
        confirmed = Set.of("vm-1");
        sweepUntilGone("vm-1");
        var _ = sweepKnowingNobody();
        assertThat(records.spentConfirmations()).as("for the next agent").containsExactly("vm-1");
        // A backup brings it back, it runs again, and is lost again; the annotation still stands.
        runVm("vm-1", 2);
        Result again = sweepKnowingNobody();
        assertThat(causes(again)).isEqualTo(List.of("vm-1 OtherCluster"));
        assertThat(again.holds().getFirst().doubt().sentence())
                .endsWith(
                        "; the confirmation that stands was given before, and does not count for this: take it away and"
                                + " give it again");
        confirmed = Set.of();
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 OtherCluster"));
        confirmed = Set.of("vm-1");
        sweepUntilGone("vm-1");
    }

    private static final Downtime EVACUATION =
            new Downtime(Reason.Evacuated, "Work on the node.", true, Optional.empty());

    private void withGrace(String uid, int last) throws Exception {
        records.write(java.util.Objects.requireNonNull(records.all().get(uid))
                .withAsked(200_000 + last, List.of(nic(uid, last)), List.of(), Duration.ofSeconds(30)));
    }

    @Test
    void heldGuestsAreShutDownForAnEvacuationAndNothingOfThemGoes() throws Exception {
        realiseNetwork();
        giveDisk(runVm("vm-1", 2));
        giveDisk(runVm("vm-2", 3));
        withGrace("vm-1", 2);
        withGrace("vm-2", 3);
        var links = Set.copyOf(this.links.everyLink().keySet());
        var elements = this.links.everyElement();
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 ManyAtOnce", "vm-2 ManyAtOnce"));
        downtime = Optional.of(EVACUATION);
        Result pressed = sweepKnowingNobody();
        assertThat(causes(pressed)).as("a stop is no removal").isEqualTo(List.of("vm-1 ManyAtOnce", "vm-2 ManyAtOnce"));
        assertThat(pressed.findings()).extracting(Finding::action).containsExactly("Stopped", "Stopped");
        assertThat(pressed.findings().getFirst().reason())
                .isEqualTo("write the next rung of its stop into the record of lab/web-vm-1, press the power button of"
                        + " lab/web-vm-1, because this node is evacuated");
        assertThat(pressed.underWay()).isTrue();
        now = now.plusSeconds(31);
        for (int i = 0; i < 9; i++) {
            var _ = sweepKnowingNobody();
            now = now.plusSeconds(6);
        }
        assertThat(records.vms())
                .allSatisfy(record -> {
                    assertThat(record.launch()).isEmpty();
                    assertThat(record.lastExit().orElseThrow().reason()).isEqualTo(Reason.Evacuated);
                })
                .hasSize(2);
        assertThat(vmms.guests()).isEmpty();
        assertThat(disks.finished("vm-1")).containsExactly("root");
        assertThat(this.links.everyLink().keySet()).isEqualTo(links);
        assertThat(this.links.everyElement()).isEqualTo(elements);
        downtime = Optional.empty();
        assertThat(sweepKnowingNobody().findings()).isEmpty();
    }

    @Test
    void aStopThatTheEvacuationBeganGoesOnWhenItEnds() throws Exception {
        runVm("vm-1", 2);
        runVm("vm-2", 3);
        withGrace("vm-1", 2);
        var _ = sweepKnowingNobody();
        downtime = Optional.of(EVACUATION);
        var _ = sweepKnowingNobody();
        downtime = Optional.empty();
        now = now.plusSeconds(31);
        for (int i = 0; i < 9; i++) {
            var _ = sweepKnowingNobody();
            now = now.plusSeconds(6);
        }
        assertThat(vmms.guests()).doesNotContainKey("vm-1");
        assertThat(records.all()).containsKeys("vm-1", "vm-2");
    }

    @Test
    void nobodyIsStoppedWhomOnlyTheCacheMisses() throws Exception {
        runVm("vm-1", 2);
        downtime = Optional.of(EVACUATION);
        reachable = false;
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 CannotAsk"));
        assertThat(vmms.lives("vm-1")).isTrue();
    }

    private void giveDisk(VmId vm) {
        disks.prepare(
                vm,
                Given.desiredVm().disks().stream()
                        .filter(disk -> disk.name().equals("root"))
                        .findFirst()
                        .orElseThrow(),
                200_002);
        disks.finishAll();
    }

    private void theConfirmedGuestGoesByItsButtonAndItsDiskStays() throws Exception {
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 RecordLost"));
        assertThat(vmms.lives("vm-1")).isTrue();
        confirmed = Set.of("vm-1");
        List<String> done = new ArrayList<>();
        for (int i = 0; i < 20 && (i == 0 || records.all().containsKey("vm-1")); i++) {
            sweepKnowingNobody().findings().forEach(f -> done.add(f.reason()));
            now = now.plusSeconds(6);
        }
        assertThat(String.join("\n", done)).contains("press the power button of ?/uid-vm-1");
        assertThat(records.all()).doesNotContainKey("vm-1");
        assertThat(vmms.guests()).doesNotContainKey("vm-1");
        assertThat(links.everyLink()).doesNotContainKey(Given.NAMES.tap("vm-1", "net"));
        assertThat(disks.traces()).isEmpty();
        assertThat(disks.retainedNames())
                .as("whether it was to stay nobody knows")
                .containsExactly("vm-1/root");
    }

    @Test
    void aConfirmedGuestWhoseRecordIsDamagedForGoodGoes() throws Exception {
        realiseNetwork();
        giveDisk(runVm("vm-1", 2));
        records.destroy("vm-1");
        theConfirmedGuestGoesByItsButtonAndItsDiskStays();
    }

    @Test
    void aConfirmedGuestThatHasNoRecordAnyMoreGoes() throws Exception {
        realiseNetwork();
        giveDisk(runVm("vm-1", 2));
        records.all().remove("vm-1");
        theConfirmedGuestGoesByItsButtonAndItsDiskStays();
    }

    @Test
    void disksWhoseRecordIsLostAreKeptAsideWhenConfirmed() throws Exception {
        giveDisk(new VmId("lab", "web", "vm-1"));
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("vm-1 RecordLost"));
        confirmed = Set.of("vm-1");
        var _ = sweepKnowingNobody();
        assertThat(disks.traces()).isEmpty();
        assertThat(disks.retainedNames()).containsExactly("vm-1/root");
    }

    @Test
    void aConfirmedGuestThatCannotBeLookedAtIsHeldAndSaysWhy() throws Exception {
        runVm("vm-1", 2);
        records.damage("vm-1");
        confirmed = Set.of("vm-1");
        Result result = sweepKnowingNobody();
        assertThat(causes(result)).isEqualTo(List.of("vm-1 CannotLook"));
        assertThat(result.holds().getFirst().doubt().sentence())
                .isEqualTo("it is to be taken down, and cannot: The record of vm-1 cannot be read");
        assertThat(vmms.lives("vm-1")).isTrue();
    }

    @Test
    void keepsEveryBridgeInAnotherClusterAndWhileNobodyAnswers() throws Exception {
        realiseNetwork();
        cluster = Seen.present("cluster-2");
        Result result = sweepKnowingNobody();
        assertThat(causes(result)).isEqualTo(List.of("net-1 OtherCluster"));
        assertThat(result.holds().getFirst().name()).isEqualTo("lab/net");
        cluster = Seen.unknown("timeout");
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("net-1 CannotAsk"));
        assertThat(links.everyLink()).containsKey(network().bridge());
        cluster = Seen.present("cluster-1");
        assertThat(causes(sweepKnowingNobody())).isEmpty();
        assertThat(links.everyLink()).doesNotContainKey(network().bridge());
    }

    @Test
    void keepsEveryBridgeWhileARecordCannotBeRead() throws Exception {
        realiseNetwork();
        runVm("vm-1", 2);
        links.unplug(Given.NAMES.tap("vm-1", "net"));
        records.damage("vm-1");
        var _ = sweepKnowingNobody();
        assertThat(links.everyLink()).containsKey(network().bridge());
        assertThat(records.allNetworks()).containsKey("net-1");
    }

    @Test
    void holdsDisksWhoseRecordIsLost() throws Exception {
        disks.writeSeed(new VmId("lab", "web", "vm-1"), new dev.vmlet.model.Seed("", "", ""), 1);
        assertThat(sweepKnowingNobody().holds()).hasSize(1);
        now = now.plus(GRACE);
        assertThat(sweepKnowingNobody().holds())
                .extracting(h -> h.doubt().sentence())
                .containsExactly("its record is lost, so nobody can be asked whether its object exists");
        assertThat(disks.traces()).containsExactly("vm-1");
    }

    @Test
    void keepsTapAndElementsOfAnUnreadableRecord() throws Exception {
        realiseNetwork();
        runVm("vm-1", 2);
        records.damage("vm-1");
        var before = links.everyLink();
        Result result = sweep(new Known(Set.of(), Set.of("net-1")));
        assertThat(result.failures()).containsExactly("The record of vm-1 cannot be read");
        assertThat(result.holds()).hasSize(1);
        assertThat(links.everyLink()).isEqualTo(before);
        assertThat(links.everyElement()).hasSize(7);
    }

    @Test
    void keepsElementsOfANetworkWhoseRecordIsUnreadable() throws Exception {
        realiseNetwork();
        records.damage("net-1");
        assertThat(sweepKnowingNobody().findings()).isEmpty();
        assertThat(links.everyElement()).hasSize(4);
        assertThat(links.everyLink()).containsKey(network().bridge());
    }

    @Test
    void keepsTheElementsOfABridgeThatStaysBecauseARecordCannotBeRead() throws Exception {
        realiseNetwork();
        records.allNetworks().remove("net-1");
        runVm("vm-1", 2);
        records.damage("vm-1");
        assertThat(sweepKnowingNobody().findings()).isEmpty();
        assertThat(links.everyElement()).hasSize(7);
    }

    @Test
    void keepsTheElementsOfABridgeThatIsHeldAndHasNoRecord() throws Exception {
        realiseNetwork();
        records.allNetworks().remove("net-1");
        cluster = Seen.present("cluster-2");
        assertThat(causes(sweepKnowingNobody())).isEqualTo(List.of("net-1 OtherCluster"));
        assertThat(links.everyElement()).hasSize(4);
        cluster = Seen.present("cluster-1");
        var _ = sweepKnowingNobody();
        var _ = sweepKnowingNobody();
        assertThat(links.everyLink()).doesNotContainKey(network().bridge());
        assertThat(links.everyElement()).isEmpty();
    }

    @Test
    void keepsTheBridgeThatAHeldGuestUses() throws Exception {
        realiseNetwork();
        runVm("vm-1", 2);
        assertThat(sweepKnowingNobody().findings()).isEmpty();
        assertThat(links.everyLink()).containsKey(network().bridge());
        assertThat(links.everyElement())
                .contains(new FirewallElement(
                        FirewallSet.BRIDGES, List.of(network().bridge().value()), "net-1"));
    }

    @Test
    void goesOnWithTheTapsThatADeadAgentHadRetired() throws Exception {
        LinkName tap = Given.NAMES.tap("vm-1", "net");
        Mark mark = Mark.ofNic(Given.INSTALLATION, "vm-1", "net-1");
        links.createTap(tap, 200_000, 1500, mark);
        links.retire(tap, mark, Given.NAMES.reapGroup());
        assertThat(sweepKnowingNobody()).isEqualTo(new Result(List.of(), List.of(), List.of()));
        assertThat(reaperWakes).isEqualTo(1);
        reap();
        Result _ = sweepKnowingNobody();
        assertThat(reaperWakes).isEqualTo(1);
    }

    @Test
    void asksWhoIsKnownOnlyAfterLooking() throws Exception {
        boolean[] looked = new boolean[1];
        links.failNext("list", new HostException.TimedOut("dump", null));
        try {
            boolean _ = sweeper.sweep(
                            () -> {
                                looked[0] = true;
                                return new Known(Set.of(), Set.of());
                            },
                            new DirectlyNobody())
                    .findings()
                    .isEmpty();
        } catch (HostException.TimedOut e) {
            assertThat(looked[0]).as("owners asked without a complete look").isFalse();
            return;
        }
        throw new AssertionError("a failed look must end the sweep");
    }

    private static final class DirectlyNobody implements Sweeper.Authority {
        @Override
        public Seen<String> cluster() {
            return Seen.missing();
        }

        @Override
        public Seen<String> uidOf(VmId vm) {
            return Seen.missing();
        }

        @Override
        public Seen<StoreStamp> store() {
            return Seen.missing();
        }
    }
}
