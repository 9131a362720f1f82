package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.RunStrategy;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.Told;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Launch;
import dev.vmlet.model.VmmKind;
import dev.vmlet.model.Witnesses;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class RebuildTest {
    private static final Instant NOW = Given.NOW.plusSeconds(3600);
    private static final Instant STARTED = Given.NOW.plusSeconds(60);
    private static final DesiredNic NIC = Given.nic();
    private static final String TROUBLE = "The record of VM uid vm-1 was damaged and is set aside as /f";
    private static final VmRecord.Exit EXIT =
            new VmRecord.Exit(Reason.GuestPanic, "The guest's kernel panicked.", Given.NOW, 0, "");

    private final Rebuild rebuild = new Rebuild(new VmPlanner(Given.NAMES, Given.PATHS, Given.BOOT));

    // What is left; a steady running VM until a test says otherwise.
    private OptionalInt fileUser = OptionalInt.of(200_000);
    private List<Reservation.Nic> fileNics = List.of();
    private Seen<Testimony> process = alive(Optional.of(new Testimony.Size(1, new Mebibytes(512))));
    private Seen<List<Witnesses.Tap>> taps = Seen.present(List.of(tap("10.77.4.2")));
    private Seen<Boolean> files = Seen.present(true);
    private Told told = new Told(
            List.of(new Told.Nic("net", "10.77.4.2", NIC.mac().value())),
            true,
            Optional.of(STARTED),
            OptionalLong.of(2),
            Optional.of(EXIT),
            4);

    private static Seen<Testimony> alive(Optional<Testimony.Size> size) {
        return Seen.present(new Testimony(
                new GuestProcess.Alive(4711, 9),
                OptionalInt.of(200_000),
                Optional.of(VmmKind.QEMU),
                Optional.of(STARTED),
                size,
                new GuestState(GuestState.Kind.RUNNING, false, "1.0")));
    }

    private static Witnesses.Tap tap(String ip) {
        return new Witnesses.Tap(
                NIC.tap(), NIC.network().uid(), 200_000, Optional.of(NIC.mac().value()), Optional.of(ip));
    }

    private Plan plan(Resolution<DesiredVm> resolution) {
        Reservation remains = new Reservation("vm-1", "/f", TROUBLE, fileUser, fileNics, false, true);
        return rebuild.plan(resolution, told, new Witnesses(remains, process, taps, files), NOW);
    }

    private Plan plan() {
        return plan(new Resolution.Desired<>(Given.desiredVm()));
    }

    private VmRecord rebuilt() {
        assertThat(plan().steps()).hasSize(1);
        PlannedStep step = plan().steps().getFirst();
        assertThat(step.because()).isEqualTo(TROUBLE);
        assertThat(step.cause()).isEqualTo(PlannedStep.Cause.DRIFT);
        return ((Step.RebuildVmRecord) step.step()).record();
    }

    private void assertDoubt(String why) {
        assertThat(plan().steps()).isEmpty();
        assertThat(plan().waitingFor()).hasValueSatisfying(wait -> {
            assertThat(wait.reason()).isEqualTo(Reason.EvidenceDisagrees);
            assertThat(wait.message())
                    .isEqualTo(
                            TROUBLE + ". It cannot be rebuilt: " + why + ". Nothing is touched until that is decided");
        });
    }

    @Test
    void adoptsARunningGuestAsItWas() {
        VmRecord rebuilt = rebuilt();
        Launch launch = rebuilt.launch().orElseThrow();
        assertThat(launch.spec().generation()).as("as it was started with").isEqualTo(2);
        assertThat(launch.spec().cores())
                .as("not those its object asks for since")
                .isEqualTo(1);
        assertThat(launch.spec().memory()).isEqualTo(new Mebibytes(512));
        assertThat(launch.spec().nics()).isEqualTo(Given.launch().spec().nics());
        assertThat(launch.spec().drives()).isEqualTo(Given.launch().spec().drives());
        assertThat(launch.bootId()).isEqualTo(Given.BOOT);
        assertThat(launch.startedAt()).isEqualTo(STARTED);
        assertThat(launch.ranAt()).contains(STARTED);
        assertThat(rebuilt)
                .isEqualTo(new VmRecord(
                        Given.WEB,
                        200_000,
                        List.of(NIC),
                        List.of(),
                        Given.record().grace(),
                        Optional.of(launch),
                        Optional.empty(),
                        Optional.of(new VmRecord.Exit(EXIT.reason(), EXIT.message(), EXIT.at(), 2, "")),
                        4,
                        0,
                        Optional.empty()));
    }

    @Test
    void oneWitnessOfAnAddressIsEnoughAndTwoThatDifferAreNot() {
        fileNics = List.of(new Reservation.Nic("net-1", "10.77.4.2", NIC.mac().value()));
        assertThat(rebuilt().nics()).containsExactly(NIC);
        taps = Seen.present(List.of());
        told = Told.NOTHING;
        assertThat(rebuilt().nics()).containsExactly(NIC);
        fileNics = List.of();
        assertThat(rebuilt().nics())
                .as("asked for since, and for the next start")
                .isEmpty();

        taps = Seen.present(List.of(tap("10.77.4.9")));
        assertThat(rebuilt().nics())
                .singleElement()
                .satisfies(nic -> assertThat(nic.ip()).hasToString("10.77.4.9"));
        fileNics = List.of(new Reservation.Nic("net-1", "10.77.4.2", NIC.mac().value()));
        assertDoubt("its address on Network lab/net is 10.77.4.2 by the file, 10.77.4.9 by the firewall");
    }

    @Test
    void whatTheStatusTellsOfAFormerNetworkOfThatNameIsNoWitness() {
        process = Seen.missing();
        taps = Seen.present(List.of());
        told = new Told(
                List.of(new Told.Nic("net", "10.2.4.2", NIC.mac().value())),
                false,
                Optional.empty(),
                OptionalLong.empty(),
                Optional.empty(),
                0);
        assertThat(rebuilt().nics()).isEmpty();
        taps = Seen.present(List.of(tap("10.2.4.2")));
        assertThat(rebuilt().nics())
                .singleElement()
                .satisfies(nic ->
                        assertThat(nic.ip()).as("the firewall tells it too").hasToString("10.2.4.2"));
    }

    @Test
    void aUserIdThatNobodyOrTwoTellIsDoubt() {
        fileUser = OptionalInt.of(200_007);
        assertDoubt("its user id is 200000 by tap " + NIC.tap()
                + ", 200007 by the file or the owner of its disks, 200000 by the process");
        fileUser = OptionalInt.empty();
        assertThat(rebuilt().userId()).isEqualTo(200_000);
        process = Seen.missing();
        taps = Seen.present(List.of());
        assertDoubt("nobody tells its user id, and it has files or a process");
        files = Seen.present(false);
        assertThat(rebuilt().userId())
                .as("it has nothing yet that could be another's")
                .isEqualTo(200_000);
    }

    @Test
    void aSizeThatNobodyTellsIsDoubtOnceTheObjectWasChanged() {
        process = alive(Optional.empty());
        assertDoubt("nobody tells the cores and memory it was started with, and its object was changed since");
        told = new Told(told.nics(), true, Optional.of(STARTED), OptionalLong.of(3), Optional.of(EXIT), 4);
        assertThat(rebuilt().launch().orElseThrow().spec().cores())
                .as("as its object has it still")
                .isEqualTo(2);
    }

    @Test
    void whatCannotBeLookedAtIsDoubt() {
        process = Seen.unknown("process 4711 bears its uuid and does not answer yet");
        assertDoubt("the guest process: process 4711 bears its uuid and does not answer yet");
        process = Seen.missing();
        taps = Seen.unknown("the firewall cannot be listed");
        assertDoubt("its taps: the firewall cannot be listed");
    }

    @Test
    void aTapOnANetworkThatTheObjectDoesNotNameIsDoubt() {
        taps = Seen.present(List.of(
                new Witnesses.Tap(new LinkName("vmt-x"), "net-9", 200_000, Optional.empty(), Optional.empty())));
        assertDoubt("tap vmt-x is of Network uid net-9, which its object does not name");
    }

    @Test
    void aGuestThatEndedMeanwhileIsBuriedByTheNextPlanAndOneOfAnotherBootToo() {
        process = Seen.present(Testimony.ofEnded(GuestProcess.Ended.WITHOUT_TRACE));
        assertThat(rebuilt().launch().orElseThrow().bootId()).isEqualTo(Given.BOOT);
        assertThat(rebuilt().launch().orElseThrow().ranAt()).contains(STARTED);
        Told before = told;
        told = new Told(told.nics(), false, Optional.empty(), OptionalLong.empty(), told.lastExit(), 4);
        assertThat(rebuilt().launch())
                .as("it ended before anybody told that it ran")
                .isPresent();
        told = before;
        process = Seen.missing();
        assertThat(rebuilt().launch().orElseThrow().bootId()).isEmpty();
        told = new Told(told.nics(), false, Optional.empty(), OptionalLong.empty(), told.lastExit(), 4);
        assertThat(rebuilt().launch()).isEmpty();
        assertThat(rebuilt().lastExit())
                .hasValueSatisfying(exit -> assertThat(exit.reason()).isEqualTo(Reason.GuestPanic));
    }

    @Test
    void waitsForAnObjectThatCanBeFollowed() {
        Plan plan = plan(new Resolution.Unresolved<>(Reason.NetworkNotFound, "there is no Network lab"));
        assertThat(plan.steps()).isEmpty();
        assertThat(plan.waitingFor().orElseThrow().message())
                .isEqualTo(TROUBLE + ". It is rebuilt when its object can be followed: there is no Network lab");
        assertThat(plan(new Resolution.Absent<>()).steps()).isEmpty();
    }

    @Test
    void aHaltedVmWithoutAProcessRests() {
        process = Seen.missing();
        taps = Seen.present(new ArrayList<>());
        told = new Told(told.nics(), false, Optional.empty(), OptionalLong.empty(), Optional.empty(), 0);
        Plan plan = plan(new Resolution.Desired<>(Given.desiredVm(RunStrategy.HALTED, List.of(NIC))));
        assertThat(((Step.RebuildVmRecord) plan.steps().getFirst().step()).record())
                .isEqualTo(Given.record());
    }

    // ---- of one whose object is being deleted ----

    private static final Resolution<DesiredVm> NO_SECRET =
            new Resolution.Unresolved<>(Reason.WaitingForSecret, "there is no Secret web-user-data");

    private Plan removal(Resolution<DesiredVm> resolution) {
        Reservation remains = new Reservation("vm-1", "/f", TROUBLE, fileUser, fileNics, false, true);
        return rebuild.planRemoval(
                Given.WEB,
                resolution,
                List.of("data"),
                Optional.of(Duration.ofSeconds(7)),
                told,
                new Witnesses(remains, process, taps, files),
                NOW);
    }

    private VmRecord farewell(Resolution<DesiredVm> resolution) {
        Plan plan = removal(resolution);
        assertThat(plan.steps()).hasSize(1);
        return ((Step.RebuildVmRecord) plan.steps().getFirst().step()).record();
    }

    @Test
    void aDeletedVmGetsItsWholeRecordBackWhereAllAgree() {
        assertThat(removal(new Resolution.Desired<>(Given.desiredVm()))).isEqualTo(plan());
    }

    @Test
    void aDeletedVmNeedsNeitherItsSecretNorItsNetworkToGo() {
        VmRecord record = farewell(NO_SECRET);
        assertThat(record.id()).isEqualTo(Given.WEB);
        assertThat(record.userId()).isEqualTo(200_000);
        assertThat(record.retained()).containsExactly("data");
        assertThat(record.grace()).isEqualTo(Duration.ofSeconds(7));
        assertThat(record.nics())
                .singleElement()
                .satisfies(nic -> assertThat(nic.elements("vm-1")).isEqualTo(NIC.elements("vm-1")));
        Launch launch = record.launch().orElseThrow();
        assertThat(launch.bootId()).isEqualTo(Given.BOOT);
        assertThat(launch.spec().vmm()).isEqualTo(VmmKind.QEMU);
        assertThat(launch.spec().memory()).isEqualTo(new Mebibytes(512));
        assertThat(launch.ranAt()).contains(STARTED);
        assertThat(record.stop())
                .as("what this record does not know is never held against a guest that runs")
                .hasValueSatisfying(stop -> assertThat(stop.reason()).isEqualTo(Reason.Deleting));
    }

    @Test
    void twoWordsOfOneAddressDoNotKeepADeletedVm() {
        fileNics = List.of(new Reservation.Nic("net-1", "10.77.4.9", NIC.mac().value()));
        fileUser = OptionalInt.of(200_007);
        VmRecord record = farewell(new Resolution.Desired<>(Given.desiredVm()));
        assertThat(record.userId()).as("as its process runs").isEqualTo(200_000);
        assertThat(record.nics())
                .singleElement()
                .satisfies(
                        nic -> assertThat(nic.ip()).as("what it can send from").hasToString("10.77.4.2"));
    }

    @Test
    void aDeletedVmWithoutAProcessHasOnlyFilesToGo() {
        process = Seen.missing();
        taps = Seen.present(List.of());
        fileUser = OptionalInt.empty();
        VmRecord record = farewell(NO_SECRET);
        assertThat(record.launch()).isEmpty();
        assertThat(record.stop()).isEmpty();
        assertThat(record.nics()).isEmpty();
    }

    @Test
    void aDeletedVmWhoseProcessCannotBeToldWaits() {
        process = Seen.unknown("process 4711 bears its uuid and does not answer yet");
        assertThat(removal(NO_SECRET))
                .isEqualTo(Plan.waiting(
                        Reason.EvidenceDisagrees,
                        TROUBLE + ". It is to go, and cannot yet: the guest process: process 4711 bears its uuid and"
                                + " does not answer yet. Nothing is touched until that is decided",
                        Duration.ofSeconds(2)));
    }
}
