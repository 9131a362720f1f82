package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Condition;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.model.Reason;
import io.fabric8.kubernetes.client.Watch;
import io.fabric8.kubernetes.client.Watcher;
import io.fabric8.kubernetes.client.WatcherException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Images from the catalog and the web, good and bad: the agent fetches from a server on loopback that the operator named
 * as mirror and allowed by its one address. A guest from the catalog runs through the whole class and must not notice.
 */
@ExtendWith(EndToEnd.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init") // the first test fills the fields for all
class ImagesE2E {
    private static final String NAMESPACE = "images";
    private static final String NODE = "images";
    private static final int MIB = 1 << 20;

    private Cluster cluster;
    private @Nullable AgentProcess agent;
    private ImageWeb web;
    private Cluster.Life neighbour;

    @BeforeEach
    void aGuestOfTheCatalogRuns(Cluster given) throws IOException {
        cluster = given;
        if (agent != null) {
            return;
        }
        web = new ImageWeb();
        Path tiny = cluster.imageDir().resolve("tiny/root.raw");
        web.offer("/mirror/cloud/tiny.raw", tiny);
        Path catalog = Files.writeString(cluster.dir().resolve("catalog.yaml"), """
                builtIn: false
                images:
                  tiny:
                  - {architecture: %s, url: "https://publisher.example/cloud/tiny.raw", format: raw, sha512: "%s"}
                  strange:
                  - {architecture: s390x, url: "https://publisher.example/s390x.raw", format: raw, sha512: "%s"}
                """.formatted(
                        Command.of("uname", "-m").run().mustSucceed(), digest("SHA-512", tiny), "0".repeat(128)));
        agent = cluster.newAgent(
                NODE,
                "--image-catalog",
                catalog.toString(),
                "--image-mirror",
                "http://127.0.0.3:" + web.port() + "/mirror",
                "--image-url-allow",
                "127.0.0.1");
        agent.start();
        cluster.namespace(NAMESPACE);
        cluster.apply(Cluster.network(NAMESPACE, "lab"));
        cluster.apply(cluster.tiny(NAMESPACE, "neighbour", NODE, "lab").replace("path: tiny/root.raw", "name: tiny"));
        cluster.awaitReady(NAMESPACE, "neighbour");
        neighbour = cluster.life(NAMESPACE, "neighbour");
    }

    @AfterEach
    void theNeighbourIsUnharmed() {
        assertThat(cluster.life(NAMESPACE, "neighbour")).isEqualTo(neighbour);
        // One answer that came late is no harm.
        Cluster.await(
                "the neighbour is Ready",
                Cluster.SOON,
                () -> cluster.condition(NAMESPACE, "neighbour", "Ready")
                        .filter(c -> c.status() == Condition.Status.True)
                        .isPresent());
    }

    @AfterAll
    void everythingGoes() {
        if (agent == null) {
            return;
        }
        cluster.kubectl("delete", "vm,vmnet", "--all", "-n", NAMESPACE, "--timeout=120s");
        end(agent, NODE);
        web.close();
    }

    private void end(AgentProcess ending, String node) {
        ending.terminate();
        cluster.kubectl("delete", "vmnode", node);
        for (String family : List.of("inet", "bridge")) {
            Command.of("nft", "delete", "table", family, "vmlet_" + ending.installation())
                    .run()
                    .mustSucceed();
        }
    }

    /** A VM without a NIC whose root disk, of 16 MiB, is made from that image. */
    private static String vm(String name, String node, String image) {
        return vm(name, node, "{name: root, size: 16Mi, image: " + image + "}", "");
    }

    private static String vm(String name, String node, String disks, String more) {
        return """
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {namespace: %s, name: %s}
                spec:
                  nodeName: %s
                  memory: {size: 64Mi}
                  disks: [%s]
                  networks: []
                  readiness: {none: {}}
                  terminationGracePeriodSeconds: 1
                %s""".formatted(NAMESPACE, name, node, disks, more);
    }

    private static String url(String url, String more) {
        return "{url: \"" + url + "\"" + more + "}";
    }

    private static String sha256(Path file) {
        return ", sha256: \"" + digest("SHA-256", file) + "\"";
    }

    private static final String ANY = ", sha256: \"" + "0".repeat(64) + "\"";

    private Path file(String name, long seed, int bytes) throws IOException {
        byte[] content = new byte[bytes];
        new Random(seed).nextBytes(content);
        content[0] = 1;
        return Files.write(cluster.dir().resolve(name), content);
    }

    private static String digest(String algorithm, Path file) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance(algorithm).digest(Files.readAllBytes(file)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    private static SortedSet<String> images(AgentProcess of) {
        try (Stream<Path> all = Files.walk(of.stateDir().resolve("images"))) {
            return new TreeSet<>(all.map(Path::toString).toList());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void awaitDisks(String name) {
        Cluster.await(
                "disks of " + name,
                Cluster.SOON,
                () -> cluster.condition(NAMESPACE, name, "DisksReady")
                        .filter(c -> c.status() == Condition.Status.True)
                        .isPresent());
    }

    /** Says so in its conditions and one Event, leaves nothing behind, and goes without a trace. */
    private void isRefused(AgentProcess by, String node, String image, Reason reason, String message) {
        SortedSet<String> before = images(by);
        cluster.apply(vm("row", node, image));
        Awaitility.await(image)
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(250))
                .ignoreExceptions()
                .untilAsserted(() -> {
                    for (String type : List.of("DisksReady", "Running", "Ready")) {
                        Condition condition =
                                cluster.condition(NAMESPACE, "row", type).orElseThrow();
                        assertThat(condition.status() + " " + condition.reason() + ": " + condition.message())
                                .matches("False " + reason + ": " + message);
                    }
                });
        Awaitility.await("the Event")
                .atMost(Cluster.SOON)
                .untilAsserted(() -> assertThat(cluster.events(NAMESPACE, "VirtualMachine", "row").stream()
                                .filter(e -> e.startsWith("Warning ")))
                        .isNotEmpty()
                        .allMatch(e -> e.matches("Warning " + reason + ": " + message)));
        assertThat(images(by)).isEqualTo(before);
        Path record = by.stateDir().resolve("vms").resolve(cluster.uid(NAMESPACE, "vm", "row"));
        assertThat(record.resolve("disks"))
                .satisfiesAnyOf(
                        disks -> assertThat(disks).doesNotExist(),
                        disks -> assertThat(disks).isEmptyDirectory());
        cluster.kubectl("delete", "vm", "row", "-n", NAMESPACE, "--timeout=60s");
        assertThat(record).doesNotExist();
        cluster.kubectl("delete", "events", "-n", NAMESPACE, "--all");
    }

    private void isRefused(String image, Reason reason, String message) {
        isRefused(requireNonNull(agent), NODE, image, reason, message);
    }

    @Test
    void anImageOfTheCatalogIsFetchedOnceFromTheMirror() throws IOException {
        cluster.apply(vm("second", NODE, "{name: root, image: {name: tiny}}", ""));
        awaitDisks("second");
        assertThat(web.asked("/mirror/cloud/tiny.raw")).isEqualTo(1);
        assertThat(requireNonNull(cluster.vm(NAMESPACE, "second").getStatus()).image())
                .isEqualTo("tiny");
        Path disk = requireNonNull(agent)
                .stateDir()
                .resolve("vms")
                .resolve(cluster.uid(NAMESPACE, "vm", "second"))
                .resolve("disks/root.raw");
        assertThat(Files.size(disk)).isEqualTo(64L * MIB);
        cluster.kubectl("delete", "vm", "second", "-n", NAMESPACE, "--timeout=60s");
    }

    /** A version of the VM as a watcher sees it. */
    private record Written(Instant at, String version, String phase, boolean ready) {}

    @Test
    void fewWritesLeadFromACachedImageToReady() {
        List<Written> versions = new CopyOnWriteArrayList<>();
        try (Watch _ = cluster.client()
                .resources(VirtualMachine.class)
                .inNamespace(NAMESPACE)
                .withName("counted")
                .watch(new Watcher<VirtualMachine>() {
                    @Override
                    public void eventReceived(Action action, VirtualMachine vm) {
                        VirtualMachineStatus status = vm.getStatus();
                        List<Condition> conditions =
                                status == null || status.conditions() == null ? List.of() : status.conditions();
                        versions.add(new Written(
                                Instant.now(),
                                vm.getMetadata().getResourceVersion(),
                                status == null ? "" : String.valueOf(status.phase()),
                                conditions.stream()
                                        .anyMatch(
                                                c -> "Ready".equals(c.type()) && c.status() == Condition.Status.True)));
                    }

                    @Override
                    public void onClose(WatcherException cause) {}
                })) {
            cluster.apply(cluster.tiny(NAMESPACE, "counted", NODE, "lab").replace("path: tiny/root.raw", "name: tiny"));
            cluster.awaitReady(NAMESPACE, "counted");
            Cluster.await(
                    "the watch has seen it",
                    Cluster.SOON,
                    () -> versions.stream().anyMatch(Written::ready));
        }
        List<Written> untilReady = new ArrayList<>();
        for (Written version : versions) {
            untilReady.add(version);
            if (version.ready()) {
                break;
            }
        }
        Instant runs = untilReady.stream()
                .filter(w -> w.phase().equals("Running"))
                .findFirst()
                .orElseThrow()
                .at();
        long onTheWay = Duration.between(untilReady.getFirst().at(), runs).toSeconds();
        // The user's own; then finalizer, preparing, running, ready, one besides, and two for every second that it
        // takes.
        assertThat(untilReady).hasSizeLessThanOrEqualTo((int) (6 + 2 * onTheWay));
        assertThat(cluster.events(NAMESPACE, "VirtualMachine", "counted")).hasSizeLessThanOrEqualTo(4);
        cluster.kubectl("delete", "vm", "counted", "-n", NAMESPACE, "--timeout=60s");
    }

    @Test
    void aNameThatTheCatalogLacksIsAnsweredWithThoseThatThereAre() {
        isRefused(
                "{name: debian-13}",
                Reason.ImageNotFound,
                "spec\\.disks\\[root\\]\\.image\\.name debian-13 is not in the image catalog of node images, which has"
                        + " strange, tiny; choose one of these, give url or path, or have the operator add it by"
                        + " --image-catalog");
        isRefused(
                "{name: strange}",
                Reason.ImageNotFound,
                "spec\\.disks\\[root\\]\\.image\\.name strange: the image catalog has it for s390x and not for .*");
    }

    @Test
    void whatTheWebGivesInsteadOfAnImageIsNamed() throws IOException {
        Path good = file("good.raw", 1, MIB);
        isRefused(
                url(web.url("/none.raw"), ANY),
                Reason.ImageNotFound,
                "disk root: image .*/none\\.raw: 127\\.0\\.0\\.1 answers 404 Not Found; correct the url");
        isRefused(
                url(web.url("/page"), ANY),
                Reason.ImageFormatMismatch,
                "disk root: image .*/page: it is an HTML page and no image; take the address of the file itself, not of"
                        + " the page about it");
        isRefused(
                url(web.url(web.offer("/good.raw", good)), ANY),
                Reason.ImageChecksumMismatch,
                "disk root: image .*/good\\.raw: its sha256 is " + digest("SHA-256", good) + ", declared is 0{64};"
                        + " correct the one that is declared, or find out who changed the file");
        isRefused(
                url(web.url(web.offer("/always-torn", good)), ANY),
                Reason.ImageFetchFailed,
                "disk root: image .*/always-torn: 127\\.0\\.0\\.1: .* \\(5 attempts\\)");
        Path huge = cluster.dir().resolve("huge.qcow2");
        Command.of("qemu-img", "create", "-q", "-f", "qcow2", huge.toString(), "10T")
                .run()
                .mustSucceed();
        isRefused(
                url(web.url(web.offer("/huge.qcow2", huge)), sha256(huge)),
                Reason.ImageRefused,
                "disk root: image .*/huge\\.qcow2: its disk is 10 TiB large, more than the limit of 2 TiB; make it"
                        + " smaller .*");
    }

    @Test
    void aTruncatedDownloadGoesOnWhereItEnded() throws IOException {
        Path good = file("torn.raw", 2, 4 * MIB);
        cluster.apply(vm("torn", NODE, url(web.url(web.offer("/torn", good)), sha256(good))));
        awaitDisks("torn");
        assertThat(web.requests).anyMatch(r -> r.matches("/torn from [1-9]\\d*"));
        assertThat(web.asked("/torn")).isEqualTo(1);
        cluster.kubectl("delete", "vm", "torn", "-n", NAMESPACE, "--timeout=60s");
    }

    @Test
    void aUrlThatLeadsInsideIsRefusedHoweverItIsWritten() {
        Command.of("ip", "addr", "add", "9.9.9.100/32", "dev", "lo").run().mustSucceed();
        try {
            for (String inside : List.of(
                    "http://127.0.0.2:" + web.port() + "/",
                    "http://[::1]:" + web.port() + "/",
                    "http://[::ffff:127.0.0.2]:" + web.port() + "/",
                    "http://[64:ff9b::7f00:2]/",
                    "http://169.254.169.254/latest/meta-data",
                    "http://[fd00:ec2::254]/latest/meta-data",
                    // A public address, but the node's own; and the mirror, which is there for the catalog alone.
                    "http://9.9.9.100:" + web.port() + "/",
                    "http://127.0.0.3:" + web.port() + "/mirror/cloud/tiny.raw")) {
                String refusal = "disk root: image .*: .* is .*, an address inside the cluster, the node or its"
                        + " networks; the operator can allow it with --image-url-allow";
                isRefused(url(inside, ANY), Reason.ImageRefused, refusal);
                isRefused(url(web.url("/to?" + inside), ANY), Reason.ImageRefused, refusal);
            }
        } finally {
            Command.of("ip", "addr", "del", "9.9.9.100/32", "dev", "lo").run().mustSucceed();
        }
        assertThat(web.requests).doesNotContain("/");
        assertThat(web.asked("/mirror/cloud/tiny.raw")).isLessThanOrEqualTo(1);
    }

    @Test
    void aRetainedDiskWaitsForTheNextOfItsNameAndStaysAsLargeAsItIs() throws IOException {
        AgentProcess node = requireNonNull(agent);
        String root = "{name: root, size: 16Mi}, ";
        cluster.apply(vm("keeper", NODE, root + "{name: data, size: 16Mi, reclaimPolicy: Retain}", ""));
        awaitDisks("keeper");
        Path disk = node.stateDir()
                .resolve("vms")
                .resolve(cluster.uid(NAMESPACE, "vm", "keeper"))
                .resolve("disks/data.raw");
        try (FileChannel channel = FileChannel.open(disk, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap("kept".getBytes(StandardCharsets.US_ASCII)), 16L * MIB - 4);
        }
        cluster.kubectl("delete", "vm", "keeper", "-n", NAMESPACE, "--timeout=60s");
        Path kept = node.stateDir().resolve("retained/images/keeper/data.raw");
        assertThat(kept).exists();
        assertThat(node.ask("inventory"))
                .containsPattern("(?m)^retained +" + kept
                        + " +kept for the next VirtualMachine images/keeper, disk data, 16 MiB$");

        cluster.apply(vm("keeper", NODE, root + "{name: data, size: 8Mi, reclaimPolicy: Retain}", ""));
        awaitDisks("keeper");
        assertThat(kept).doesNotExist();
        byte[] taken = Files.readAllBytes(node.stateDir()
                .resolve("vms")
                .resolve(cluster.uid(NAMESPACE, "vm", "keeper"))
                .resolve("disks/data.raw"));
        assertThat(taken).hasSize(16 * MIB).endsWith("kept".getBytes(StandardCharsets.US_ASCII));
        cluster.kubectl("delete", "vm", "keeper", "-n", NAMESPACE, "--timeout=60s");
        Files.delete(kept);
    }

    @Test
    void aFullFileSystemIsSaidAndUnusedImagesMakeRoom() throws IOException {
        Path state = cluster.dir().resolve("small/state");
        Files.createDirectories(state);
        Command.of("mount", "-t", "tmpfs", "-o", "size=64m,mode=711", "tmpfs", state.toString())
                .run()
                .mustSucceed();
        AgentProcess small = cluster.newAgent("small", "--image-url-allow", "127.0.0.1");
        small.start();
        try {
            Path first = file("first.raw", 3, 20 * MIB);
            Path second = file("second.raw", 4, 20 * MIB);
            Path large = file("large.raw", 5, 50 * MIB);
            fills(small, "first", first);
            isRefused(
                    small,
                    "small",
                    url(web.url(web.offer("/large.raw", large)), sha256(large)),
                    Reason.NoSpace,
                    "disk root: image .*/large\\.raw needs 50 MiB and the file system of .* has [0-9.]+ MiB left; free"
                            + " some space there");
            isRefused(
                    small,
                    "small",
                    url(web.url(web.offer("/endless.raw", large)), sha256(large)),
                    Reason.NoSpace,
                    "disk root: write image .*/endless\\.raw: No space left on device; free some space on that file"
                            + " system");

            // Nobody has used the first image for an hour.
            cluster.kubectl("delete", "vm", "first", "-n", NAMESPACE, "--timeout=60s");
            Path image = small.stateDir().resolve("images").resolve(digest("SHA-256", first) + ".raw");
            Files.setLastModifiedTime(
                    image.resolveSibling("used").resolve(image.getFileName()),
                    FileTime.from(Instant.now().minusSeconds(3600)));
            assertThat(image).exists();
            fills(small, "second", second);
            Cluster.await("the first image is removed", Cluster.SOON, () -> !Files.exists(image));
            Cluster.await(
                    "the Event says why",
                    Cluster.SOON,
                    () -> cluster.events("default", "VmNode", "small").stream()
                            .anyMatch(e -> e.matches("Normal \\w+: remove the image " + image.getFileName()
                                    + " \\(20 MiB\\), because the file system of the images is 9\\d % full, 85 % is the limit"
                                    + " \\(--image-gc-high\\), and no disk was made from it since .*")));
            assertThat(cluster.kubectl("get", "vmnode", "small", "-o", "jsonpath={.status.sweep.findings[*].name}"))
                    .contains(image.getFileName().toString());
            cluster.kubectl("delete", "vm", "second", "-n", NAMESPACE, "--timeout=60s");
        } finally {
            cluster.kubectl("delete", "vm", "-n", NAMESPACE, "-l", "small=yes", "--timeout=60s");
            end(small, "small");
            Command.of("umount", state.toString()).run().mustSucceed();
        }
    }

    private void fills(AgentProcess small, String name, Path file) {
        String path = web.offer("/" + name + ".raw", file);
        cluster.apply(vm(name, "small", "{name: root, size: 20Mi, image: " + url(web.url(path), sha256(file)) + "}", "")
                .replace("name: " + name + "}", "name: " + name + ", labels: {small: \"yes\"}}"));
        awaitDisks(name);
        assertThat(small.isAlive()).isTrue();
    }
}
