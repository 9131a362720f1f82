package dev.vmlet.host.disk;

import static dev.vmlet.host.disk.DiskFixture.KIB;
import static dev.vmlet.host.disk.DiskFixture.MIB;
import static dev.vmlet.host.disk.DiskFixture.disk;
import static dev.vmlet.host.disk.DiskFixture.vm;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UrlImagesTest {
    private static final VmId VM = vm("a");

    @TempDir
    Path folder;

    private DiskFixture fixture;
    private byte[] image;
    private String sha256;
    private ImageServer server;

    @BeforeEach
    void open() throws Exception {
        fixture = new DiskFixture(folder);
        image = Files.readAllBytes(fixture.image("served", 4 * MIB));
        sha256 = DiskFixture.sha256(image);
        server = new ImageServer(image);
    }

    @AfterEach
    void close() {
        server.close();
        fixture.close();
    }

    private void assertCloned(VmId vm, DesiredDisk disk) throws IOException {
        assertThat(Files.readAllBytes(fixture.path(vm, disk))).isEqualTo(image);
    }

    private ImageSettings allowing(List<String> allow, List<String> deny, boolean sha256Required) {
        ImageSettings s = fixture.settings;
        return new ImageSettings(
                s.paths(),
                s.imageDir(),
                allow,
                deny,
                s.mirror(),
                sha256Required,
                s.qemuImg(),
                s.unprivilegedUser(),
                s.thresholds(),
                s.limits());
    }

    @Test
    void fetchesChecksAndKeepsAnImageWithItsHoles() throws Exception {
        DesiredDisk disk = disk(server.url("/image", sha256), 0);
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(4L * MIB));
        assertCloned(VM, disk);
        Path cached = Path.of(fixture.paths.imagesDir(), sha256 + ".raw");
        assertThat(DiskFixture.allocated(cached)).isLessThanOrEqualTo(600L * KIB);

        // From the cache, also after a restart.
        fixture.restart(fixture.settings);
        assertThat(fixture.prepared(vm("b"), disk)).isEqualTo(new DiskState.Ready(4L * MIB));
        assertThat(server.requests).hasValue(1);
        fixture.assertNoTemps();
    }

    @Test
    void fetchesOnceForAllThatWait() throws Exception {
        DesiredDisk disk = disk(server.url("/slow", sha256), 0);
        for (String uid : List.of("a", "b", "c")) {
            fixture.disks.prepare(vm(uid), disk, fixture.userId);
        }
        await().atMost(Duration.ofSeconds(10))
                .until(() -> fixture.disks.observe(vm("c"), disk) instanceof DiskState.Preparing(String progress)
                        && progress.matches("Downloading slow: \\d+ % of 4 MiB, .*/s"));
        server.slow.countDown();
        for (String uid : List.of("a", "b", "c")) {
            fixture.awaitWake(vm(uid));
            assertCloned(vm(uid), disk);
        }
        assertThat(server.requests).hasValue(1);
    }

    @Test
    void goesOnFetchingForOthersWhenTheFirstVmGoes() throws Exception {
        DesiredDisk disk = disk(server.url("/slow", sha256), 0);
        fixture.disks.prepare(VM, disk, fixture.userId);
        await().atMost(Duration.ofSeconds(10)).until(() -> server.requests.get() == 1);
        fixture.disks.prepare(vm("b"), disk, fixture.userId);
        await().atMost(Duration.ofSeconds(10))
                .until(() -> fixture.disks.observe(vm("b"), disk) instanceof DiskState.Preparing(String progress)
                        && progress.startsWith("Downloading"));

        fixture.disks.delete(VM, List.of());
        server.slow.countDown();

        fixture.awaitWake(vm("b"));
        assertCloned(vm("b"), disk);
        assertThat(server.requests).hasValue(1);
        assertThat(fixture.disks.traces()).containsExactly("b");
        assertThat(fixture.woken).doesNotContainKey("a");
    }

    @Test
    void stopsFetchingWhenNobodyWaitsAnyMore() throws Exception {
        DesiredDisk disk = disk(server.url("/slow", sha256), 0);
        fixture.disks.prepare(VM, disk, fixture.userId);
        await().atMost(Duration.ofSeconds(10)).until(() -> server.requests.get() == 1);

        fixture.disks.delete(VM, List.of());

        assertThat(fixture.disks.observe(VM, disk)).isEqualTo(new DiskState.Missing());
        await().atMost(Duration.ofSeconds(10)).untilAsserted(fixture::assertNoTemps);
        assertThat(fixture.disks.traces()).isEmpty();
        assertThat(fixture.woken).doesNotContainKey("a");
    }

    @Test
    void goesOnWhereATransferWasCut() throws Exception {
        DesiredDisk disk = disk(server.url("/cut", sha256), 0);
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(4L * MIB));
        assertCloned(VM, disk);
        assertThat(server.ranges).singleElement().asString().matches("bytes=[1-9]\\d*- if \"v1\"");
    }

    @Test
    void startsOverWhenTheImageChangedMeanwhile() throws Exception {
        DesiredDisk disk = disk(server.url("/cut-changing", sha256), 0);
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(4L * MIB));
        assertCloned(VM, disk);
    }

    @Test
    void refusesAnotherChecksum() throws Exception {
        DiskState.Failed failed = fixture.failed(VM, disk(server.url("/image", "0".repeat(64)), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageChecksumMismatch);
        assertThat(failed.message()).contains(sha256);
        assertThat(Path.of(fixture.paths.imagesDir(), "0".repeat(64) + ".raw")).doesNotExist();
    }

    @Test
    void noticesAnHtmlPageBeforeItsChecksum() throws Exception {
        DiskState.Failed failed = fixture.failed(VM, disk(server.url("/html", sha256), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageFormatMismatch);
        assertThat(failed.message()).contains("HTML page");
    }

    @Test
    void saysThatTheServerHasNoSuchImage() throws Exception {
        DiskState.Failed failed = fixture.failed(VM, disk(server.url("/missing", sha256), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageNotFound);
        assertThat(failed.message()).contains("127.0.0.1 answers 404");
        assertThat(failed.retry()).isTrue();
        assertThat(server.requests).hasValue(1);
    }

    @Test
    void triesABrokenServerAFewTimes() throws Exception {
        DiskState.Failed failed = fixture.failed(VM, disk(server.url("/broken", sha256), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageFetchFailed);
        assertThat(failed.message()).contains("answers 503", "3 attempts");
        assertThat(failed.retry()).isTrue();
        assertThat(server.requests).hasValue(3);
    }

    @Test
    void followsARedirectToAnAllowedAddress() throws Exception {
        DesiredDisk disk = disk(server.url("/to?/image", sha256), 0);
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(4L * MIB));
    }

    @Test
    void refusesARedirectToLoopbackAndOtherSchemes() throws Exception {
        for (String to : List.of(
                "http://127.0.0.2:" + server.port() + "/image",
                "http://[::1]:" + server.port() + "/image",
                "http://169.254.169.254/latest/meta-data",
                "http://10.0.0.1/image",
                "file:///etc/shadow")) {
            DiskState.Failed failed = fixture.failed(VM, disk(server.url("/to?" + to, sha256), 0));
            assertThat(failed.reason()).as(to).isEqualTo(Reason.ImageRefused);
            assertThat(failed.retry()).as(to).isFalse();
        }
    }

    @Test
    void endsARedirectLoop() throws Exception {
        assertThat(fixture.failed(VM, disk(server.url("/loop", sha256), 0)).message())
                .contains("more than 5 redirects");
        assertThat(server.requests).hasValue(6);
    }

    @Test
    void refusesAddressesInsideUnlessAllowed() throws Exception {
        fixture.restart(allowing(List.of(), List.of(), false));
        DiskState.Failed failed = fixture.failed(VM, disk(server.url("/image", sha256), 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageRefused);
        assertThat(failed.message()).contains("127.0.0.1", "--image-url-allow");
        // Other spellings of the same address.
        for (String host : List.of("2130706433", "127.1", "[::ffff:127.0.0.1]", "localhost")) {
            ImageSource.Url url =
                    new ImageSource.Url("http://" + host + ":" + server.port() + "/image", ImageFormat.RAW, sha256);
            assertThat(fixture.failed(VM, disk(url, 0)).reason())
                    .as(host)
                    .isIn(Reason.ImageRefused, Reason.ImageFetchFailed);
        }
        assertThat(server.requests).hasValue(0);
    }

    @Test
    void allowsByNameToo() throws Exception {
        fixture.restart(allowing(List.of("localhost"), List.of(), false));
        ImageSource.Url url =
                new ImageSource.Url("http://localhost:" + server.port() + "/image", ImageFormat.RAW, sha256);
        assertThat(fixture.prepared(VM, disk(url, 0))).isEqualTo(new DiskState.Ready(4L * MIB));
        assertThat(fixture.failed(vm("b"), disk(server.url("/image", "1".repeat(64)), 0))
                        .reason())
                .isEqualTo(Reason.ImageRefused);
    }

    @Test
    void asksForASha256UnlessTheOperatorDoesNot() throws Exception {
        DesiredDisk disk = disk(server.url("/image", ""), 0);
        assertThat(fixture.prepared(VM, disk)).isEqualTo(new DiskState.Ready(4L * MIB));
        assertThat(fixture.prepared(vm("b"), disk)).isEqualTo(new DiskState.Ready(4L * MIB));
        assertThat(server.requests).hasValue(1);

        fixture.restart(allowing(List.of("127.0.0.1"), List.of(), true));
        DiskState.Failed failed = fixture.failed(vm("c"), disk);
        assertThat(failed.reason()).isEqualTo(Reason.ImageRefused);
        assertThat(failed.message()).contains("sha256");
    }

    @Test
    void asksForSpaceBeforeItFetches() throws Exception {
        fixture.space = any -> MIB;
        DiskState.Failed failed = fixture.failed(VM, disk(server.url("/image", sha256), 0));
        assertThat(failed.reason()).isEqualTo(Reason.NoSpace);
        assertThat(failed.message()).contains("4 MiB", "1 MiB");
    }

    @Test
    void neverShowsAUserName() throws Exception {
        ImageSource.Url url = new ImageSource.Url("http://u:secret@127.0.0.1/image", ImageFormat.RAW, sha256);
        DiskState.Failed failed = fixture.failed(VM, disk(url, 0));
        assertThat(failed.reason()).isEqualTo(Reason.ImageRefused);
        assertThat(failed.message()).doesNotContain("secret");
    }

    @Test
    void removesAnUnfinishedDownloadOfACrashedAgent() throws Exception {
        Path work = Files.createDirectories(Path.of(fixture.paths.imagesDir(), ":work.1-1.tmp"));
        Files.write(work.resolve("in"), new byte[KIB]);
        fixture.restart(fixture.settings);
        assertThat(work).doesNotExist();
    }

    @Test
    void knowsPublicFromInsideAddresses() {
        UrlPolicy policy = new UrlPolicy(List.of("10.1.0.0/16", "fd00:1::/32"), List.of("34.118.224.0/20"));
        for (String inside : List.of(
                "10.0.0.1",
                "172.31.255.255",
                "192.168.1.1",
                "100.64.0.1",
                "0.0.0.0",
                "255.255.255.255",
                "224.0.0.1",
                "::",
                "::1",
                "fe80::1",
                "fc00::1",
                "::ffff:10.0.0.1",
                "64:ff9b::a00:1",
                "2002:a00:1::",
                "34.118.224.1")) {
            assertThatThrownBy(() -> policy.resolve(inside)).as(inside).isInstanceOf(UrlPolicy.Refused.class);
        }
        for (String outside : List.of("10.1.2.3", "fd00:1::1", "1.1.1.1", "172.32.0.1", "2606:4700::1111")) {
            assertThatCode(() -> policy.resolve(outside)).as(outside).doesNotThrowAnyException();
        }
    }

    @Test
    void takesOnlyAddressesAndPrefixesForThem() {
        ImageSettings.checkAllowed(List.of("images.example", "10.0.0.0/8", "::1"));
        ImageSettings.checkDenied(List.of("34.118.224.0/20", "2600::/16"));
        assertThatThrownBy(() -> ImageSettings.checkAllowed(List.of("10.0.0.0/33")))
                .hasMessage("address or prefix expected, not: 10.0.0.0/33");
        assertThatThrownBy(() -> ImageSettings.checkDenied(List.of("images.example")))
                .hasMessage("address or prefix expected, not: images.example");
    }
}
