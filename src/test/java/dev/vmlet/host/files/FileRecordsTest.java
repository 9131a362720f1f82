package dev.vmlet.host.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Egress;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileRecordsTest {
    private static final InstallationId INSTALLATION = new InstallationId("abcdefgh");
    private static final NetworkId NETWORK = new NetworkId("default", "lab", "net-1");

    @TempDir
    Path state;

    private HostPaths paths;

    @BeforeEach
    void choosePaths() {
        paths = new HostPaths(
                state.resolve("state").toString(), state.resolve("run").toString());
    }

    private static DesiredNic nic(String vmUid, String ip, String mac) {
        return new DesiredNic(
                NETWORK,
                new LinkName("vmb-aaaaaaaaaa"),
                Mark.ofNetwork(INSTALLATION, NETWORK.uid()),
                new LinkName("vmt-bbbbbbbbbb"),
                Mark.ofNic(INSTALLATION, vmUid, NETWORK.uid()),
                new MacAddress(mac),
                Ipv4Address.parse(ip),
                1500);
    }

    private static VmRecord record(String uid, int userId, DesiredNic... nics) {
        return new VmRecord(
                new VmId("default", "vm-" + uid, uid),
                userId,
                List.of(nics),
                List.of(),
                Duration.ofSeconds(30),
                Optional.empty(),
                Optional.empty(),
                Optional.empty(),
                0,
                0,
                Optional.empty());
    }

    private static VmRecord full(String uid) {
        VmRecord record = record(uid, 70_001, nic(uid, "10.77.4.2", "52:00:00:00:00:02"));
        LaunchSpec spec = new LaunchSpec(
                record.id(),
                VmmKind.CLOUD_HYPERVISOR,
                7,
                "2026-11-01",
                70_001,
                2,
                new Mebibytes(512),
                List.of(new LaunchSpec.Drive("root", DesiredDisk.Role.DISK, "/x/root.raw", false)),
                "console=ttyS0",
                List.of(new LaunchSpec.Nic(
                        "lab", new LinkName("vmt-bbbbbbbbbb"), new MacAddress("52:00:00:00:00:02"))));
        Instant at = Instant.parse("2026-11-23T10:00:00.123456789Z");
        return new VmRecord(
                record.id(),
                70_001,
                record.nics(),
                List.of("data"),
                Duration.ofSeconds(30),
                Optional.of(new VmRecord.Launch(spec, "boot", at, Optional.of(at.plusSeconds(1)), "v53.0")),
                Optional.of(new VmRecord.Stop(at, Reason.StoppedOnRequest, VmRecord.Rung.POWER_BUTTON, at, at)),
                Optional.of(new VmRecord.Exit(Reason.GuestPanic, "line one\nline \"two\"", at, 6, "")),
                3,
                2,
                Optional.empty());
    }

    private static NetworkRecord network(String uid) {
        NetworkId id = new NetworkId("default", "lab", uid);
        return new NetworkRecord(
                id,
                new DesiredNetwork(
                        id,
                        new LinkName("vmb-aaaaaaaaaa"),
                        new MacAddress("52:00:00:00:00:01"),
                        Mark.ofNetwork(INSTALLATION, uid),
                        Ipv4Prefix.parse("10.77.4.0/24"),
                        1500,
                        Egress.NONE));
    }

    @Test
    void readsBackWhatAnEarlierAgentWrote() throws Exception {
        FileRecords first = new FileRecords(paths);
        first.write(full("a"));
        first.write(record("b", 70_002));
        first.write(network("n"));

        FileRecords second = new FileRecords(paths);

        assertThat(second.vms()).containsExactly(full("a"), record("b", 70_002));
        assertThat(second.vm("a")).isEqualTo(Seen.present(full("a")));
        assertThat(second.vm("c")).isEqualTo(Seen.missing());
        assertThat(second.networks()).containsExactly(network("n"));
        assertThat(second.unreadable()).isEmpty();
    }

    @Test
    void keepsRecordsFromOtherUsersButLetsThemPassToTheDisks() throws Exception {
        new FileRecords(paths).write(full("a"));

        assertThat(mode(paths.vmRecord("a"))).isEqualTo("rw-------");
        assertThat(mode(paths.vmDir("a"))).isEqualTo("rwx--x--x");
        assertThat(mode(paths.vmsDir())).isEqualTo("rwx--x--x");
        assertThat(mode(paths.stateDir())).isEqualTo("rwx--x--x");
        assertThat(mode(paths.networksDir())).isEqualTo("rwx------");
    }

    private static String mode(String path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(Path.of(path)));
    }

    @Test
    void passesOverFieldsOfALaterVmlet() throws Exception {
        new FileRecords(paths).write(full("a"));
        Path file = Path.of(paths.vmRecord("a"));
        String later = Files.readString(file).replaceFirst("\\{", "{ \"shoeSize\": {\"eu\": 43},");
        Files.write(file, RecordJson.seal(later));

        assertThat(new FileRecords(paths).vm("a")).isEqualTo(Seen.present(full("a")));
    }

    @Test
    void leavesARecordOfANewerFormatAsItIs() throws Exception {
        new FileRecords(paths).write(full("a"));
        Path file = Path.of(paths.vmRecord("a"));
        Files.write(file, RecordJson.seal(Files.readString(file).replace("\"version\" : 2,", "\"version\" : 3,")));
        String newer = Files.readString(file);

        FileRecords records = new FileRecords(paths);

        assertThat(records.vm("a"))
                .isInstanceOfSatisfying(
                        Seen.Unknown.class,
                        unknown -> assertThat(unknown.cause())
                                .isEqualTo("The record " + file
                                        + " cannot be used: it has format 3, which a newer vmlet wrote, and this one"
                                        + " understands formats up to 2; start that newer vmlet again, it is the only"
                                        + " one that can read this"));
        assertThatThrownBy(() -> records.write(full("a"))).isInstanceOf(HostException.Refused.class);
        assertThatThrownBy(() -> records.delete(full("a").id())).isInstanceOf(HostException.Refused.class);
        assertThat(Files.readString(file)).isEqualTo(newer);
        // Its address and user id stay its own.
        assertThatThrownBy(() -> records.write(record("b", 70_001))).hasMessageContaining("user id 70001");
        assertThatThrownBy(() -> records.write(record("b", 70_002, nic("b", "10.77.4.2", "52:00:00:00:00:09"))))
                .isInstanceOf(HostException.Busy.class)
                .hasMessageContaining("address 10.77.4.2");
    }

    @Test
    void readsARecordThatKnowsNoLastRun() throws Exception {
        new FileRecords(paths).write(record("a", 70_001));
        Path file = Path.of(paths.vmRecord("a"));
        String written = Files.readString(file);
        assertThat(written).contains(",\n  \"lastRun\" : null");
        Files.write(file, RecordJson.seal(written.replace(",\n  \"lastRun\" : null", "")));
        assertThat(new FileRecords(paths).vm("a")).isEqualTo(Seen.present(record("a", 70_001)));
    }

    @Test
    void tellsWhatAnUnreadableRecordStillKeeps() throws Exception {
        new FileRecords(paths).write(full("a"));
        Path file = Path.of(paths.vmRecord("a"));
        String whole = Files.readString(file);
        assertThat(new FileRecords(paths).reservations()).isEmpty();

        Files.write(file, RecordJson.seal(whole.replace("\"version\" : 2", "\"version\" : 3")));
        FileRecords records = new FileRecords(paths);
        Reservation newer = records.reservations().getFirst();
        assertThat(newer)
                .isEqualTo(new Reservation(
                        "a",
                        file.toString(),
                        newer.trouble(),
                        OptionalInt.of(70_001),
                        List.of(new Reservation.Nic(NETWORK.uid(), "10.77.4.2", "52:00:00:00:00:02")),
                        true,
                        false));
        assertThat(newer.trouble()).contains(file.toString(), "format 3");

        // The newer vmlet came, converted it back, and went: this one needs no restart to see it.
        Files.writeString(file, whole);
        assertThat(records.vm("a")).isEqualTo(Seen.present(full("a")));
        assertThat(records.reservations()).isEmpty();
    }

    @Test
    void seesNoRecordWhereAFolderHasNone() throws Exception {
        Files.createDirectories(Path.of(paths.disksDir("a")));
        assertThat(new FileRecords(paths).vm("a")).isEqualTo(Seen.missing());
        assertThat(new FileRecords(paths).unreadable()).isEmpty();
    }

    @Test
    void leavesTheUnfinishedFoldersOfOthersAlone() throws Exception {
        Path temp = DurableFiles.temp(Path.of(paths.seed("a")));
        Files.createDirectories(temp.resolve("full"));

        assertThat(new FileRecords(paths).vms()).isEmpty();
        assertThat(temp).exists();
    }

    @Test
    void readsTheOldRecordAfterACrashBetweenWriteAndRename() throws Exception {
        new FileRecords(paths).write(full("a"));
        Path temp = DurableFiles.temp(Path.of(paths.vmRecord("a")));
        Files.writeString(temp, "{\"version\":2");

        assertThat(new FileRecords(paths).vm("a")).isEqualTo(Seen.present(full("a")));
        assertThat(temp).doesNotExist();
    }

    @Test
    void removesTheFolderWithTheRecordUnlessFilesAreLeft() throws Exception {
        FileRecords records = new FileRecords(paths);
        records.write(full("a"));
        records.write(record("b", 70_002));
        Files.writeString(Path.of(paths.serialLog("b")), "login:");

        records.delete(full("a").id());
        records.delete(record("b", 1).id());
        records.delete(record("c", 1).id());

        assertThat(Path.of(paths.vmDir("a"))).doesNotExist();
        assertThat(Path.of(paths.serialLog("b"))).exists();
        assertThat(Path.of(paths.vmRecord("b"))).doesNotExist();
        assertThat(records.vms()).isEmpty();
    }

    @Test
    void givesNothingTwice() throws Exception {
        FileRecords records = new FileRecords(paths);
        records.write(record("a", 70_001, nic("a", "10.77.4.2", "52:00:00:00:00:02")));

        assertThatThrownBy(() -> records.write(record("b", 70_001)))
                .isInstanceOf(HostException.Busy.class)
                .hasMessageContaining("user id 70001 belongs to VM default/vm-a");
        assertThatThrownBy(() -> records.write(record("b", 70_002, nic("b", "10.77.4.2", "52:00:00:00:00:03"))))
                .hasMessageContaining("address 10.77.4.2");
        assertThatThrownBy(() -> records.write(record("b", 70_002, nic("b", "10.77.4.3", "52:00:00:00:00:02"))))
                .hasMessageContaining("MAC address 52:00:00:00:00:02");
        assertThat(Path.of(paths.vmRecord("b"))).doesNotExist();

        records.write(record("a", 70_001, nic("a", "10.77.4.9", "52:00:00:00:00:02")));
        records.write(record("b", 70_002, nic("b", "10.77.4.2", "52:00:00:00:00:03")));
        assertThat(records.vms()).hasSize(2);
    }

    @Test
    void givesNothingTwiceToManyAskingAtOnce() throws Exception {
        long seed = Long.getLong("seed", System.nanoTime());
        Random random = new Random(seed);
        FileRecords records = new FileRecords(paths);
        List<Callable<Void>> calls = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            String uid = "vm-" + i % 40;
            int slot = 2 + random.nextInt(20);
            int user = 70_000 + random.nextInt(20);
            boolean delete = random.nextInt(4) == 0;
            calls.add(() -> {
                try {
                    if (delete) {
                        records.delete(record(uid, 1).id());
                    } else {
                        String mac = String.format("52:00:00:00:00:%02x", slot);
                        records.write(record(uid, user, nic(uid, "10.77.4." + slot, mac)));
                    }
                } catch (HostException.Busy e) {
                    // One of two that want the same thing is refused.
                }
                return null;
            });
        }
        try (var threads = Executors.newFixedThreadPool(8)) {
            for (Future<Void> call : threads.invokeAll(calls)) {
                call.get();
            }
        }

        List<VmRecord> kept = new FileRecords(paths).vms();
        assertThat(kept).as("seed %d", seed).isEqualTo(records.vms()).isNotEmpty();
        Set<Object> given = new HashSet<>();
        for (VmRecord record : kept) {
            assertThat(given.add(record.userId()))
                    .as("user id once, seed %d", seed)
                    .isTrue();
            assertThat(given.add(record.nics().getFirst().ip()))
                    .as("address once, seed %d", seed)
                    .isTrue();
            assertThat(given.add(record.nics().getFirst().mac()))
                    .as("MAC once, seed %d", seed)
                    .isTrue();
        }
    }

    @Test
    void keepsTheFirstForwardingFlag() throws Exception {
        FileRecords records = new FileRecords(paths);
        assertThat(records.keptForwarding("eth0")).isEqualTo(Seen.missing());
        records.keepForwarding("eth0", false);
        records.keepForwarding("eth0", true);
        records.keepForwarding("eth1.tmp", true);

        FileRecords later = new FileRecords(paths);
        assertThat(later.keptForwarding("eth0")).isEqualTo(Seen.present(false));
        assertThat(later.keptForwarding("eth1.tmp")).isEqualTo(Seen.present(true));
        assertThat(later.forwardingOriginals()).containsExactly("eth0", "eth1.tmp");

        later.forgetForwarding("eth0");
        later.forgetForwarding("eth0");
        assertThat(later.forwardingOriginals()).containsExactly("eth1.tmp");
    }

    @Test
    void letsNoFlagChangeWhenTheRecordedOneIsTorn() throws Exception {
        FileRecords records = new FileRecords(paths);
        Files.writeString(Path.of(paths.forwardingDir(), "eth0"), "");

        assertThat(records.keptForwarding("eth0")).isInstanceOf(Seen.Unknown.class);
        assertThatThrownBy(() -> records.keepForwarding("eth0", true)).isInstanceOf(HostException.Refused.class);
        assertThat(Path.of(paths.forwardingDir(), "eth0")).isEmptyFile();
    }

    @Test
    void forgetsTheForwardingFlagsOfAnotherBootAndKeepsThoseOfThisOne() throws Exception {
        FileRecords records = new FileRecords(paths);
        records.enterBoot("boot-1");
        records.keepForwarding("eth0", false);
        FileRecords restarted = new FileRecords(paths);
        restarted.enterBoot("boot-1");
        assertThat(restarted.keptForwarding("eth0")).isEqualTo(Seen.present(false));

        FileRecords rebooted = new FileRecords(paths);
        rebooted.enterBoot("boot-2");
        assertThat(rebooted.forwardingOriginals()).isEmpty();
        rebooted.keepForwarding("eth0", true);
        assertThat(new FileRecords(paths).keptForwarding("eth0")).isEqualTo(Seen.present(true));
    }

    @Test
    void startsWhereItsBootCannotBeNotedAndRecordsNoFlagBeforeItIs() throws Exception {
        FileRecords before = new FileRecords(paths);
        before.keepForwarding("eth0", false);
        Path file = Path.of(paths.bootFile());
        // Nothing can be renamed over a folder that holds something.
        Files.createDirectories(file.resolve("in-the-way"));

        FileRecords records = new FileRecords(paths);
        records.enterBoot("boot-2");
        assertThatThrownBy(() -> records.keepForwarding("eth1", true)).hasMessageContaining("eth1");
        assertThat(records.keptForwarding("eth1")).isEqualTo(Seen.missing());

        Files.delete(file.resolve("in-the-way"));
        Files.delete(file);
        records.keepForwarding("eth1", true);
        FileRecords restarted = new FileRecords(paths);
        restarted.enterBoot("boot-2");
        assertThat(restarted.keptForwarding("eth1")).isEqualTo(Seen.present(true));
    }

    @Test
    void keepsTheForwardingFlagsOfAFormerVersionThatDidNotNoteItsBoot() throws Exception {
        FileRecords former = new FileRecords(paths);
        former.keepForwarding("eth0", false);

        FileRecords records = new FileRecords(paths);
        records.enterBoot("boot-1");
        assertThat(records.keptForwarding("eth0")).isEqualTo(Seen.present(false));
    }

    @Test
    void refusesLinkNamesThatAreNoFileNames() throws Exception {
        FileRecords records = new FileRecords(paths);
        assertThatThrownBy(() -> records.keepForwarding("../../x", true)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void saysWhichFolderCannotBeCreated() throws Exception {
        Files.writeString(state.resolve("state"), "a file in the way");
        assertThatThrownBy(() -> new FileRecords(paths))
                .isInstanceOf(HostException.class)
                .hasMessageContaining(paths.stateDir());
    }

    @Test
    void remembersOfTheObjectStoreWhatASecondAgentNeeds() throws Exception {
        FileRecords records = new FileRecords(paths);
        assertThat(records.storeStamp()).isEmpty();
        StoreStamp stamp = new StoreStamp("lease-1", Instant.parse("2026-11-26T19:00:00.123456Z"));
        records.keepStoreStamp(stamp);
        records.keepUnseen(Set.of("vm-2", "vm-1"));
        records.keepSpentConfirmations(Set.of("vm-3"));
        FileRecords next = new FileRecords(paths);
        assertThat(next.storeStamp()).contains(stamp);
        assertThat(next.unseen()).containsExactlyInAnyOrder("vm-1", "vm-2");
        assertThat(next.spentConfirmations()).containsExactly("vm-3");
        next.keepUnseen(Set.of());
        assertThat(next.unseen()).isEmpty();
    }

    @Test
    void aTornStampRaisesNoAlarm() throws Exception {
        FileRecords records = new FileRecords(paths);
        for (String torn : List.of("", "lease-1", "lease-1 2026-11-26T19:0", "lease-1 now and then\n")) {
            Files.writeString(Path.of(paths.storeStampFile()), torn);
            assertThat(records.storeStamp()).as(torn).isEmpty();
        }
    }

    /** An unread list of guests that a restored store lost is no empty one. */
    @Test
    void notesOfTheStoreThatCannotBeReadAreNotTakenForEmpty() throws Exception {
        FileRecords records = new FileRecords(paths);
        Files.createDirectories(Path.of(paths.unseenFile()));
        Files.createDirectories(Path.of(paths.spentConfirmationsFile()));
        assertThatThrownBy(() -> records.unseen()).hasMessageContaining(paths.unseenFile() + " cannot be read");
        assertThatThrownBy(() -> records.spentConfirmations())
                .hasMessageContaining(paths.spentConfirmationsFile() + " cannot be read");
    }
}
