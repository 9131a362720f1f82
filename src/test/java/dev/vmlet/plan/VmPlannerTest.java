package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Exit;
import dev.vmlet.model.VmRecord.Launch;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class VmPlannerTest {
    private static final Instant NOW = Given.NOW.plusSeconds(60);
    private static final Set<FirewallElement> GUARDS = Set.copyOf(Given.nic().elements("vm-1"));
    private static final String T = Given.nic().tap().value();
    private static final Launch RAN = Given.launch();
    private static final Launch BEGUN = new Launch(RAN.spec(), Given.BOOT, Given.NOW, Optional.empty(), "");
    private static final GuestProcess ALIVE = new GuestProcess.Alive(4711, 9);
    private static final GuestProcess NO_TRACE = new GuestProcess.Ended(-1, 0, false, Optional.empty(), "", "");
    private static final GuestProcess CRASHED = new GuestProcess.Ended(139, 11, false, Optional.empty(), "", "");

    private final VmPlanner planner = new VmPlanner(Given.NAMES, Given.PATHS, Given.BOOT);

    // What is seen; a steady running VM until a test says otherwise.
    private Seen<VmRecord> record = Seen.present(Given.record().withLaunch(RAN, 0));
    private Map<String, NicObservation> nics = new HashMap<>(Map.of("net-1", nic(Seen.present(Given.tap()), GUARDS)));
    private Seen<Map<LinkName, Mark>> stray = Seen.present(Map.of());
    private Map<String, DiskState> disks = Map.of("root", new DiskState.Ready(1000));
    private Seen<String> seed = Seen.present(Given.desiredVm().seed().fingerprint());
    private Seen<GuestProcess> process = Seen.present(ALIVE);
    private Seen<Tampering> tampering = Seen.present(Tampering.NONE);
    private GuestState guest = GuestState.of(GuestState.Kind.RUNNING);
    private Seen<Boolean> leftovers = Seen.present(true);

    private static NicObservation nic(Seen<Link> tap, Set<FirewallElement> elements) {
        return new NicObservation(Given.nic().tap(), Seen.present(Given.bridge()), tap, Seen.present(elements));
    }

    private VmObservation seen() {
        return new VmObservation(record, nics, stray, disks, seed, process, tampering, guest, Reach.OPEN, leftovers);
    }

    private Plan plan(DesiredVm vm) {
        return planner.plan(Given.WEB, new Resolution.Desired<>(vm), seen(), NOW);
    }

    private String text(DesiredVm vm) {
        return Texts.of(plan(vm));
    }

    private String removal() {
        return Texts.of(planner.plan(Given.WEB, new Resolution.Absent<>(), seen(), NOW));
    }

    private void nothingRuns(VmRecord of) {
        record = Seen.present(of);
        process = Seen.missing();
        guest = GuestState.of(GuestState.Kind.NONE);
    }

    private static DesiredVm asked(RunStrategy strategy) {
        return Given.desiredVm(strategy, List.of(Given.nic()));
    }

    private static VmRecord ended(Reason reason, int failures, Instant at) {
        return Given.record().withLaunch(RAN, 0).withExit(new Exit(reason, "It ended.", at, 3, ""), failures);
    }

    // ---- start ----

    @Test
    void writesAddressesAndUserIdDownBeforeAnythingElse() {
        record = Seen.missing();
        process = Seen.missing();
        assertThat(plan(asked(RunStrategy.ALWAYS)))
                .isEqualTo(new Plan(
                        List.of(new PlannedStep(
                                new Step.WriteVmRecord(Given.record(), "addresses and user id"),
                                "VM lab/web is new on this node")),
                        Optional.empty()));
    }

    @Test
    void preparesDisksBeforeLinksAndFirewall() {
        nothingRuns(Given.record());
        disks = Map.of();
        seed = Seen.missing();
        nics.put("net-1", nic(Seen.missing(), Set.of()));
        assertThat(text(asked(RunStrategy.ALWAYS))).isEqualTo("""
                prepare disk root of lab/web, blank, because VM lab/web cannot start without it
                wait PT2S for PreparingDisks: Images are being fetched, converted or cloned.
                """);
    }

    @Test
    void makesSeedAndNicAndStartsTheVmmLast() {
        nothingRuns(Given.record());
        seed = Seen.missing();
        nics.put("net-1", nic(Seen.missing(), Set.of()));
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .isEqualTo("""
                write the cloud-init seed of lab/web, because VM lab/web has no seed yet
                admit taps{%1$s}, ok4{%1$s . %2$s . 10.77.4.2}, held{10.77.4.2} in the firewall, because VM lab/web may send from %2$s 10.77.4.2 only
                create tap %1$s for user 200000 (mtu 1500), because VM lab/web has a NIC on Network lab/net
                attach %1$s to bridge %3$s, because VM lab/web has a NIC on Network lab/net
                set %1$s up, because VM lab/web has a NIC on Network lab/net
                write what is started into the record of lab/web, because VM lab/web is to run
                start qemu for lab/web (2 cores, 2048 MiB), because VM lab/web is to run
                wait PT0.1S for Starting: waiting for the VMM to answer
                """.formatted(T, Given.nic().mac(), Given.nic().bridge()));
    }

    @Test
    void writesTheLaunchDownBeforeItStartsTheVmm() {
        nothingRuns(Given.record());
        Launch launch = new Launch(RAN.spec(), Given.BOOT, NOW, Optional.empty(), "");
        assertThat(plan(asked(RunStrategy.ALWAYS)))
                .isEqualTo(new Plan(
                        List.of(
                                new PlannedStep(
                                        new Step.WriteVmRecord(Given.record().withLaunch(launch, 0), "what is started"),
                                        "VM lab/web is to run"),
                                new PlannedStep(new Step.SpawnVmm(RAN.spec()), "VM lab/web is to run")),
                        Optional.of(new Plan.Wait(
                                Reason.Starting, "waiting for the VMM to answer", Duration.ofMillis(100)))));
    }

    @Test
    void waitsForTheNetworksBridge() {
        nothingRuns(Given.record());
        nics.put(
                "net-1", new NicObservation(Given.nic().tap(), Seen.missing(), Seen.missing(), Seen.present(Set.of())));
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .isEqualTo("wait PT2S for NetworkNotReady: Network lab/net has no bridge on this node yet\n");
    }

    @Test
    void growsADiskAndRewritesAChangedSeed() {
        nothingRuns(Given.record());
        disks = Map.of("root", new DiskState.Ready(500));
        seed = Seen.present("old");
        assertThat(text(asked(RunStrategy.ALWAYS))).isEqualTo("""
                prepare disk root of lab/web, blank, because it has 500 bytes, asked are 1000
                wait PT2S for PreparingDisks: Images are being fetched, converted or cloned.
                """);
        disks = Map.of("root", new DiskState.Ready(1000));
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .startsWith("write the cloud-init seed of lab/web, because its contents changed\n");
    }

    @Test
    void triesAFailedDiskAgainAfterItsPause() {
        nothingRuns(Given.record());
        disks = Map.of("root", new DiskState.Failed(Reason.ImageFetchFailed, "no answer", true, NOW.minusSeconds(29)));
        assertThat(text(asked(RunStrategy.ALWAYS))).isEqualTo("wait PT1S for ImageFetchFailed: no answer\n");
        disks = Map.of("root", new DiskState.Failed(Reason.ImageFetchFailed, "no answer", true, NOW.minusSeconds(30)));
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .startsWith("prepare disk root of lab/web, blank, because the last attempt failed (ImageFetchFailed)");
    }

    @Test
    void takesANicAwayThatTheSpecHasLeftWhileTheRecordNamesIt() {
        nothingRuns(Given.record());
        assertThat(text(Given.desiredVm(RunStrategy.ALWAYS, List.of())))
                .isEqualTo("""
                remove ok4{%1$s . %2$s . 10.77.4.2} from the firewall, because VM lab/web is on that Network no longer
                cut off %1$s and leave it to be deleted, because VM lab/web is on that Network no longer
                remove taps{%1$s}, held{10.77.4.2} from the firewall, because VM lab/web is on that Network no longer
                """.formatted(T, Given.nic().mac()));
        nics.put("net-1", nic(Seen.missing(), Set.of()));
        assertThat(text(Given.desiredVm(RunStrategy.ALWAYS, List.of())))
                .startsWith("write addresses and user id into the record of lab/web, because a change waited");
    }

    @Test
    void clearsTheTapOfAnEarlierNetworkOfTheSameName() {
        nothingRuns(Given.record());
        DesiredNic anew = Given.nic(new NetworkId("lab", "net", "net-2"), "vm-1", "10.78.4.2");
        nics.put(
                "net-2",
                new NicObservation(anew.tap(), Seen.missing(), Seen.present(Given.tap()), Seen.present(Set.of())));
        assertThat(text(Given.desiredVm(RunStrategy.ALWAYS, List.of(anew)))).contains("cut off " + T);
    }

    // ---- life ----

    @Test
    void leavesASteadyGuestAlone() {
        assertThat(plan(asked(RunStrategy.ALWAYS))).isEqualTo(Plan.nothing());
        assertThat(plan(asked(RunStrategy.ONCE))).isEqualTo(Plan.nothing());
    }

    @Test
    void aChangedSpecWaitsForTheNextStart() {
        DesiredNic more = Given.nic(new NetworkId("lab", "blue", "net-2"), "vm-1", "10.78.4.2");
        nics.put("net-2", new NicObservation(more.tap(), Seen.missing(), Seen.missing(), Seen.present(Set.of())));
        assertThat(plan(Given.desiredVm(RunStrategy.ALWAYS, List.of(Given.nic(), more))))
                .isEqualTo(Plan.nothing());
        assertThat(plan(Given.desiredVm(RunStrategy.ALWAYS, List.of()))).isEqualTo(Plan.nothing());
    }

    @Test
    void theNextStartTakesUpNewNicsInTheirOrderAndLetsGoOfThoseThatAreLeft() {
        nothingRuns(ended(Reason.GuestPoweredOff, 0, NOW.minusSeconds(60)));
        DesiredNic blue = Given.nic(new NetworkId("lab", "blue", "net-2"), "vm-1", "10.78.4.2");
        DesiredNic red = Given.nic(new NetworkId("lab", "red", "net-3"), "vm-1", "10.79.4.2");
        for (DesiredNic nic : List.of(blue, red)) {
            Link base = Given.bridge();
            Link bridge =
                    new Link(base.index(), nic.bridge(), "bridge", base.mac(), 1500, true, nic.bridgeMark(), 0, -1, 0);
            nics.put(
                    nic.network().uid(),
                    new NicObservation(nic.tap(), Seen.present(bridge), Seen.missing(), Seen.present(Set.of())));
        }
        DesiredVm asked = Given.desiredVm(RunStrategy.ALWAYS, List.of(red, blue));
        assertThat(text(asked))
                .startsWith("remove ok4{")
                .contains("cut off " + T)
                .contains("because VM lab/web is on that Network no longer")
                .doesNotContain("create tap", "start ");
        nics.put("net-1", nic(Seen.missing(), Set.of()));
        record = Seen.present(ended(Reason.GuestPoweredOff, 0, NOW.minusSeconds(60))
                .withAsked(asked.userId(), asked.nics(), List.of(), asked.grace()));
        assertThat(plan(asked).steps().stream().map(PlannedStep::step).toList())
                .filteredOn(step -> step instanceof Step.CreateTap || step instanceof Step.SpawnVmm)
                .satisfiesExactly(
                        step -> assertThat(step.toString()).contains("create tap " + red.tap()),
                        step -> assertThat(step.toString()).contains("create tap " + blue.tap()),
                        step -> assertThat(((Step.SpawnVmm) step)
                                        .launch().nics().stream().map(LaunchSpec.Nic::network))
                                .containsExactly("red", "blue"));
    }

    @Test
    void writesDownWhenTheGuestFirstRuns() {
        record = Seen.present(Given.record().withLaunch(BEGUN, 0));
        guest = new GuestState(GuestState.Kind.RUNNING, false, "1.0");
        assertThat(plan(asked(RunStrategy.ALWAYS)).steps())
                .containsExactly(new PlannedStep(
                        new Step.WriteVmRecord(
                                Given.record().withLaunch(BEGUN.withRan(NOW, "1.0"), 0), "that the guest runs"),
                        "the VMM says that the guest runs"));
    }

    @Test
    void looksOftenWhileItStartsAndRarelyWhileSomebodyHoldsIt() {
        guest = GuestState.of(GuestState.Kind.STARTING);
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .isEqualTo("wait PT0.25S for Starting: waiting for qemu to answer\n");
        guest = GuestState.of(GuestState.Kind.HELD);
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .isEqualTo("wait PT30S for Paused: The guest is paused by somebody else.\n");
    }

    @Test
    void putsBackGuardsAndBridgeUnderARunningGuest() {
        nics.put("net-1", nic(Seen.present(Given.tap(Given.nic().mark(), true, 0)), Set.of()));
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .contains("admit taps{")
                .contains("attach " + T + " to bridge")
                .doesNotContain("power");
    }

    @Test
    void stopsForHaltRestartPanicPowerOffAndALostTap() {
        assertThat(text(asked(RunStrategy.HALTED))).contains("press the power button of lab/web");
        DesiredVm base = Given.desiredVm();
        DesiredVm restart = new DesiredVm(
                base.id(),
                base.generation(),
                base.runStrategy(),
                "monday",
                base.vmm(),
                base.cores(),
                base.memory(),
                base.disks(),
                base.cmdline(),
                base.seed(),
                base.nics(),
                base.userId(),
                base.readiness(),
                base.grace());
        assertThat(text(restart)).contains("because a stop or restart is asked for");
        guest = new GuestState(GuestState.Kind.RUNNING, true, "");
        assertThat(text(base)).contains("cut the power of lab/web, because the guest's kernel has panicked");
        guest = GuestState.of(GuestState.Kind.POWERED_OFF);
        assertThat(text(base)).contains("cut the power of lab/web, because the guest has powered itself off");
        guest = GuestState.of(GuestState.Kind.RUNNING);
        nics.put("net-1", nic(Seen.missing(), GUARDS));
        assertThat(text(base)).contains("because its tap was deleted under it");
    }

    @Test
    void stopsWithTheGraceThatIsAskedForNow() {
        DesiredVm base = asked(RunStrategy.HALTED);
        DesiredVm hasty = new DesiredVm(
                base.id(),
                base.generation(),
                base.runStrategy(),
                "",
                base.vmm(),
                base.cores(),
                base.memory(),
                base.disks(),
                base.cmdline(),
                base.seed(),
                base.nics(),
                base.userId(),
                base.readiness(),
                Duration.ZERO);
        assertThat(text(hasty)).contains("cut the power of lab/web");
    }

    // ---- end ----

    @Test
    void saysHowTheGuestEndedBeforeItLetsGoOfTheProcess() {
        process = Seen.present(CRASHED);
        VmRecord after = Given.record()
                .withLaunch(RAN, 0)
                .withExit(new Exit(Reason.VmmKilled, "The VMM was killed by signal 11.", NOW, 3, ""), 1);
        assertThat(plan(asked(RunStrategy.ALWAYS)))
                .isEqualTo(new Plan(
                        List.of(
                                new PlannedStep(
                                        new Step.WriteVmRecord(after, "how the guest ended"),
                                        "The VMM was killed by signal 11."),
                                new PlannedStep(new Step.ReleaseProcess(Given.WEB), "its process is proved dead")),
                        Optional.empty()));
    }

    @Test
    void aRebootIsAnEndToo() {
        record = Seen.present(
                Given.record().withLaunch(new Launch(RAN.spec(), "boot-0", Given.NOW, Optional.of(Given.NOW), ""), 0));
        process = Seen.present(NO_TRACE);
        assertThat(text(asked(RunStrategy.ALWAYS))).contains("because The host was rebooted.");
    }

    @Test
    void aStartThatNeverHappenedIsNoEndAndNoRestart() {
        VmRecord before = ended(Reason.VmmKilled, 2, Given.NOW.minusSeconds(100));
        record = Seen.present(before.withLaunch(BEGUN, before.restarts() + 1));
        process = Seen.present(NO_TRACE);
        assertThat(plan(asked(RunStrategy.ALWAYS)))
                .isEqualTo(new Plan(
                        List.of(
                                new PlannedStep(
                                        new Step.WriteVmRecord(before.withFailures(3), "that the start did not happen"),
                                        "no process came of it"),
                                new PlannedStep(new Step.ReleaseProcess(Given.WEB), "no process came of it")),
                        Optional.empty()));
    }

    @Test
    void pausesBetweenStartsThatDoNotHappen() {
        record = Seen.present(Given.record().withFailures(8).withLaunch(BEGUN, 0));
        process = Seen.present(NO_TRACE);
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .isEqualTo(
                        "wait PT3M16S for BackOff: The VMM could not be started. The next try is at 2026-01-01T12:04:16Z.\n");
    }

    @Test
    void backsOffAndThenStartsAgainAndCounts() {
        nothingRuns(ended(Reason.VmmKilled, 5, NOW.minusSeconds(15)));
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .isEqualTo("wait PT1S for BackOff: It ended. The next try is at 2026-01-01T12:01:01Z.\n");
        nothingRuns(ended(Reason.VmmKilled, 5, NOW.minusSeconds(16)));
        assertThat(plan(asked(RunStrategy.ALWAYS)).steps().get(0).step())
                .isInstanceOfSatisfying(
                        Step.WriteVmRecord.class,
                        s -> assertThat(s.record().restarts()).isEqualTo(1));
        nothingRuns(ended(Reason.StoppedOnRequest, 0, NOW));
        assertThat(plan(asked(RunStrategy.ALWAYS)).steps().get(0).step())
                .isInstanceOfSatisfying(
                        Step.WriteVmRecord.class,
                        s -> assertThat(s.record().restarts()).isZero());
    }

    @Test
    void restsWithoutTapAndGuardsButWithItsAddress() {
        nothingRuns(ended(Reason.GuestPoweredOff, 1, NOW));
        assertThat(text(asked(RunStrategy.ONCE)))
                .contains("cut off " + T)
                .doesNotContain("record")
                .endsWith("wait PT1H for Completed: the guest ended and runStrategy does not start it again\n");
        nics.put("net-1", nic(Seen.missing(), Set.of()));
        assertThat(text(asked(RunStrategy.HALTED))).isEqualTo("wait PT1H for Stopped: runStrategy is Halted\n");
    }

    // ---- refusals and failed looks ----

    @Test
    void leavesARunningGuestAloneWhereItCannotFollow() {
        Resolution<DesiredVm> unresolved = new Resolution.Unresolved<>(Reason.NetworkNotFound, "no such Network");
        assertThat(planner.plan(Given.WEB, unresolved, seen(), NOW))
                .isEqualTo(Plan.waiting(Reason.NetworkNotFound, "no such Network", Duration.ofSeconds(30)));
        process = Seen.present(CRASHED);
        assertThat(Texts.of(planner.plan(Given.WEB, unresolved, seen(), NOW))).startsWith("write how the guest ended");
        process = Seen.present(ALIVE);
        record = Seen.present(Given.record()
                .withLaunch(RAN, 0)
                .withStop(new VmRecord.Stop(
                        Given.NOW, Reason.StoppedOnRequest, VmRecord.Rung.KILL, Given.NOW, Given.NOW)));
        assertThat(Texts.of(planner.plan(Given.WEB, unresolved, seen(), NOW))).contains("kill the VMM of lab/web");
    }

    @Test
    void whatARunningGuestLacksIsDriftAndWhatAStartMakesIsNot() {
        nics.put("net-1", nic(Seen.present(Given.tap(Given.nic().mark(), false, 7)), GUARDS));
        assertThat(text(asked(RunStrategy.ALWAYS))).isEqualTo("set " + T + " up, because the tap is down [drift]\n");
        nothingRuns(Given.record());
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .contains("set " + T + " up, because the tap is down\n")
                .doesNotContain("[drift]");
    }

    @Test
    void theRestartOfAGuestWhoseTapWasDeletedIsDrift() {
        nics.put("net-1", nic(Seen.missing(), GUARDS));
        assertThat(text(asked(RunStrategy.ALWAYS))).contains("another [drift]\n");
        nothingRuns(ended(Reason.TapLost, 0, NOW));
        assertThat(text(asked(RunStrategy.ALWAYS))).contains("starts it again [drift]\n");
    }

    private static final Resolution<DesiredVm> SECRETLESS =
            new Resolution.Unresolved<>(Reason.SecretNotFound, "no Secret s");

    private String unresolved(RunStrategy strategy, String restartToken, Resolution<DesiredVm> resolution) {
        PowerWish wish = new PowerWish(strategy, restartToken, Duration.ofSeconds(7));
        return Texts.of(planner.plan(Given.WEB, resolution, Optional.of(wish), seen(), NOW));
    }

    @Test
    void haltsAGuestWhoseObjectCannotBeFollowed() {
        assertThat(unresolved(RunStrategy.HALTED, "", SECRETLESS)).isEqualTo("""
                write the next rung of its stop into the record of lab/web, because a stop or restart is asked for
                press the power button of lab/web, because a stop or restart is asked for
                wait PT0.5S for Stopping: stopping: press the power button of lab/web
                """);
        nothingRuns(ended(Reason.StoppedOnRequest, 0, NOW));
        assertThat(unresolved(RunStrategy.HALTED, "", SECRETLESS))
                .contains("cut off " + T)
                .contains("because runStrategy is Halted")
                .endsWith("wait PT30S for SecretNotFound: no Secret s\n");
    }

    @Test
    void restartsAGuestWhoseObjectCannotBeFollowedAsItWasStartedLast() {
        assertThat(unresolved(RunStrategy.ALWAYS, "now", SECRETLESS)).contains("press the power button of lab/web");
        nothingRuns(ended(Reason.StoppedOnRequest, 0, NOW));
        assertThat(planner.plan(
                                Given.WEB,
                                SECRETLESS,
                                Optional.of(new PowerWish(RunStrategy.ALWAYS, "now", Duration.ofSeconds(7))),
                                seen(),
                                NOW)
                        .steps()
                        .getLast()
                        .step())
                .isEqualTo(new Step.SpawnVmm(RAN.spec().withRestartToken("now")));
        nothingRuns(ended(Reason.VmmKilled, 3, NOW.minusSeconds(1)));
        assertThat(unresolved(RunStrategy.ALWAYS, "", SECRETLESS)).startsWith("wait PT3S for BackOff");
        assertThat(unresolved(RunStrategy.ONCE, "", SECRETLESS))
                .isEqualTo("wait PT30S for SecretNotFound: no Secret s\n");
    }

    @Test
    void aRestartWaitsForWhatCannotComeUpAgain() {
        nics.put(
                "net-1",
                new NicObservation(Given.nic().tap(), Seen.missing(), Seen.present(Given.tap()), Seen.present(GUARDS)));
        assertThat(unresolved(RunStrategy.ALWAYS, "now", SECRETLESS))
                .isEqualTo("wait PT30S for SecretNotFound: no Secret s\n");
    }

    @Test
    void aRestartWaitsForWhatIsKnownInAMoment() {
        Resolution<DesiredVm> reading = new Resolution.Unresolved<>(Reason.WaitingForSecret, "reading");
        assertThat(unresolved(RunStrategy.ALWAYS, "now", reading))
                .isEqualTo("wait PT30S for WaitingForSecret: reading\n");
        nothingRuns(ended(Reason.VmmKilled, 1, Given.NOW));
        assertThat(unresolved(RunStrategy.ALWAYS, "", reading)).isEqualTo("wait PT30S for WaitingForSecret: reading\n");
    }

    @Test
    void everyFailedLookBlocksEveryChange() {
        List<Runnable> blinds = new ArrayList<>();
        blinds.add(() -> record = Seen.unknown("?"));
        blinds.add(() -> seed = Seen.unknown("?"));
        blinds.add(() -> leftovers = Seen.unknown("?"));
        blinds.add(() -> stray = Seen.unknown("?"));
        blinds.add(() -> process = Seen.unknown("?"));
        blinds.add(() -> nics.put("net-1", nic(Seen.unknown("?"), GUARDS)));
        blinds.add(() -> nics.put(
                "net-1",
                new NicObservation(Given.nic().tap(), Seen.unknown("?"), Seen.missing(), Seen.present(Set.of()))));
        blinds.add(() -> nics.put(
                "net-1",
                new NicObservation(
                        Given.nic().tap(), Seen.present(Given.bridge()), Seen.missing(), Seen.unknown("?"))));
        blinds.add(() -> {
            NicObservation look = nic(Seen.present(Given.tap()), GUARDS);
            nics.put(
                    "net-1",
                    new NicObservation(
                            look.tapName(),
                            look.bridge(),
                            look.tap(),
                            look.elements(),
                            look.behind(),
                            look.listeners(),
                            look.clusterIps(),
                            look.passage(),
                            look.arp(),
                            Seen.unknown("?")));
        });
        for (Runnable blind : blinds) {
            VmPlannerTest fresh = new VmPlannerTest();
            blind.run();
            assertThat(plan(asked(RunStrategy.HALTED)).steps()).isEmpty();
            assertThat(planner.plan(Given.WEB, new Resolution.Absent<>(), seen(), NOW)
                            .steps())
                    .isEmpty();
            assertThat(planner.planRemoval(Given.WEB, List.of(), seen(), NOW).steps())
                    .isEmpty();
            record = fresh.record;
            seed = fresh.seed;
            leftovers = fresh.leftovers;
            stray = fresh.stray;
            process = fresh.process;
            nics = fresh.nics;
        }
    }

    @Test
    void touchesNoProcessThatNoRecordTellsOf() {
        record = Seen.missing();
        assertThat(text(asked(RunStrategy.ALWAYS)))
                .isEqualTo("wait PT30S for EvidenceDisagrees: process 4711 runs as VM lab/web, which has no record on"
                        + " this node\n");
        assertThat(removal())
                .isEqualTo("wait PT30S for EvidenceDisagrees: process 4711 runs as VM lab/web, and no record knows of"
                        + " its start\n");
    }

    // ---- deletion ----

    @Test
    void stopsTheGuestBeforeItTouchesAnything() {
        assertThat(removal())
                .contains("press the power button of lab/web, because its object is deleted")
                .doesNotContain("cut off");
    }

    @Test
    void takesTrafficFirstAndTheRecordLast() {
        nothingRuns(Given.record());
        stray = Seen.present(Map.of(new LinkName("vmt-stray"), Mark.ofNic(Given.INSTALLATION, "vm-1", "net-9")));
        assertThat(removal()).isEqualTo("""
                remove ok4{%1$s . %2$s . 10.77.4.2} from the firewall, because VM lab/web is deleted
                cut off %1$s and leave it to be deleted, because VM lab/web is deleted
                cut off vmt-stray and leave it to be deleted, because VM lab/web is deleted
                remove taps{%1$s}, held{10.77.4.2} from the firewall, because VM lab/web is deleted
                delete the disks and files of lab/web, because VM lab/web is deleted
                delete the record of lab/web, releasing its addresses, because VM lab/web is deleted
                """.formatted(T, Given.nic().mac()));
    }

    @Test
    void letsARetiredTapBe() {
        nothingRuns(Given.record());
        Link tap = Given.tap(Given.nic().mark(), false, 0);
        Link retired = new Link(
                tap.index(),
                tap.name(),
                "tun",
                tap.mac(),
                1500,
                false,
                tap.mark(),
                0,
                200_000,
                Given.NAMES.reapGroup());
        nics.put("net-1", nic(Seen.present(retired), Set.of()));
        assertThat(removal()).startsWith("delete the disks and files of lab/web");
    }

    @Test
    void keepsTheDisksThatTheObjectsLastWordKeeps() {
        nothingRuns(Given.record());
        assertThat(Texts.of(planner.planRemoval(Given.WEB, List.of("data"), seen(), NOW)))
                .contains("delete the disks and files of lab/web, keeping data");
        nothingRuns(Given.record().withAsked(200_000, List.of(Given.nic()), List.of("root"), Duration.ZERO));
        assertThat(removal()).contains("keeping root");
    }

    @Test
    void leavesAForeignTapBehind() {
        nothingRuns(Given.record());
        nics.put("net-1", nic(Seen.present(Given.tap(new Mark("mine"), true, 0)), Set.of()));
        assertThat(removal()).doesNotContain(T);
    }

    @Test
    void hasNothingToDoWhereNothingIs() {
        record = Seen.missing();
        process = Seen.missing();
        leftovers = Seen.present(false);
        nics.clear();
        assertThat(planner.plan(Given.WEB, new Resolution.Absent<>(), seen(), NOW))
                .isEqualTo(Plan.nothing());
    }

    // ---- what applies to a running guest too ----

    private static DesiredNic publishing(PublishedPort... ports) {
        DesiredNic nic = Given.nic();
        return nic.withLivePartOf(Optional.of(new DesiredNic(
                nic.network(),
                nic.bridge(),
                nic.bridgeMark(),
                nic.tap(),
                nic.mark(),
                nic.mac(),
                nic.ip(),
                nic.mtu(),
                true,
                List.of(ports))));
    }

    private static VmRecord running(DesiredNic nic) {
        return VmRecord.of(Given.WEB, 200_000, List.of(nic), List.of(), Duration.ofSeconds(30))
                .withLaunch(RAN, 0);
    }

    private void sees(DesiredNic nic, Set<ServicePort> listeners) {
        Set<FirewallElement> inForce = Set.copyOf(nic.elements("vm-1"));
        nics.put(
                "net-1",
                new NicObservation(
                        nic.tap(),
                        Seen.present(Given.bridge()),
                        Seen.present(Given.tap()),
                        Seen.present(inForce),
                        Seen.present(true),
                        Seen.present(listeners)));
    }

    private static final PublishedPort HTTP = new PublishedPort(new ServicePort(Protocol.TCP, 8080), 80);
    private static final PublishedPort HTTPS = new PublishedPort(new ServicePort(Protocol.TCP, 8443), 443);

    @Test
    void writesDownWhatIsPublishedBeforeItIs() {
        DesiredNic asked = publishing(HTTP);
        sees(Given.nic(), Set.of());
        assertThat(text(Given.desiredVm(RunStrategy.ALWAYS, List.of(asked)))).isEqualTo("""
                write what applies to a running guest too into the record of lab/web, because the object was changed
                admit published{tcp . 8080 . 10.77.4.2 . 80}, published_to{10.77.4.2 . tcp . 80} in the firewall, because VM lab/web publishes ports of 10.77.4.2
                isolate %1$s from the other guests of its bridge, because isolation of Network lab/net is Members
                """.formatted(T));
    }

    @Test
    void takesAwayWhatIsPublishedNoLongerWhileTheRecordNamesIt() {
        record = Seen.present(running(publishing(HTTP, HTTPS)));
        sees(publishing(HTTP, HTTPS), Set.of());
        assertThat(text(Given.desiredVm(RunStrategy.ALWAYS, List.of(publishing(HTTP)))))
                .isEqualTo("""
                        remove published{tcp . 8443 . 10.77.4.2 . 443}, published_to{10.77.4.2 . tcp . 443} from the firewall, because VM lab/web asks for it no longer
                        write what applies to a running guest too into the record of lab/web, because the object was changed
                        isolate %1$s from the other guests of its bridge, because isolation of Network lab/net is Members
                        """.formatted(T));
    }

    @Test
    void takesNoPortFromAProcessOfTheNode() {
        sees(publishing(HTTPS), Set.of(HTTP.host(), HTTPS.host()));
        Plan plan = plan(Given.desiredVm(RunStrategy.ALWAYS, List.of(publishing(HTTP, HTTPS))));
        assertThat(Texts.of(plan)).isEqualTo("""
                write what applies to a running guest too into the record of lab/web, because the object was changed
                admit published_to{10.77.4.2 . tcp . 80} in the firewall, because VM lab/web publishes ports of 10.77.4.2
                isolate %1$s from the other guests of its bridge, because isolation of Network lab/net is Members
                wait PT30S for HostPortTaken: spec.networks[net].ports: a process of the node listens on tcp/8080; choose another hostPort, or end that process
                """.formatted(T));
    }

    /** New tables publish nothing by themselves, and the record says what the guest has. */
    @Test
    void aRunningGuestThatItCannotFollowIsPublishedAgain() {
        record = Seen.present(running(publishing(HTTP, HTTPS)));
        sees(Given.nic(), Set.of(HTTPS.host()));
        assertThat(unresolved(RunStrategy.ALWAYS, "", SECRETLESS)).isEqualTo("""
                admit published{tcp . 8080 . 10.77.4.2 . 80} in the firewall, because VM lab/web publishes ports of 10.77.4.2 [drift]
                wait PT30S for SecretNotFound: no Secret s
                """);
        assertThat(unresolved(
                        RunStrategy.ALWAYS, "", new Resolution.Unresolved<>(Reason.HostPortTaken, "it is the node's")))
                .isEqualTo("wait PT30S for HostPortTaken: it is the node's\n");
    }

    /** What kube-proxy makes after the port is published counts as well. */
    @Test
    void publishesNothingWhereServicesHaveAddressesOfTheNode() {
        record = Seen.present(running(publishing(HTTP, HTTPS)));
        nics.put(
                "net-1",
                new NicObservation(
                        Given.nic().tap(),
                        Seen.present(Given.bridge()),
                        Seen.present(Given.tap()),
                        Seen.present(Set.copyOf(publishing(HTTP).elements("vm-1"))),
                        Seen.present(true),
                        Seen.present(Set.of()),
                        Seen.present(Given.bridge())));
        assertThat(text(Given.desiredVm(RunStrategy.ALWAYS, List.of(publishing(HTTP, HTTPS)))))
                .isEqualTo("""
                        remove published{tcp . 8080 . 10.77.4.2 . 80} from the firewall, because the addresses of the cluster's Services are this node's [drift]
                        admit published_to{10.77.4.2 . tcp . 443} in the firewall, because VM lab/web publishes ports of 10.77.4.2 [drift]
                        isolate %1$s from the other guests of its bridge, because isolation of Network lab/net is Members [drift]
                        wait PT30S for HostPortTaken: spec.networks[net].ports: kube-proxy serves this node in IPVS mode, so that every ClusterIP is an address of the node, and tcp/8080 of each would lead to the guest; take the ports out, or give kube-proxy another mode and delete its link kube-ipvs0
                        """.formatted(T));
    }

    @Test
    void whatElseChangesInANicWaitsForTheNextStart() {
        DesiredNic moved = Given.nic(Given.NET, "vm-1", "10.77.4.9");
        assertThat(text(Given.desiredVm(RunStrategy.ALWAYS, List.of(moved)))).isEmpty();
    }
}
