package dev.vmlet.host.disk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import dev.vmlet.model.Seed;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SeedImageTest {
    private static final VmId VM = DiskFixture.vm("a");
    private static final Seed SEED = new Seed("instance-id: i-1\n", "#cloud-config\nname: Grüße\n", "version: 2\n");

    @TempDir
    Path folder;

    private DiskFixture fixture;

    @BeforeEach
    void open() throws Exception {
        assumeThat(Tool.find("mkfs.vfat"))
                .as("mkfs.vfat (package dosfstools) on this machine")
                .isPresent();
        assumeThat(Tool.find("mcopy"))
                .as("mcopy (package mtools) on this machine")
                .isPresent();
        fixture = new DiskFixture(folder);
    }

    @AfterEach
    void close() {
        if (fixture != null) {
            fixture.close();
        }
    }

    private String read(String name) throws Exception {
        return mtool("mtype", "-i", fixture.paths.seed("a"), "::" + name);
    }

    private String mtool(String... command) throws Exception {
        return Tool.run(folder, Duration.ofSeconds(10), Map.of("LC_ALL", "C.UTF-8"), List.of(command))
                .output();
    }

    @Test
    void holdsTheThreeFilesUnderTheLabel() throws Exception {
        fixture.disks.writeSeed(VM, SEED, fixture.userId);

        assertThat(read("meta-data")).isEqualTo(SEED.metaData());
        assertThat(read("user-data")).isEqualTo(SEED.userData());
        assertThat(read("network-config")).isEqualTo(SEED.networkConfig());
        assertThat(mtool("mlabel", "-s", "-i", fixture.paths.seed("a"), "::")).contains("CIDATA");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(Path.of(fixture.paths.seed("a")))))
                .isEqualTo("r--------");
        fixture.assertNoTemps();
    }

    @Test
    void makesTheSameBytesOfTheSameSeed() throws Exception {
        fixture.disks.writeSeed(VM, SEED, fixture.userId);
        byte[] first = Files.readAllBytes(Path.of(fixture.paths.seed("a")));
        fixture.disks.writeSeed(VM, SEED, fixture.userId);
        assertThat(Files.readAllBytes(Path.of(fixture.paths.seed("a")))).isEqualTo(first);
    }

    @Test
    void growsWithTheUserData() throws Exception {
        Seed large = new Seed("", "#cloud-config\n" + "# padding\n".repeat(300_000), "");
        fixture.disks.writeSeed(VM, large, fixture.userId);
        assertThat(read("user-data")).hasSize(64 << 10);
        assertThat(Files.size(Path.of(fixture.paths.seed("a")))).isGreaterThan(3_000_000L);
    }

    @Test
    void knowsItsFingerprintOnlyWhenImageAndMarkAreWhole() throws Exception {
        assertThat(fixture.disks.seed(VM)).isEqualTo(Seen.missing());
        fixture.disks.writeSeed(VM, SEED, fixture.userId);
        assertThat(fixture.disks.seed(VM)).isEqualTo(Seen.present(SEED.fingerprint()));

        Files.delete(Path.of(fixture.paths.seed("a")));
        assertThat(fixture.disks.seed(VM)).isEqualTo(Seen.missing());

        fixture.disks.writeSeed(VM, SEED, fixture.userId);
        Files.writeString(Path.of(fixture.paths.vmDir("a"), "seed.sha256"), "");
        assertThat(fixture.disks.seed(VM)).isEqualTo(Seen.missing());
    }
}
