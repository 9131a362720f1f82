package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;
import static java.util.Objects.requireNonNullElse;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.vmlet.api.Condition;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkStatus;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.api.VmNode;
import dev.vmlet.api.VmNodeStatus;
import dev.vmlet.model.Reason;
import io.fabric8.kubernetes.api.model.HasMetadata;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowingConsumer;
import org.awaitility.Awaitility;
import org.awaitility.core.ThrowingRunnable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * What bad input gets: a condition that says what is wrong and what to do, one Event with the same words however often it
 * is tried again, a host on which nothing has changed, and a neighbour that did not notice.
 *
 * <p>The neighbour is one guest that runs through the whole class; it is looked at after every row. A row may leave a
 * record of its own on the host only once it has been given an address, which it says by {@link #onlyARecord}.
 */
@ExtendWith(EndToEnd.class)
@EndToEnd.OwnCluster
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init") // the first row fills the fields for all
class BadInputE2E {
    private static final String NAMESPACE = "bad-input";
    private static final String NODE = "a";
    private static final String LAB = "lab";
    private static final String NEIGHBOUR = "neighbour";
    private static final String ROW = "row";
    private static final int MIB = 1 << 20;

    private Cluster cluster;
    private AgentProcess agent;
    private Neighbour neighbour;
    /** The host with nothing but the neighbour. */
    private Host resting;

    private @Nullable Path images;

    /**
     * The neighbour as it is to stay.
     *
     * @param ready status and reason of its Ready; not since when: one answer that comes late on a busy machine is no harm
     */
    private record Neighbour(Cluster.Life life, String ready) {}

    /**
     * The host at one moment.
     *
     * @param ours everything of vmlet's
     * @param addressing addresses and routes of everybody
     * @param images what the agent keeps of images, half done or whole
     */
    private record Host(Leftovers ours, String addressing, SortedSet<String> images) {
        static Host now(AgentProcess... agents) {
            SortedSet<String> images = new TreeSet<>();
            for (AgentProcess agent : agents) {
                images.addAll(Leftovers.beneath(agent.stateDir().resolve("images")));
            }
            return new Host(
                    Leftovers.now(agents),
                    Command.of("ip", "-o", "-4", "addr").run().mustSucceed() + "\n"
                            + Command.of("ip", "route").run().mustSucceed(),
                    images);
        }

        static Host atRest(AgentProcess... agents) {
            return Leftovers.atRest(() -> now(agents));
        }

        /** But for the files in that directory, and itself. */
        Host without(Path dir) {
            SortedSet<String> files = new TreeSet<>(ours.files());
            files.removeIf(f -> Path.of(f).startsWith(dir));
            return new Host(
                    new Leftovers(
                            ours.links(),
                            ours.tables(),
                            ours.elements(),
                            ours.cgroups(),
                            ours.processes(),
                            ours.mounts(),
                            files),
                    addressing,
                    images);
        }
    }

    @BeforeEach
    void aNeighbourRuns(Cluster given) throws IOException {
        cluster = given;
        agent = cluster.agent();
        if (images != null) {
            return;
        }
        images = Files.createDirectories(cluster.imageDir().resolve("bad"));
        cluster.namespace(NAMESPACE);
        cluster.allowSecrets(NAMESPACE);
        cluster.apply(Cluster.network(NAMESPACE, LAB));
        awaitCidr(LAB);
        cluster.apply(cluster.tiny(NAMESPACE, NEIGHBOUR, NODE, LAB));
        cluster.awaitReady(NAMESPACE, NEIGHBOUR);
        neighbour = neighbourNow();
        resting = Host.atRest(agent);
    }

    /** Deleting a row's objects is what a user does next, so it belongs to every row. */
    @AfterEach
    void deletionLeavesNothingAndTheNeighbourIsUnharmed() {
        theNeighbourIsUnharmed();
        deleteRows();
        Awaitility.await("the host looks as before the row")
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(500))
                .untilAsserted(() -> assertThat(Host.now(agent)).isEqualTo(resting));
        theNeighbourIsUnharmed();
        // So that the next row's Events are its own.
        cluster.kubectl("delete", "events", "-n", NAMESPACE, "--all");
    }

    @AfterAll
    void theNeighbourGoes() {
        if (images != null) {
            cluster.kubectl("delete", "vm,vmnet", "--all", "-n", NAMESPACE, "--timeout=120s");
            cluster.kubectl("delete", "secret", "--all", "-n", NAMESPACE);
        }
    }

    // What the schema refuses: CrdValidationE2E has every rule, here is what kubectl shows of four.

    @Test
    void aDiskThatShrinksIsRefusedWhenApplied() {
        cluster.apply(vm(ROW, "runStrategy: Halted", "disks: [{name: root, size: 16Mi}]"));
        refusesToApply(
                vm(ROW, "runStrategy: Halted", "disks: [{name: root, size: 8Mi}]"),
                "spec.disks[0].size",
                "a disk's size may grow but not shrink: the guest's data may lie in the part that would go");
    }

    @Test
    void aMachineThatMovesToAnotherNodeIsRefusedWhenApplied() {
        cluster.apply(vm(ROW, "runStrategy: Halted"));
        refusesToApply(
                vm(ROW, "runStrategy: Halted", "nodeName: elsewhere"),
                "spec.nodeName",
                "nodeName cannot change once it is set: delete this VirtualMachine and create it for the other node");
    }

    @Test
    void aPathWithDotsIsRefusedWhenApplied() {
        refusesToApply(
                vm(ROW, image("../key", "")),
                "spec.disks[0].image",
                "image.path must be relative to the image directory: without a leading '/', empty parts, '.' and '..'");
        nothingIsChanged();
    }

    @Test
    void aNameOf253CharactersIsRefusedWhenApplied() {
        refusesToApply(
                vm("a".repeat(253)),
                "metadata.name",
                "metadata.name becomes the guest's host name: use at most 63 lower-case letters, digits and '-'");
        nothingIsChanged();
    }

    // Networks.

    @Test
    void anUnknownNetworkIsNamed() {
        cluster.apply(vm(ROW, "networks: [{name: nowhere}]"));
        isRefused(
                Reason.NetworkNotFound,
                "NetworkReady",
                "spec.networks[nowhere]: there is no Network nowhere in namespace bad-input; create it or correct the"
                        + " name");
        nothingIsChanged();
    }

    @Test
    void aDeletedNetworkIsKeptUntilItsMachinesAreGone() {
        cluster.apply(network("leaving", "spec: {}"));
        awaitCidr("leaving");
        cluster.apply(cluster.tiny(NAMESPACE, "user", NODE, "leaving"));
        cluster.awaitReady(NAMESPACE, "user");
        Cluster.Life life = cluster.life(NAMESPACE, "user");
        Host before = Host.atRest(agent);

        cluster.kubectl("delete", "vmnet", "leaving", "-n", NAMESPACE, "--wait=false");
        networkSays("leaving", "False NetworkBeingDeleted: The Network is kept until the VM that uses it is gone.");
        // Somebody who comes now is told so, and gets nothing.
        cluster.apply(vm(ROW, "networks: [{name: leaving}]"));
        isRefused(
                Reason.NetworkBeingDeleted,
                "NetworkReady",
                "spec.networks[leaving]: the Network is being deleted and takes no new VM; it goes when no VM names it"
                        + " any more, so delete this VM too, or name another Network");
        networkSays("leaving", "False NetworkBeingDeleted: The Network is kept until the 2 VMs that use it are gone.");
        eventsOf(
                "Network",
                "leaving",
                "Warning NetworkBeingDeleted: kept until the VMs that name it are gone; delete them to let it go");
        staysSo(() -> assertThat(Host.now(agent)).isEqualTo(before));
        assertThat(cluster.life(NAMESPACE, "user")).isEqualTo(life);
        answers(life.address());

        cluster.kubectl("delete", "vm", ROW, "user", "-n", NAMESPACE, "--timeout=120s");
        Cluster.await(
                "the Network is gone", Cluster.SOON, () -> network("leaving").isEmpty());
        eventsOf(
                "Network",
                "leaving",
                "Warning NetworkBeingDeleted: kept until the VMs that name it are gone; delete them to let it go");
    }

    @Test
    void anAddressOutsideTheSliceIsRefused() {
        cluster.apply(vm(ROW, "networks: [{name: lab, address: 198.51.100.7}]"));
        isRefused(
                Reason.AddressOutsideSlice,
                "NetworkReady",
                "spec.networks[lab].address 198.51.100.7 lies outside " + slice(LAB)
                        + ", this node's slice of Network lab; choose one inside or leave it out");
        nothingIsChanged();
    }

    @Test
    void theNeighboursAddressIsRefused() {
        String taken = neighbour.life().address();
        cluster.apply(vm(ROW, "networks: [{name: lab, address: " + taken + "}]"));
        isRefused(
                Reason.AddressTaken,
                "NetworkReady",
                "spec.networks[lab].address " + taken + " belongs to VM bad-input/neighbour; choose another");
        nothingIsChanged();
    }

    @Test
    void theGatewaysAddressIsRefused() {
        String gateway =
                requireNonNull(requireNonNull(sliceObject(LAB).getStatus()).gateway());
        cluster.apply(vm(ROW, "networks: [{name: lab, address: " + gateway + "}]"));
        isRefused(
                Reason.AddressReserved,
                "NetworkReady",
                "spec.networks[lab].address " + gateway
                        + " is the gateway's, the network's or the broadcast address of " + slice(LAB)
                        + "; choose another");
        nothingIsChanged();
    }

    @Test
    void aNetworkThatOverlapsAnotherGetsNoAddresses() {
        String taken = cidr(LAB);
        cluster.apply(network("second", "spec: {cidr: " + taken + "}"));
        String refusal = "spec.cidr " + taken + " overlaps " + taken
                + " of Network bad-input/lab; create the Network with another cidr";
        networkSays("second", "False CidrOverlaps: " + refusal);
        cluster.apply(vm(ROW, "networks: [{name: second}]"));
        // No Event of its own: the VM waits for the Network, whose trouble it is.
        waits(Reason.WaitingForCidr, "NetworkReady", "Network second has no CIDR yet: " + refusal);
        changeNetwork("second");
        networkSays("second", "False CidrOverlaps: " + refusal);
        eventsOf("Network", "second", "Warning CidrOverlaps: " + refusal);
        nothingIsChanged();
    }

    @Test
    void aSliceThatOverlapsAnAddressOfTheHostIsNotRealised() {
        withForeignLink(
                () -> overlaps("10.99.1.0/24", "address 10.99.1.9/30 on foreign0"), "10.99.1.9/30", "203.0.113.0/24");
    }

    @Test
    void aSliceThatOverlapsARouteOfTheHostIsNotRealised() {
        withForeignLink(
                () -> overlaps("10.99.2.0/24", "the route to 10.99.0.0/16 by foreign0"),
                "203.0.113.1/24",
                "10.99.0.0/16");
    }

    private void overlaps(String cidr, String what) {
        Host before = Host.atRest(agent);
        cluster.apply(network("clash", "spec: {cidr: " + cidr + "}"));
        awaitCidr("clash");
        cluster.apply(vm(ROW, "networks: [{name: clash}]"));
        String refusal = "slice " + cidr + " overlaps " + what
                + " of this node; use a Network with another cidr, or keep the range out of --network-pool";
        waits(Reason.NetworkNotReady, "NetworkReady", "Network clash cannot be realised on this node: " + refusal);
        assertThat(says(requireNonNull(sliceObject("clash").getStatus()).conditions(), "Ready"))
                .containsExactly("Ready False CidrOverlaps: " + refusal);
        changeNetwork("clash");
        eventsOf("Network", "clash", "Warning CidrOverlaps: " + refusal);
        unchangedSince(before);
    }

    private void withForeignLink(Runnable row, String address, String route) {
        ip("link", "add", "foreign0", "type", "veth", "peer", "name", "foreign1");
        try {
            ip("addr", "add", address, "dev", "foreign0");
            ip("link", "set", "foreign0", "up");
            ip("link", "set", "foreign1", "up");
            ip("route", "replace", route, "dev", "foreign0");
            row.run();
            // While the link is there: without it the slice could be realised.
            deleteRows();
        } finally {
            ip("link", "del", "foreign0");
        }
    }

    @Test
    void aSliceWithoutAFreeAddressIsExhausted() {
        cluster.apply(network("narrow", "spec: {cidr: 10.98.0.0/28, nodePrefixLength: 30}"));
        awaitCidr("narrow");
        // The gateway has one of the two addresses of a /30, this one the other; it need not run for that.
        cluster.apply(vm("holder", "networks: [{name: narrow}]", "runStrategy: Halted"));
        Cluster.await(
                "the holder has its address",
                Cluster.SOON,
                () -> cluster.address(NAMESPACE, "holder").equals("10.98.0.2"));
        Cluster.await(
                "the Network is realised",
                Cluster.SOON,
                () -> Boolean.TRUE.equals(
                        requireNonNull(sliceObject("narrow").getStatus()).ready()));
        Host before = Host.atRest(agent);
        cluster.apply(vm(ROW, "networks: [{name: narrow}]"));
        isRefused(
                Reason.AddressesExhausted,
                "NetworkReady",
                "all addresses of 10.98.0.0/30, this node's slice of Network narrow, belong to VMs; delete one, or use a"
                        + " Network with larger slices (spec.nodePrefixLength)");
        unchangedSince(before);
    }

    // Images: by then the VM has been given its address.

    @Test
    void anImageThatIsMissingIsNamed() {
        cluster.apply(vm(ROW, image("bad/none.raw", "")));
        isRefused(
                Reason.ImageNotFound,
                "DisksReady",
                "disk root: image bad/none.raw: no such file in " + cluster.imageDir()
                        + "; put it there, or correct the path");
        onlyARecord();
    }

    @Test
    void anImageWithAnotherChecksumIsRefused() throws IOException {
        String actual = sha256(raw("other.raw", MIB));
        String declared = "0".repeat(64);
        cluster.apply(vm(ROW, image("bad/other.raw", ", sha256: \"" + declared + "\"")));
        isRefused(
                Reason.ImageChecksumMismatch,
                "DisksReady",
                "disk root: image bad/other.raw: its sha256 is " + actual + ", declared is " + declared
                        + "; correct the one that is declared, or find out who changed the file");
        onlyARecord();
    }

    @Test
    void aRawFileDeclaredQcow2IsRefused() throws IOException {
        raw("plain.raw", MIB);
        cluster.apply(vm(ROW, image("bad/plain.raw", ", format: qcow2")));
        isRefused(
                Reason.ImageFormatMismatch,
                "DisksReady",
                "disk root: image bad/plain.raw: declared qcow2, but it does not begin like one; declare the right"
                        + " format");
        onlyARecord();
    }

    @Test
    void aQcow2FileDeclaredRawIsRefused() {
        qcow2("thin.img");
        cluster.apply(vm(ROW, image("bad/thin.img", ", format: raw")));
        isRefused(
                Reason.ImageFormatMismatch,
                "DisksReady",
                "disk root: image bad/thin.img: declared raw, but it is a qcow2 file; declare format qcow2");
        onlyARecord();
    }

    @Test
    void aQcow2FileThatBuildsOnAnotherIsRefused() {
        qcow2("base.qcow2");
        qcow2("layer.qcow2", "-b", "base.qcow2", "-F", "qcow2");
        cluster.apply(vm(ROW, image("bad/layer.qcow2", ", format: qcow2")));
        isRefused(
                Reason.ImageFormatMismatch,
                "DisksReady",
                "disk root: image bad/layer.qcow2: it builds on another file (backing file); flatten it with qemu-img"
                        + " convert");
        onlyARecord();
    }

    @Test
    void anImageLargerThanItsDiskIsRefused() throws IOException {
        raw("large.raw", 17 * MIB);
        cluster.apply(vm(ROW, image("bad/large.raw", "")));
        isRefused(
                Reason.ImageLargerThanDisk,
                "DisksReady",
                "disk root: image bad/large.raw is 17 MiB large and the disk 16 MiB; ask for a disk of at least the"
                        + " image's size");
        onlyARecord();
    }

    @Test
    void aLinkThatLeadsOutOfTheImageDirectoryIsRefused() throws IOException {
        Files.createSymbolicLink(requireNonNull(images).resolve("out.raw"), Path.of("../../key"));
        cluster.apply(vm(ROW, image("bad/out.raw", "")));
        isRefused(
                Reason.ImageRefused,
                "DisksReady",
                "disk root: image bad/out.raw: it is a link that leads out of the image directory "
                        + cluster.imageDir());
        onlyARecord();
    }

    // User data.

    @Test
    void aSecretThatIsMissingIsNamed() {
        cluster.apply(vm(ROW, "cloudInit: {userDataSecretRef: {name: nothing}}"));
        isRefused(
                Reason.SecretNotFound,
                null,
                "Secret bad-input/nothing, which spec.cloudInit.userDataSecretRef names, does not exist; create it");
        // It is asked for again and again, and status is written only when the answer is another.
        AtomicReference<String> version = new AtomicReference<>("");
        Awaitility.await("status rests through a full pass")
                .during(Duration.ofSeconds(35))
                .atMost(Duration.ofSeconds(120))
                .pollInterval(Duration.ofSeconds(1))
                .until(() -> {
                    String now = cluster.vm(NAMESPACE, ROW).getMetadata().getResourceVersion();
                    return now.equals(version.getAndSet(now));
                });
        nothingIsChanged();
    }

    @Test
    void aSecretWithoutTheKeyIsNamed() {
        cluster.apply("""
                {apiVersion: v1, kind: Secret, metadata: {namespace: bad-input, name: keys}, stringData: {other: x}}
                """);
        cluster.apply(vm(ROW, "cloudInit: {userDataSecretRef: {name: keys}}"));
        isRefused(
                Reason.SecretKeyMissing,
                null,
                "Secret bad-input/keys has no key userData; add it or set spec.cloudInit.userDataSecretRef.key");
        nothingIsChanged();
    }

    @Test
    void malformedUserDataIsRefusedWithoutBeingQuoted() {
        cluster.apply(vm(ROW, "cloudInit: {userData: \"#cloud-config\\npassword: [secret\\n\"}"));
        isRefused(Reason.UserDataInvalid, null, "the user data is not valid YAML at line 2, column 18; correct it");
        nothingIsChanged();
    }

    // The node.

    @Test
    void moreMemoryThanTheHostHasIsRefused() {
        String has = requireNonNull(requireNonNull(nodeStatus(NODE).capacity()).memory())
                .replace("Mi", " MiB");
        cluster.apply(vm(ROW, "memory: {size: 8Ti}"));
        isRefused(
                Reason.NotEnoughMemory,
                null,
                "spec.memory.size asks for 8388608 MiB, node a has " + has + "; ask for less or choose a larger node");
        nothingIsChanged();
    }

    @Test
    void aNodeWithoutKvmAndEmulationSaysSo() {
        needsNoKvm();
        onAnotherNode(
                "nokvm",
                List.of("--emulation", "off"),
                Reason.NoVirtualization,
                "KVM does not work on this node (" + kvmMessage()
                        + ") and emulation is off; mend KVM, or start the agent with --emulation=auto");
    }

    @Test
    void aNodeWithoutTheEmulatorsBinarySaysSo() {
        needsNoKvm();
        onAnotherNode(
                "noqemu",
                List.of("--qemu", "/nonexistent"),
                Reason.VmmUnavailable,
                "KVM does not work on this node (" + kvmMessage()
                        + ") and the emulator /nonexistent is missing; install qemu-system-x86 or give --qemu");
    }

    @Test
    void aMonitorThatIsNotThePinnedOneIsNotRun() throws IOException {
        AgentProcess other = cluster.newAgent("wrongvmm");
        Path wrong = Files.createDirectories(other.stateDir().resolve("bin")).resolve("cloud-hypervisor-53.0");
        Files.writeString(wrong, "#!/bin/sh\ntouch " + cluster.dir().resolve("was-run") + "\n");
        Files.setPosixFilePermissions(wrong, PosixFilePermissions.fromString("rwxr-xr-x"));
        String found = sha256(wrong);
        showKvm(other);
        withAgent(other, "wrongvmm", () -> {
            String message = requireNonNull(nodeStatus("wrongvmm").conditions()).stream()
                    .filter(c -> "VmmReady".equals(c.type()))
                    .map(c -> requireNonNull(c.message()))
                    .findFirst()
                    .orElseThrow();
            assertThat(message)
                    .startsWith("no usable cloud-hypervisor: use " + wrong + ": its sha256 is " + found
                            + ", that of cloud-hypervisor 53.0 is ")
                    .endsWith("; remove the file to have it fetched again");
            isRefusedOn("wrongvmm", other, Reason.VmmUnavailable, message);
        });
        assertThat(cluster.dir().resolve("was-run")).doesNotExist();
    }

    /** Lets the agent see a host on which KVM works; only there is cloud-hypervisor looked for. */
    private void showKvm(AgentProcess other) throws IOException {
        Path cpuinfo = cluster.dir().resolve("cpuinfo-with-vmx");
        Files.writeString(
                cpuinfo, Files.readString(Path.of("/proc/cpuinfo")).replaceAll("(?m)^(flags\\s*:)", "$1 vmx"));
        other.through("unshare", "--mount", "--propagation", "private", "sh", "-c", """
                set -e
                mount --bind "$0" /proc/cpuinfo
                if [ ! -e /dev/kvm ]; then
                    dev=$(mktemp -d) && mount -t tmpfs -o mode=755 none "$dev"
                    cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom "$dev"
                    mkdir "$dev/net" && mount --bind /dev/net "$dev/net"
                    : >"$dev/kvm"
                    mount --rbind "$dev" /dev
                fi
                exec "$@"
                """, cpuinfo.toString());
    }

    private void onAnotherNode(String node, List<String> options, Reason reason, String message) {
        withAgent(node, options, other -> isRefusedOn(node, other, reason, message));
    }

    private void isRefusedOn(String node, AgentProcess other, Reason reason, String message) {
        Host before = Host.atRest(agent, other);
        cluster.apply(vm(ROW, "nodeName: " + node, "networks: []", "readiness: {none: {}}"));
        isRefused(reason, null, message);
        assertThat(says(requireNonNull(nodeStatus(node).conditions()), "VmmReady"))
                .containsExactly("VmmReady False " + reason + ": " + message);
        unchangedSince(before, other);
    }

    @Test
    void aMonitorThatDiesAtItsStartIsQuoted() throws IOException {
        needsNoKvm();
        Path dying = cluster.dir().resolve("dying-vmm");
        Files.writeString(dying, """
                #!/bin/sh
                echo "cannot open /dev/nothing" >&2
                echo "giving up" >&2
                exit 1
                """);
        Files.setPosixFilePermissions(dying, PosixFilePermissions.fromString("rwxr-xr-x"));
        String end = "The VMM ended with exit code 1 before the guest ran. Its last words: cannot open /dev/nothing\n"
                + "giving up";
        withAgent("dying", List.of("--qemu", dying.toString()), other -> {
            Host before = Host.atRest(agent, other);
            cluster.apply(vm(ROW, "nodeName: dying", "networks: []", "readiness: {none: {}}"));
            // Tried again after a pause; between two tries status says why and until when.
            Cluster.await("it has died three times and waits", Cluster.SOON, () -> {
                VirtualMachineStatus status =
                        requireNonNull(cluster.vm(NAMESPACE, ROW).getStatus());
                String ready = says(status.conditions(), "Ready").getFirst();
                return requireNonNullElse(status.restarts(), 0) >= 2
                        && ready.startsWith("Ready False BackOff: " + end + " The next try is at ")
                        && ready.equals(
                                says(status.conditions(), "Running").getFirst().replace("Running", "Ready"))
                        && end.equals(requireNonNull(status.lastExit()).message())
                        && Reason.StartFailed.name()
                                .equals(requireNonNull(status.lastExit()).reason());
            });
            eventsOf("VirtualMachine", ROW, "Warning StartFailed: " + end);
            theNeighbourIsUnharmed();
            // What it was made of stays for the next try, its process and everything outside its directories does not.
            Path files = other.stateDir().resolve("vms").resolve(uid(ROW));
            Path sockets = other.runDir().resolve("vms").resolve(uid(ROW));
            cluster.kubectl(
                    "patch",
                    "vm",
                    ROW,
                    "-n",
                    NAMESPACE,
                    "--type=merge",
                    "-p",
                    "{\"spec\":{\"runStrategy\":\"Halted\"}}");
            Awaitility.await("nothing but its files is left")
                    .atMost(Cluster.SOON)
                    .untilAsserted(() -> assertThat(
                                    Host.now(agent, other).without(files).without(sockets))
                            .isEqualTo(before));
        });
    }

    /** With an agent of its own for another node, of which nothing is left afterwards. */
    private void withAgent(String node, List<String> options, ThrowingConsumer<AgentProcess> row) {
        AgentProcess other = cluster.newAgent(node, options.toArray(String[]::new));
        withAgent(other, node, () -> row.accept(other));
    }

    private void withAgent(AgentProcess other, String node, Runnable row) {
        other.start();
        try {
            Cluster.await(
                    "node " + node + " has its firewall",
                    Cluster.SOON,
                    () -> says(nodeStatus(node).conditions(), "FirewallReady")
                            .getFirst()
                            .startsWith("FirewallReady True"));
            row.run();
        } finally {
            deleteRows();
            other.terminate();
            cluster.kubectl("delete", "vmnode", node);
            for (String family : List.of("inet", "bridge")) {
                Command.of("nft", "delete", "table", family, "vmlet_" + other.installation())
                        .run()
                        .mustSucceed();
            }
        }
    }

    private void needsNoKvm() {
        assumeFalse(
                Boolean.TRUE.equals(requireNonNull(nodeStatus(NODE).kvm()).usable()),
                "SKIPPED: KVM works here, and this row is about hosts where it does not");
    }

    private String kvmMessage() {
        return requireNonNull(requireNonNull(nodeStatus(NODE).kvm()).message());
    }

    // What every row asks.

    /** Refused, in these words, at the first look and at the next, and told by one Event. */
    private void isRefused(Reason reason, @Nullable String part, String message) {
        waits(reason, part, message);
        eventsOf("VirtualMachine", ROW, "Warning " + reason + ": " + message);
    }

    /** Not running for that reason, in these words, at the first look and at the next. */
    private void waits(Reason reason, @Nullable String part, String message) {
        conditionsAre(1, reason, part, message);
        // A change that heals nothing: seen, looked at, and said again.
        cluster.kubectl(
                "patch", "vm", ROW, "-n", NAMESPACE, "--type=merge", "-p", "{\"spec\":{\"cpu\":{\"cores\":2}}}");
        conditionsAre(2, reason, part, message);
    }

    private void conditionsAre(long generation, Reason reason, @Nullable String part, String message) {
        List<String> types = new ArrayList<>(part == null ? List.of() : List.of(part));
        types.addAll(List.of("Running", "Ready"));
        List<String> expected =
                types.stream().map(t -> t + " False " + reason + ": " + message).toList();
        Awaitility.await("conditions of generation " + generation)
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(() -> {
                    VirtualMachineStatus status = cluster.vm(NAMESPACE, ROW).getStatus();
                    assertThat(status).isNotNull();
                    assertThat(requireNonNull(status).observedGeneration()).isEqualTo(generation);
                    assertThat(says(status.conditions(), types.toArray(String[]::new)))
                            .isEqualTo(expected);
                });
    }

    private static List<String> says(@Nullable List<Condition> conditions, String... types) {
        List<String> wanted = List.of(types);
        return requireNonNull(conditions).stream()
                .filter(c -> wanted.contains(c.type()))
                .map(c -> c.type() + " " + c.status() + " " + c.reason() + ": " + c.message())
                .toList();
    }

    /** These warnings and no other; they are written a moment after status. */
    private void eventsOf(String kind, String name, String... warnings) {
        Awaitility.await("warnings about " + name)
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(() -> assertThat(
                                cluster.events(NAMESPACE, kind, name).stream().filter(e -> e.startsWith("Warning ")))
                        .containsExactly(warnings));
    }

    private void networkSays(String name, String ready) {
        Awaitility.await("condition of Network " + name)
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(() -> {
                    Network network = cluster.networkObject(NAMESPACE, name);
                    NetworkStatus status = requireNonNull(network.getStatus());
                    assertThat(says(status.conditions(), "Ready")).containsExactly("Ready " + ready);
                    assertThat(status.observedGeneration())
                            .isEqualTo(network.getMetadata().getGeneration());
                });
    }

    private void changeNetwork(String name) {
        cluster.kubectl("patch", "vmnet", name, "-n", NAMESPACE, "--type=merge", "-p", "{\"spec\":{\"mtu\":1400}}");
        Cluster.await("the change of Network " + name + " is seen", Cluster.SOON, () -> {
            Network network = cluster.networkObject(NAMESPACE, name);
            return network.getMetadata()
                    .getGeneration()
                    .equals(requireNonNull(network.getStatus()).observedGeneration());
        });
    }

    /** kubectl's text names the field and says what to do. */
    private void refusesToApply(String yaml, String field, String remedy) {
        Command.Ended ended = cluster.tryApply(yaml);
        assertThat(ended.code()).isEqualTo(1);
        assertThat(ended.output()).contains(field).contains(remedy);
    }

    private void nothingIsChanged() {
        unchangedSince(resting);
    }

    private void unchangedSince(Host before, AgentProcess... others) {
        AgentProcess[] all = Stream.concat(Stream.of(agent), Stream.of(others)).toArray(AgentProcess[]::new);
        staysSo(() -> assertThat(Host.now(all)).isEqualTo(before));
        theNeighbourIsUnharmed();
    }

    /** For a second: a single look may catch the tap of a moment with which an agent tries a Network's way out. */
    private static void staysSo(ThrowingRunnable look) {
        Awaitility.await("the host is as it is to be")
                .during(Duration.ofSeconds(1))
                .atMost(Duration.ofSeconds(20))
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(look);
    }

    /** It has an address, hence a record and an empty folder for its disks, and nothing else on the host. */
    private void onlyARecord() {
        Path record = agent.stateDir().resolve("vms").resolve(uid(ROW));
        staysSo(() -> assertThat(Host.now(agent).without(record)).isEqualTo(resting));
        assertThat(Leftovers.beneath(record))
                .containsExactlyInAnyOrder(
                        record.resolve("disks").toString(),
                        record.resolve("record.json").toString());
        theNeighbourIsUnharmed();
    }

    private void theNeighbourIsUnharmed() {
        Awaitility.await("the neighbour is unharmed")
                .atMost(Cluster.SOON)
                .pollInterval(Duration.ofMillis(250))
                .untilAsserted(() -> assertThat(neighbourNow()).isEqualTo(neighbour));
        answers(neighbour.life().address());
    }

    private Neighbour neighbourNow() {
        return new Neighbour(
                cluster.life(NAMESPACE, NEIGHBOUR),
                cluster.condition(NAMESPACE, NEIGHBOUR, "Ready")
                        .map(c -> c.status() + " " + c.reason())
                        .orElseThrow());
    }

    /** Its sshd says who it is. */
    private static void answers(String address) {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(address, 22), 30_000);
            socket.setSoTimeout(60_000);
            assertThat(new String(socket.getInputStream().readNBytes(4), StandardCharsets.US_ASCII))
                    .isEqualTo("SSH-");
        } catch (IOException e) {
            throw new UncheckedIOException("port 22 of " + address, e);
        }
    }

    /** Everything but the neighbour and its Network. */
    private void deleteRows() {
        delete(
                "vm",
                cluster.client()
                        .resources(VirtualMachine.class)
                        .inNamespace(NAMESPACE)
                        .list()
                        .getItems());
        delete(
                "vmnet",
                cluster.client()
                        .resources(Network.class)
                        .inNamespace(NAMESPACE)
                        .list()
                        .getItems());
    }

    private void delete(String kind, List<? extends HasMetadata> objects) {
        for (HasMetadata object : objects) {
            String name = object.getMetadata().getName();
            if (!List.of(NEIGHBOUR, LAB).contains(name)) {
                cluster.kubectl("delete", kind, name, "-n", NAMESPACE, "--timeout=120s");
            }
        }
    }

    // What rows are made of.

    /** A VM of this node that could run, but for the lines of its spec that a row puts in place of the good ones. */
    private static String vm(String name, String... lines) {
        Map<String, String> spec = new LinkedHashMap<>();
        for (String line : List.of(
                "nodeName: " + NODE,
                "memory: {size: 64Mi}",
                "disks: [{name: root, size: 16Mi}]",
                "networks: [{name: lab}]",
                "terminationGracePeriodSeconds: 5")) {
            spec.put(line.substring(0, line.indexOf(':')), line);
        }
        for (String line : lines) {
            spec.put(line.substring(0, line.indexOf(':')), line);
        }
        return """
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {namespace: %s, name: %s}
                spec:
                  %s
                """.formatted(NAMESPACE, name, String.join("\n  ", spec.values()));
    }

    private static String image(String path, String more) {
        return "disks: [{name: root, size: 16Mi, image: {path: " + path + more + "}}]";
    }

    private static String network(String name, String spec) {
        return """
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {namespace: %s, name: %s}
                %s
                """.formatted(NAMESPACE, name, spec);
    }

    private Optional<Network> network(String name) {
        return Optional.ofNullable(cluster.client()
                .resources(Network.class)
                .inNamespace(NAMESPACE)
                .withName(name)
                .get());
    }

    private void awaitCidr(String name) {
        Cluster.await(
                "Network " + name + " has a CIDR",
                Cluster.SOON,
                () -> !cidr(name).isEmpty());
    }

    private String cidr(String name) {
        return requireNonNull(
                requireNonNull(cluster.networkObject(NAMESPACE, name).getStatus())
                        .cidr());
    }

    private NetworkSlice sliceObject(String network) {
        return requireNonNull(cluster.client()
                .resources(NetworkSlice.class)
                .inNamespace(NAMESPACE)
                .withName(network + "-0")
                .get());
    }

    private String slice(String network) {
        return requireNonNull(requireNonNull(sliceObject(network).getSpec()).cidr());
    }

    private VmNodeStatus nodeStatus(String node) {
        return requireNonNull(requireNonNull(
                        cluster.client().resources(VmNode.class).withName(node).get())
                .getStatus());
    }

    private String uid(String vm) {
        return cluster.vm(NAMESPACE, vm).getMetadata().getUid();
    }

    private Path raw(String name, int bytes) throws IOException {
        // Not sparse and not zero: a copy that was begun would show.
        byte[] content = new byte[bytes];
        Arrays.fill(content, (byte) 'x');
        return Files.write(requireNonNull(images).resolve(name), content);
    }

    private void qcow2(String name, String... options) {
        List<String> command = new ArrayList<>(List.of("qemu-img", "create", "-q", "-f", "qcow2"));
        command.addAll(List.of(options));
        command.add(requireNonNull(images).resolve(name).toString());
        command.add("8M");
        Command.of(command).run().mustSucceed();
    }

    private static String sha256(Path file) throws IOException {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    private static void ip(String... arguments) {
        List<String> command = new ArrayList<>(List.of("ip"));
        command.addAll(List.of(arguments));
        Command.of(command).run().mustSucceed();
    }
}
