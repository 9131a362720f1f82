package dev.vmlet.cli;

import dev.vmlet.model.ReservedPorts;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Options of every command that looks at this host. */
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class HostOptions {
    /** Whether guests run under software emulation: where KVM does not work, never, or always. */
    public enum Emulation {
        auto,
        off,
        on
    }

    @Option(
            names = "--node-name",
            paramLabel = "NAME",
            defaultValue = "${env:NODE_NAME}",
            description = "Name of this node in the API; spec.nodeName of the VMs it runs. Default: the host name, or"
                    + " $NODE_NAME.")
    public @Nullable String nodeName;

    @Option(
            names = "--state-dir",
            paramLabel = "DIR",
            defaultValue = "/var/lib/vmlet",
            description = "Records, disks, images. Default: ${DEFAULT-VALUE}.")
    public Path stateDir;

    @Option(
            names = "--run-dir",
            paramLabel = "DIR",
            defaultValue = "/run/vmlet",
            description = "Sockets and pid files; on a file system that a reboot empties. Default: ${DEFAULT-VALUE}.")
    public Path runDir;

    @Option(
            names = "--image-dir",
            paramLabel = "DIR",
            description = "The only directory that image.path may name files in. Default: none.")
    public @Nullable Path imageDir;

    @Option(
            names = "--image-url-allow",
            paramLabel = "HOST|PREFIX",
            split = ",",
            description = "Hosts and prefixes that images may be fetched from although they are loopback, link-local,"
                    + " private or this node's own.")
    public List<String> imageUrlAllow = new ArrayList<>();

    @Option(
            names = "--image-url-deny",
            paramLabel = "PREFIX",
            split = ",",
            description = "Prefixes that no image is fetched from although they are public: nodes' addresses and the"
                    + " Service range, where they are.")
    public List<String> imageUrlDeny = new ArrayList<>();

    @Option(names = "--allow-unverified-images", description = "Accept image URLs without sha256.")
    public boolean allowUnverifiedImages;

    @Option(
            names = "--image-catalog",
            paramLabel = "FILE",
            description = "YAML with images that VMs may ask for by name, in the form of the built-in catalog"
                    + " (src/main/resources/image-catalog.yaml): added to it, or in its place with builtIn: false.")
    public @Nullable Path imageCatalog;

    @Option(
            names = "--image-mirror",
            paramLabel = "URL",
            description =
                    "Where the catalog's images are fetched from: replaces scheme and host of their URLs and keeps"
                            + " the path. May be a private or loopback address; the catalog's digests still decide.")
    public @Nullable String imageMirror;

    @Option(
            names = "--image-gc-high",
            paramLabel = "PERCENT",
            defaultValue = "85",
            description = "Unused images are removed, least recently used first, when the file system of the state"
                    + " directory is fuller than this; 100 means never. Default: ${DEFAULT-VALUE}.")
    public int imageGcHigh;

    @Option(
            names = "--image-gc-low",
            paramLabel = "PERCENT",
            defaultValue = "80",
            description = "Down to this. Default: ${DEFAULT-VALUE}.")
    public int imageGcLow;

    @Option(
            names = "--qemu-img",
            paramLabel = "PATH",
            defaultValue = "qemu-img",
            description = "Converts qcow2 images.")
    public String qemuImg;

    @Option(
            names = "--vmm-binary",
            paramLabel = "PATH",
            description = "cloud-hypervisor on this host. Default: the pinned v53.0 in the state directory.")
    public @Nullable Path vmmBinary;

    @Option(
            names = "--vmm-url",
            paramLabel = "URL",
            description = "Where to get the pinned cloud-hypervisor v53.0 from when it is nowhere on this host.")
    public @Nullable String vmmUrl;

    @Option(
            names = "--firmware",
            paramLabel = "PATH",
            description = "Firmware (edk2 CLOUDHV.fd) for VMs without a kernel of their own.")
    public @Nullable Path firmware;

    @Option(
            names = "--firmware-url",
            paramLabel = "URL",
            description = "Where to get the firmware from when it is nowhere on this host; needs --firmware-sha256.")
    public @Nullable String firmwareUrl;

    @Option(
            names = "--firmware-sha256",
            paramLabel = "HEX",
            description = "Checksum of the firmware from --firmware-url.")
    public @Nullable String firmwareSha256;

    @Option(
            names = "--emulation",
            paramLabel = "auto|off|on",
            defaultValue = "off",
            description =
                    "auto: run guests under qemu-system-x86_64 software emulation where KVM does not work; on: run"
                            + " all of them so. Default: ${DEFAULT-VALUE}.")
    public Emulation emulation;

    @Option(
            names = "--qemu",
            paramLabel = "PATH",
            defaultValue = "/usr/bin/qemu-system-x86_64",
            description = "The emulator. Default: ${DEFAULT-VALUE}.")
    public Path qemu;

    @Option(
            names = "--enter-host",
            description =
                    "For an agent in a container that has the host's pid and network namespaces: guests are started"
                            + " in the namespaces of process 1, by the host's own programs, and hang on nothing of the"
                            + " container. State and run directory and /sys/fs/cgroup must be the host's, at the same paths;"
                            + " --qemu names the host's.")
    public boolean enterHost;

    @Option(
            names = "--vm-user-ids",
            paramLabel = "FIRST:COUNT",
            defaultValue = "700000:65536",
            description = "User ids that guest processes get, one each. Default: ${DEFAULT-VALUE}.")
    public UserIdRange userIds;

    @Option(
            names = "--reserved-host-ports",
            paramLabel = "PORTS",
            defaultValue = ReservedPorts.DEFAULT,
            description =
                    "Ports of this node that no VM may publish, TCP and UDP: ports and ranges with commas between,"
                            + " or none. Replaces the default, which is ssh and what Kubernetes takes on a node, NodePorts"
                            + " included. Default: ${DEFAULT-VALUE}.")
    public ReservedPorts reservedHostPorts;

    @Option(
            names = "--manage-docker-user",
            description =
                    "Let guests through Docker's firewall: while a Network leaves the node, three rules with our mark"
                            + " are kept in Docker's chain DOCKER-USER, behind those of others, by the host's iptables: to"
                            + " and from the uplink, and between guests. Containers stay closed to guests, and nothing else"
                            + " of anybody's is touched."
                            + " Without the option they are taken out again.")
    public boolean manageDockerUser;

    @Option(
            names = "--require-landlock",
            description = "Refuse to run guests where the kernel cannot confine them with Landlock.")
    public boolean requireLandlock;
}
