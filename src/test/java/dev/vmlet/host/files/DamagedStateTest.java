package dev.vmlet.host.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files of the state directory that are torn, rotten or edited: set aside, never overwritten, never taken for nothing. */
class DamagedStateTest {
    private static final VmRecord WEB = Given.record();
    private static final String UID = WEB.id().uid();
    private static final DesiredNetwork LAB = Given.desiredNetwork(dev.vmlet.model.Egress.MASQUERADE);

    @TempDir
    Path folder;

    private HostPaths paths;
    private Path file;

    @BeforeEach
    void writeOne() throws Exception {
        paths = new HostPaths(
                folder.resolve("state").toString(), folder.resolve("run").toString());
        file = Path.of(paths.vmRecord(UID));
        new FileRecords(paths).write(WEB);
    }

    private static List<Path> aside(Path file) throws IOException {
        try (Stream<Path> all = Files.list(DurableFiles.folderOf(file))) {
            return all.filter(f -> f.getFileName().toString().startsWith(file.getFileName() + ".damaged-"))
                    .toList();
        }
    }

    private static VmRecord other(int userId, String ip, String mac) {
        DesiredNic nic = Given.nic();
        return VmRecord.of(
                new VmId("default", "other", "vm-other"),
                userId,
                List.of(new DesiredNic(
                        nic.network(),
                        nic.bridge(),
                        nic.bridgeMark(),
                        nic.tap(),
                        nic.mark(),
                        new MacAddress(mac),
                        Ipv4Address.parse(ip),
                        nic.mtu())),
                List.of(),
                Duration.ZERO);
    }

    @Test
    void everyByteThatRotsIsNoticed() throws Exception {
        byte[] whole = Files.readAllBytes(file);
        for (int at = 0; at < whole.length; at++) {
            byte[] rotten = whole.clone();
            rotten[at] ^= 0x04;
            Files.write(file, rotten);
            FileRecords records = FileRecords.toLook(paths);
            assertThat(records.vm(UID)).as("byte %d", at).isInstanceOf(Seen.Unknown.class);
            assertThat(records.reservations())
                    .as("byte %d", at)
                    .singleElement()
                    .satisfies(r -> assertThat(r.damaged())
                            .as("and not taken for a newer vmlet's: " + r.trouble())
                            .isTrue());
        }
    }

    @Test
    void aTornRecordIsKeptAsideAndItsVmStaysUnknownAcrossRestarts() throws Exception {
        String whole = Files.readString(file);
        for (String torn : List.of("", whole.substring(0, 40), whole.substring(0, whole.length() - 2))) {
            Files.writeString(file, torn);

            FileRecords records = new FileRecords(paths);

            assertThat(file).doesNotExist();
            assertThat(aside(file)).singleElement().satisfies(f -> assertThat(f).hasContent(torn));
            Path kept = aside(file).getFirst();
            assertThat(records.vm(UID))
                    .isInstanceOfSatisfying(
                            Seen.Unknown.class,
                            unknown -> assertThat(unknown.cause())
                                    .contains("The record of VM uid " + UID + " was damaged (")
                                    .endsWith("and is set aside as " + kept));
            assertThat(records.vms()).isEmpty();
            assertThat(records.unreadable()).hasSize(1);
            assertThatThrownBy(() -> records.delete(WEB.id())).isInstanceOf(HostException.Refused.class);
            assertThat(new FileRecords(paths).vm(UID)).isInstanceOf(Seen.Unknown.class);
            assertThat(new FileRecords(paths).reservations())
                    .singleElement()
                    .satisfies(r -> assertThat(r.complete()).isFalse());
            Files.delete(aside(file).getFirst());
        }
    }

    @Test
    void oneThatOnlyLooksMovesNothing() throws Exception {
        Files.writeString(file, "{");
        FileRecords looking = FileRecords.toLook(paths);
        assertThat(looking.vm(UID)).isInstanceOf(Seen.Unknown.class);
        assertThat(file).hasContent("{");
        assertThat(aside(file)).isEmpty();
    }

    @Test
    void whatItHeldIsGivenToNobodyUntilItIsRebuilt() throws Exception {
        Files.writeString(file, Files.readString(file).replace("\"restarts\" : 0", "\"restarts\" : 9"));
        FileRecords records = new FileRecords(paths);
        Reservation kept = records.reservations().getFirst();
        assertThat(kept)
                .isEqualTo(new Reservation(
                        UID,
                        aside(file).getFirst().toString(),
                        kept.trouble(),
                        OptionalInt.of(WEB.userId()),
                        List.of(new Reservation.Nic(
                                Given.nic().network().uid(),
                                Given.nic().ip().toString(),
                                Given.nic().mac().value())),
                        false,
                        true));
        assertThatThrownBy(() -> records.write(other(WEB.userId(), "10.77.4.99", "52:00:00:00:00:99")))
                .isInstanceOf(HostException.Busy.class)
                .hasMessageContaining("user id " + WEB.userId());
        assertThatThrownBy(() -> records.write(other(79_999, Given.nic().ip().toString(), "52:00:00:00:00:99")))
                .isInstanceOf(HostException.Busy.class)
                .hasMessageContaining("address " + Given.nic().ip());

        records.write(WEB);

        assertThat(records.vm(UID)).isEqualTo(Seen.present(WEB));
        assertThat(records.reservations()).isEmpty();
        assertThat(records.unreadable()).isEmpty();
        assertThat(new FileRecords(paths).vm(UID)).isEqualTo(Seen.present(WEB));
        assertThat(aside(file)).as("kept for a person").hasSize(1);
    }

