package dev.vmlet.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.vmlet.host.disk.ImageSettings;
import dev.vmlet.host.disk.LinuxDisks;
import dev.vmlet.host.files.FileRecords;
import dev.vmlet.host.files.Installation;
import dev.vmlet.host.net.NftFirewall;
import dev.vmlet.host.net.OwnNamespace;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.Egress;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seed;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Ruleset;
import dev.vmlet.plan.Step;
import dev.vmlet.status.VmStatus;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every write of the agent to its state directory on a file system that is full to the last byte, and on one that is
 * mounted read-only: the refusal names the path and the remedy, nothing half done is left, what was there is still read,
 * and the same write succeeds when there is room again. The object store and the kubeconfig have tests of their own.
 */
class FullDiskIT {
    private static final VmId NEW = new VmId("lab", "new", "vm-9");
    private static final VmRecord NEW_RECORD = VmRecord.of(NEW, 200_009, List.of(), List.of(), Duration.ZERO);
    private static final DesiredDisk BLANK =
            new DesiredDisk("data", DesiredDisk.Role.DISK, Optional.empty(), 1 << 20, false);
    private static final DesiredDisk CLONE = new DesiredDisk(
            "root",
            DesiredDisk.Role.DISK,
            Optional.of(new ImageSource.File("debian.raw", ImageFormat.RAW, "")),
            1 << 20,
            false);

    /** Not below the test's own folder, which other users may not pass. */
    private Path small;

    @TempDir
    Path folder;

    private Path state;
    private HostPaths paths;
    private FileRecords records;
    private LinuxDisks disks;
    private NftFirewall firewall;
    private final BlockingQueue<String> woken = new LinkedBlockingQueue<>();
    private final Map<String, Write> writes = new LinkedHashMap<>();

    /** A blank disk is one hole: it comes into being without a block of data. */
    private static final Set<String> TAKES_NO_SPACE = Set.of("vms/vm-1/disks/data.raw");

    private interface Write {
        void happen() throws Exception;
    }

