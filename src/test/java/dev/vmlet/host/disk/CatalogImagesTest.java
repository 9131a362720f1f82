package dev.vmlet.host.disk;

import static dev.vmlet.host.disk.DiskFixture.MIB;
import static dev.vmlet.host.disk.DiskFixture.disk;
import static dev.vmlet.host.disk.DiskFixture.vm;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Images of the catalog, fetched from a mirror on loopback, which no URL of a tenant reaches. */
class CatalogImagesTest {
    @TempDir
    Path folder;

    private DiskFixture fixture;
    private byte[] image;
    private String sha256;
    private String sha512;
    private ImageServer server;

    @BeforeEach
    void open() throws Exception {
        fixture = new DiskFixture(folder);
        image = Files.readAllBytes(fixture.image("served", 4 * MIB));
        sha256 = DiskFixture.sha256(image);
        sha512 = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-512").digest(image));
        server = new ImageServer(image);
        mirror("http://127.0.0.1:" + server.port());
    }

    @AfterEach
    void close() {
        server.close();
        fixture.close();
    }

    private void mirror(String prefix) throws Exception {
        ImageSettings s = fixture.settings;
        fixture.restart(new ImageSettings(
                s.paths(),
                s.imageDir(),
                List.of(),
                s.urlDeny(),
                Optional.of(ImageSettings.Mirror.of(prefix)),
                true,
                s.qemuImg(),
                s.unprivilegedUser(),
                s.thresholds(),
                s.limits()));
    }

    private static ImageSource.Catalog pinned(String path, String sha256, String sha512) {
        return new ImageSource.Catalog(
                "debian-13", "https://publisher.example" + path, ImageFormat.RAW, sha256, sha512);
    }

    private Path cached() {
        return Path.of(fixture.paths.imagesDir(), sha256 + ".raw");
    }

    @Test
    void fetchesAnImageKnownBySha512OnceAndKeepsItUnderItsSha256() throws Exception {
        DesiredDisk disk = disk(pinned("/image", "", sha512), 8L * MIB);
        assertThat(fixture.prepared(vm("a"), disk)).isEqualTo(new DiskState.Ready(8L * MIB));
        assertThat(Files.readAllBytes(cached())).isEqualTo(image);
        assertThat(Path.of(fixture.paths.imagesDir(), "by-sha512", sha512)).hasContent(sha256 + "\n");

        // Known again after a restart, and as the image that a URL with this sha256 asks for.
        fixture.restart(fixture.settings);
        assertThat(fixture.prepared(vm("b"), disk)).isEqualTo(new DiskState.Ready(8L * MIB));
        assertThat(fixture.prepared(vm("c"), disk(pinned("/elsewhere", sha256, ""), 0)))
                .isEqualTo(new DiskState.Ready(4L * MIB));
        assertThat(server.requests).hasValue(1);
        fixture.assertNoTemps();
    }

    @Test
    void fetchesOnceForAllVmsThatWait() throws Exception {
        DesiredDisk disk = disk(pinned("/slow", "", sha512), 0);
        List<String> vms = java.util.stream.IntStream.range(0, 20)
                .mapToObj(Integer::toString)
                .toList();
        for (String uid : vms) {
            fixture.disks.prepare(vm(uid), disk, fixture.userId);
        }
        for (String uid : vms) {
            await().atMost(Duration.ofSeconds(10))
                    .until(() -> fixture.disks.observe(vm(uid), disk) instanceof DiskState.Preparing(String progress)
                            && progress.matches("Downloading debian-13: \\d+ % of 4 MiB, .*/s"));
        }
        server.slow.countDown();
        for (String uid : vms) {
            fixture.awaitWake(vm(uid));
            assertThat(Files.readAllBytes(fixture.path(vm(uid), disk))).isEqualTo(image);
        }
        assertThat(server.requests).hasValue(1);
    }

    @Test
    void letsTheDigestsDecideWhateverTheMirrorSends() throws Exception {
        DiskState.Failed failed = fixture.failed(vm("a"), disk(pinned("/image", "", "0".repeat(128)), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageChecksumMismatch);
        assertThat(failed.message())
                .isEqualTo("disk root: image debian-13: its sha512 is " + sha512 + ", the catalog's is "
                        + "0".repeat(128) + "; what the server has is not that image");
        assertThat(fixture.failed(vm("b"), disk(pinned("/image", "0".repeat(64), sha512), 0))
                        .reason())
                .isEqualTo(Reason.ImageChecksumMismatch);
        assertThat(cached()).doesNotExist();
        assertThat(Path.of(fixture.paths.imagesDir(), "by-sha512")).isEmptyDirectory();
    }

    @Test
    void keepsThePathBehindTheMirrorsOwn() throws Exception {
        mirror("http://127.0.0.1:" + server.port() + "/image/");
        assertThat(fixture.prepared(vm("a"), disk(pinned("/of/debian?x=1", sha256, ""), 0)))
                .isEqualTo(new DiskState.Ready(4L * MIB));
        assertThat(server.paths).containsExactly("/image/of/debian?x=1");
    }

    @Test
    void allowsTheMirrorToTheCatalogAndToNobodyElse() throws Exception {
        DiskState.Failed byTenant = fixture.failed(vm("a"), disk(server.url("/image", sha256), 0));
        assertThat(byTenant.reason()).isEqualTo(Reason.ImageRefused);
        // Nor may the mirror send the node on to other addresses inside.
        DiskState.Failed onward = fixture.failed(
                vm("b"), disk(pinned("/to?http://127.0.0.2:" + server.port() + "/image", sha256, ""), 0));
        assertThat(onward.reason()).isEqualTo(Reason.ImageRefused);
        assertThat(onward.message()).contains("127.0.0.2", "--image-url-allow");
    }

    @Test
    void saysThatAPinIsGone() throws Exception {
        DiskState.Failed failed = fixture.failed(vm("a"), disk(pinned("/missing", "", sha512), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageNotFound);
        assertThat(failed.message())
                .isEqualTo("disk root: image debian-13: 127.0.0.1 answers 404 Not Found; publishers keep dated images"
                        + " for some months only: give the agent a newer --image-catalog, or an --image-mirror that"
                        + " still has it");
    }

    @Test
    void doesNotBelieveAnIndexThatWasTornOrLeadsNowhere() throws Exception {
        DesiredDisk disk = disk(pinned("/image", "", sha512), 0);
        Path note = Path.of(fixture.paths.imagesDir(), "by-sha512", sha512);
        for (String wrong : List.of("", "../../retained/x", "1".repeat(64))) {
            Files.deleteIfExists(cached());
            Files.writeString(note, wrong);
            assertThat(fixture.prepared(vm("vm" + wrong.hashCode()), disk)).isEqualTo(new DiskState.Ready(4L * MIB));
            assertThat(note).hasContent(sha256 + "\n");
        }
        assertThat(server.requests).hasValue(3);
    }

    @Test
    void takesNoMirrorThatIsNoPlainUrl() {
        for (String wrong :
                List.of("ftp://h/", "http:///x", "http://u:p@h/", "http://h/?q", "http://h/#f", "h", "a b")) {
            assertThatThrownBy(() -> ImageSettings.Mirror.of(wrong))
                    .as(wrong)
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }
}