    @Test
    void theOwnerOfItsFilesTellsItsUserIdWhereTheRecordDoesNot() throws Exception {
        Path disk = Files.createDirectories(Path.of(paths.disksDir(UID))).resolve("root.raw");
        Files.writeString(disk, "data");
        int owner = (int) Files.getAttribute(disk, "unix:uid");
        Files.writeString(file, "");
        assertThat(new FileRecords(paths).reservations().getFirst().userId())
                .isEqualTo(owner == 0 ? OptionalInt.empty() : OptionalInt.of(owner));
        if (owner == 0) {
            Files.setAttribute(disk, "unix:uid", 70_007);
            assertThat(new FileRecords(paths).reservations().getFirst().userId())
                    .isEqualTo(OptionalInt.of(70_007));
        }
    }

    @Test
    void aDigitThatRotsBlocksNoOtherVmFromWritingWhatItHolds() throws Exception {
        FileRecords before = new FileRecords(paths);
        VmRecord neighbour = other(79_999, "10.77.4.99", "52:00:00:00:00:99");
        before.write(neighbour);
        Files.writeString(file, Files.readString(file).replace(Given.nic().ip().toString(), "10.77.4.99"));
        FileRecords records = new FileRecords(paths);
        records.write(neighbour.withFailures(1));
        assertThat(records.vm("vm-other")).isEqualTo(Seen.present(neighbour.withFailures(1)));
    }

    @Test
    void aNetworksRecordIsSetAsideAndAskedAnew() throws Exception {
        NetworkRecord lab = new NetworkRecord(LAB.id(), LAB);
        new FileRecords(paths).write(lab);
        Path network = Path.of(paths.networkRecord(LAB.id().uid()));
        Files.writeString(network, "{\"version\":2}");

        new FileRecords(paths);
        FileRecords records = new FileRecords(paths);

        assertThat(records.network(LAB.id().uid())).isEqualTo(Seen.missing());
        assertThat(records.unreadable()).singleElement().asString().contains("is set aside as " + network);
        records.write(lab);
        assertThat(records.unreadable()).isEmpty();
        assertThat(new FileRecords(paths).networks()).containsExactly(lab);
        assertThat(new FileRecords(paths).unreadable()).isEmpty();

        records.deleteNetwork(LAB.id().uid());
        assertThat(new FileRecords(paths).unreadable())
                .as("of a Network that is no more")
                .isEmpty();
    }

    @Test
    void aFlagThatCannotBeReadIsSetAsideAndSaidAndStandsInNobodysWay() throws Exception {
        Path flag = Path.of(paths.forwardingDir(), "eth0");
        Files.writeString(flag, "");

        FileRecords records = new FileRecords(paths);

        assertThat(records.keptForwarding("eth0")).isEqualTo(Seen.missing());
        assertThat(records.forwardingOriginals()).isEmpty();
        assertThat(records.lostFlags()).singleElement().asString().contains("eth0", "Set it as you want it");
        records.keepForwarding("eth0", true);
        assertThat(records.keptForwarding("eth0")).isEqualTo(Seen.present(true));
        assertThat(records.forwardingOriginals()).containsExactly("eth0");
    }

    @Test
    void aLostOrRottenInstallationIdIsTakenFromTheMarksOfTheRecords() throws Exception {
        Path id = Path.of(paths.installationFile());
        InstallationId ours = Given.INSTALLATION;
        Installation.open(paths).close();
        assertThat(Files.readString(id)).isEqualTo(ours + "\n");

        Files.writeString(id, "rotten\n");
        try (Installation opened = Installation.open(paths)) {
            assertThat(opened.id()).isEqualTo(ours);
        }
        assertThat(aside(id)).singleElement().satisfies(f -> assertThat(f).hasContent("rotten"));

        VmRecord strange = other(79_999, "10.77.4.99", "52:00:00:00:00:99");
        new FileRecords(paths).write(strange);
        Path theirs = Path.of(paths.vmRecord("vm-other"));
        Files.writeString(theirs, Files.readString(theirs).replace("vmlet:" + ours, "vmlet:zzzzzzzz"));
        Files.delete(id);
        assertThatThrownBy(() -> Installation.open(paths))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("several installation ids")
                .hasMessageContaining("zzzzzzzz");
        assertThat(id).doesNotExist();
    }
}