    @BeforeEach
    void mountAndOpen() throws Exception {
        OwnNamespace.require();
        small = Files.createDirectory(folder.resolve("small"));
        assumeThat(exit("mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "none", small.toString()))
                .as("exit code of mount: needs root, or a user namespace with a mount namespace")
                .isZero();
        state = small.resolve("state");
        paths = new HostPaths(state.toString(), folder.resolve("run").toString());
        Installation.open(paths).close();
        records = new FileRecords(paths);
        records.enterBoot("boot-1");
        records.write(Given.record());
        // An empty folder of the VM's own is no half of a disk, and a lock no half of an installation.
        Files.createDirectories(Path.of(paths.disksDir("vm-1")));
        Files.createFile(Files.createDirectory(small.resolve("other")).resolve("lock"));
        Path images = Files.createDirectory(folder.resolve("images"));
        byte[] image = new byte[256 << 10];
        java.util.Arrays.fill(image, (byte) 7);
        Files.write(images.resolve("debian.raw"), image);
        disks = new LinuxDisks(
                new ImageSettings(
                        paths,
                        Optional.of(images),
                        List.of(),
                        List.of(),
                        Optional.empty(),
                        false,
                        "qemu-img",
                        65_534,
                        new ImageCache.Thresholds(100, 99),
                        ImageSettings.Limits.DEFAULT),
                woken::add);
        firewall = new NftFirewall(Given.INSTALLATION, Path.of(paths.firewallBaseline()));
        enumerate();
    }

    private void enumerate() {
        int me = (int) attribute(folder, "unix:uid");
        NetworkRecord network = new NetworkRecord(Given.NET, Given.desiredNetwork(Egress.NONE));
        writes.put("vms/vm-9/record.json", () -> records.write(NEW_RECORD));
        writes.put("networks/net-1.json", () -> records.write(network));
        writes.put("forwarding/eth0", () -> records.keepForwarding("eth0", false));
        writes.put("cluster", () -> records.keepCluster("cluster-1"));
        writes.put("store-stamp", () -> records.keepStoreStamp(new StoreStamp("lease-1", Given.NOW)));
        writes.put("store-unseen", () -> records.keepUnseen(Set.of("vm-1")));
        writes.put("confirmations-spent", () -> records.keepSpentConfirmations(Set.of("vm-1")));
        writes.put("vms/vm-1/seed.img", () -> disks.writeSeed(Given.WEB, new Seed("m", "u", "n"), me));
        writes.put("vms/vm-1/disks/data.raw", () -> prepare(BLANK, me));
        writes.put("vms/vm-1/disks/root.raw", () -> prepare(CLONE, me));
        writes.put("firewall.json", () -> firewall.install(new Ruleset(Given.INSTALLATION, Set.of())));
        writes.put("installation", () -> {
            Path other = small.resolve("other");
            Installation.open(new HostPaths(other.toString(), "/run/x")).close();
        });
    }

    private static Object attribute(Path path, String name) {
        try {
            return Files.getAttribute(path, name);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Beside the caller, as the agent does it; what it came to is what is seen. */
    private void prepare(DesiredDisk disk, int me) throws Exception {
        woken.clear();
        disks.prepare(Given.WEB, disk, me);
        assertThat(woken.poll(30, TimeUnit.SECONDS)).isEqualTo("vm-1");
        if (disks.observe(Given.WEB, disk) instanceof DiskState.Failed failed) {
            throw new HostException.Refused(failed.message(), null);
        }
        assertThat(disks.observe(Given.WEB, disk)).isInstanceOf(DiskState.Ready.class);
    }

    @AfterEach
    void unmount() throws Exception {
        if (disks != null) {
            disks.close();
            firewall.close();
        }
        if (small != null) {
            exit("umount", "-l", small.toString());
        }
    }

    private static int exit(String... command) throws IOException, InterruptedException {
        return new ProcessBuilder(command).redirectErrorStream(true).start().waitFor();
    }

    /** All files with their sizes, but what this test itself put there. */
    private Map<String, Long> tree() throws IOException {
        Map<String, Long> tree = new TreeMap<>();
        try (Stream<Path> all = Files.walk(small)) {
            for (Path each : (Iterable<Path>) all::iterator) {
                if (!each.endsWith("filler")) {
                    tree.put(small.relativize(each).toString(), Files.isDirectory(each) ? -1 : Files.size(each));
                }
            }
        }
        return tree;
    }

    /** To the last byte; the reserve is gone too, as after a day of being full. */
    private void fill() throws IOException {
        Files.deleteIfExists(Path.of(paths.reserveFile()));
        byte[] page = new byte[4096];
        try (OutputStream out = Files.newOutputStream(small.resolve("filler"))) {
            for (int i = 0; i < 1 << 20; i++) {
                out.write(page);
            }
        } catch (IOException full) {
            assertThat(full).hasMessageContaining("No space left");
        }
    }

    @Test
    void aFullFileSystemRefusesEachWriteWithPathAndRemedyAndHeals() throws Exception {
        for (Map.Entry<String, Write> write : writes.entrySet()) {
            if (TAKES_NO_SPACE.contains(write.getKey())) {
                continue;
            }
            fill();
            Map<String, Long> before = tree();
            assertThatThrownBy(write.getValue()::happen, write.getKey())
                    .as(write.getKey())
                    .isInstanceOf(HostException.class)
                    .hasMessageContaining(small.toString())
                    .hasMessageFindingMatch("No space left on device|has 0 B left")
                    .hasMessageContaining("free some space");
            assertThat(tree()).as("after " + write.getKey()).isEqualTo(before);
            assertThat(records.vm("vm-1")).isEqualTo(Seen.present(Given.record()));
            assertThat(new FileRecords(paths).vms()).as("a new agent starts").containsExactlyElementsOf(records.vms());
            Files.delete(small.resolve("filler"));
            write.getValue().happen();
            if (!write.getKey().equals("installation")) {
                assertThat(state.resolve(write.getKey())).exists();
            }
        }
    }

    @Test
    void aReadOnlyFileSystemRefusesEachWriteWithPathAndRemedyAndHeals() throws Exception {
        for (Map.Entry<String, Write> write : writes.entrySet()) {
            Map<String, Long> before = tree();
            // The mount, not the file system: in a user namespace mount(8) would name an owner that is none there.
            assertThat(exit("mount", "-o", "remount,bind,ro", small.toString())).isZero();
            assertThatThrownBy(write.getValue()::happen, write.getKey())
                    .as(write.getKey())
                    .isInstanceOf(HostException.class)
                    .hasMessageContaining(small.toString())
                    .hasMessageContaining("Read-only file system")
                    .hasMessageContaining("writable");
            assertThat(tree()).as("after " + write.getKey()).isEqualTo(before);
            assertThat(records.vm("vm-1")).isEqualTo(Seen.present(Given.record()));
            assertThat(exit("mount", "-o", "remount,bind,rw", small.toString())).isZero();
            write.getValue().happen();
        }
    }

    @Test
    void aVmThatIsHereCanStillBeStoppedAndDeletedOnAFullFileSystem() throws Exception {
        byte[] page = new byte[4096];
        try (OutputStream out = Files.newOutputStream(small.resolve("filler"))) {
            for (int i = 0; i < 1 << 20; i++) {
                out.write(page);
            }
        } catch (IOException full) {
            assertThat(full).hasMessageContaining("No space left");
        }
        VmRecord stopping = Given.record()
                .withStop(new VmRecord.Stop(
                        Instant.EPOCH, Reason.Deleting, VmRecord.Rung.POWER_BUTTON, Instant.EPOCH, Instant.EPOCH));
        for (int rung = 0; rung < 20; rung++) {
            records.write(stopping.withFailures(rung));
        }
        assertThat(new FileRecords(paths).vm("vm-1")).isEqualTo(Seen.present(stopping.withFailures(19)));
        assertThatThrownBy(() -> records.write(NEW_RECORD)).hasMessageContaining("No space left");
        records.delete(Given.WEB);
        assertThat(new FileRecords(paths).vms()).isEmpty();
    }

    @Test
    void theConditionOfTheVmTellsPathAndRemedy() throws Exception {
        fill();
        FakeHost links = new FakeHost(Given.INSTALLATION);
        Host host = new Host(links, links, new FakeVmms(Given.BOOT), new FakeDisks(), records, new FakeProbes());
        DesiredNic nic = Given.nic(Given.NET, "vm-9", "10.77.4.9");
        VmRecord record = VmRecord.of(NEW, 200_009, List.of(nic), List.of(), Duration.ZERO);
        Plan plan = new Plan(
                List.of(new PlannedStep(new Step.WriteVmRecord(record, "addresses and user id"), "it is new here")),
                Optional.empty());
        Outcome outcome = new Applier(host, (a, b, c) -> {}, () -> {}).apply("lab/new", plan);
        var status = VmStatus.of(
                Given.vm(),
                new Resolution.Desired<>(Given.desiredVm()),
                plan,
                outcome,
                new Observer(host, Given.NAMES).observeVm(NEW, Optional.empty()),
                Optional.empty(),
                Given.NOW);
        assertThat(status.conditions())
                .filteredOn(c -> "Ready".equals(c.type()))
                .singleElement()
                .satisfies(c -> assertThat(c.message())
                        .isEqualTo("write addresses and user id into the record of lab/new: write "
                                + paths.vmRecord("vm-9")
                                + ": No space left on device; free some space on that file system"));
    }

    @Test
    void aDamagedRecordThatCannotBeSetAsideIsSetAsideWhenItCan() throws Exception {
        Path file = Path.of(paths.vmRecord("vm-1"));
        Files.writeString(file, "torn");
        assertThat(exit("mount", "-o", "remount,bind,ro", small.toString())).isZero();
        FileRecords blind = FileRecords.toLook(paths);
        assertThat(blind.vm("vm-1")).isInstanceOf(Seen.Unknown.class);
        assertThat(exit("mount", "-o", "remount,bind,rw", small.toString())).isZero();
        FileRecords opened = new FileRecords(paths);
        assertThat(file).doesNotExist();
        opened.write(Given.record());
        assertThat(opened.vm("vm-1")).isEqualTo(Seen.present(Given.record()));
    }
}
