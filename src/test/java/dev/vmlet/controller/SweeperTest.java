package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.api.VmNodeStatus.Hold;
import dev.vmlet.controller.Sweeper.Known;
import dev.vmlet.controller.Sweeper.Result;
import dev.vmlet.host.Applier;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.host.Observer;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
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
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Ruleset;
import dev.vmlet.plan.VmPlanner;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
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
    private int reaperWakes;

    private final Sweeper sweeper = new Sweeper(
            observer,
            records,
            new VmPlanner(Given.NAMES, Given.PATHS, Given.BOOT),
            new NetworkPlanner(Given.NAMES),
            new Applier(host, (_, _, _) -> {}, this::reap),
            Given.INSTALLATION,
            GRACE,
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
        return sweep(new Known(Set.of(), Set.of()));
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
                        org.assertj.core.groups.Tuple.tuple("FirewallElement", "2 elements"),
                        org.assertj.core.groups.Tuple.tuple("VirtualMachine", "?/uid-vm-9"));
        assertThat(links.everyLink()).doesNotContainKey(nic.tap());
        assertThat(links.everyElement()).isEmpty();
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
                .containsExactly(new Hold(
                        "VirtualMachine",
                        "lab/web-vm-1",
                        "uid vm-1",
                        "its VirtualMachine object is gone without our release; it is taken down when that lasts 300 s",
                        "2026-01-01T12:00:00Z"));
        now = now.plus(GRACE).minusSeconds(1);
        assertThat(sweepKnowingNobody().holds()).hasSize(1);
        assertThat(vmms.lives("vm-1")).isTrue();
        assertThat(links.everyElement()).hasSize(2);
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
                .extracting(Hold::reason)
                .allMatch(r -> String.valueOf(r).startsWith("2 VMs of this node have no object at the same time"));
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
        List<Hold> holds = sweepKnowingNobody().holds();
        assertThat(holds).hasSize(1);
        assertThat(vmms.lives("vm-1")).isTrue();
        return String.valueOf(holds.get(0).reason());
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
                .extracting(Hold::reason)
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
        assertThat(links.everyElement()).hasSize(8);
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
    void takesAnotherObjectOfTheSameNameForNotFound() throws Exception {
        objects.put("lab/web-vm-1", "vm-7");
        runVm("vm-1", 2);
        assertThat(sweepKnowingNobody().holds()).hasSize(1);
        now = now.plus(GRACE);
        assertThat(sweepKnowingNobody().holds()).isEmpty();
    }

    @Test
    void holdsDisksWhoseRecordIsLost() throws Exception {
        disks.writeSeed(new VmId("lab", "web", "vm-1"), new dev.vmlet.model.Seed("", "", ""), 1);
        assertThat(sweepKnowingNobody().holds()).hasSize(1);
        now = now.plus(GRACE);
        assertThat(sweepKnowingNobody().holds())
                .extracting(Hold::reason)
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
        assertThat(links.everyElement()).hasSize(6);
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
    }
}
