package dev.vmlet;

import dev.vmlet.cli.HostOptions;
import dev.vmlet.controller.Agent;
import dev.vmlet.controller.AgentSettings;
import dev.vmlet.controller.Downtimes;
import dev.vmlet.controller.Wakes;
import dev.vmlet.host.Host;
import dev.vmlet.host.Passages;
import dev.vmlet.host.PassagesByUplink;
import dev.vmlet.host.disk.CatalogFile;
import dev.vmlet.host.disk.ImageSettings;
import dev.vmlet.host.disk.LinuxDisks;
import dev.vmlet.host.docker.IptablesDockerChain;
import dev.vmlet.host.files.EvacuationFile;
import dev.vmlet.host.files.EvacuationWordFile;
import dev.vmlet.host.files.FileRecords;
import dev.vmlet.host.files.FileWatch;
import dev.vmlet.host.files.Installation;
import dev.vmlet.host.files.WishFile;
import dev.vmlet.host.login.ShutdownLock;
import dev.vmlet.host.net.FirewallMonitor;
import dev.vmlet.host.net.LinkMonitor;
import dev.vmlet.host.net.LinuxLinks;
import dev.vmlet.host.net.NftFirewall;
import dev.vmlet.host.net.PassageWatch;
import dev.vmlet.host.probe.TcpProbes;
import dev.vmlet.host.vmm.HostEntry;
import dev.vmlet.host.vmm.LinuxVmms;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.model.Architecture;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageCatalog;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.VmmKind;
import dev.vmlet.status.NodeStatus;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The real doors of this host, opened in the order in which they depend on each other. */
public final class RealHost implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(RealHost.class);

    /** The user that qemu-img runs as: Debian's and everybody's nobody. */
    private static final int NOBODY = 65534;

    private final Deque<AutoCloseable> open = new ArrayDeque<>();
    private final String nodeName;
    private final HostPaths paths;
    private final InstallationId installation;
    private final HostNames names;
    private final String bootId;
    private final VmmChoice vmms;
    private final Wakes wakes;
    private final Downtimes downtimes;
    private final Host host;
    private final HostOptions options;
    private final LinuxVmms guests;
    private final ImageCatalog catalog;

    /** Whether the host is opened to act, by the one agent of its state directory, or only to look. */
    private enum Purpose {
        ACT,
        LOOK
    }

    private RealHost(HostOptions options, Purpose purpose) throws HostException {
        this.options = options;
        this.nodeName = nodeName(options);
        HostEntry entry = options.enterHost ? HostEntry.throughInit() : HostEntry.none();
        this.paths = new HostPaths(
                options.stateDir.toAbsolutePath().normalize().toString(),
                options.runDir.toAbsolutePath().normalize().toString());
        if (purpose == Purpose.ACT) {
            Installation held = keep(Installation.open(paths));
            this.installation = held.id();
        } else {
            this.installation = Installation.read(paths);
        }
        this.names = new HostNames(installation);
        this.bootId = LinuxVmms.currentBootId();
        this.wakes = new Wakes(names, nodeName);
        this.downtimes = new Downtimes(new EvacuationFile(paths)::read, new EvacuationWordFile(paths));
        LinuxLinks links = keep(new LinuxLinks());
        NftFirewall firewall = keep(new NftFirewall(installation, Path.of(paths.firewallBaseline())));
        FileRecords records = purpose == Purpose.ACT ? new FileRecords(paths) : FileRecords.toLook(paths);
        if (purpose == Purpose.ACT) {
            records.enterBoot(bootId);
        }
        this.catalog = CatalogFile.load(Optional.ofNullable(options.imageCatalog));
        ImageSettings settings = new ImageSettings(
                paths,
                Optional.ofNullable(options.imageDir),
                ranges("--image-url-allow", options.imageUrlAllow, ImageSettings::checkAllowed),
                ranges("--image-url-deny", options.imageUrlDeny, ImageSettings::checkDenied),
                mirror(options),
                !options.allowUnverifiedImages,
                options.qemuImg,
                NOBODY,
                thresholds(options),
                ImageSettings.Limits.DEFAULT);
        LinuxDisks disks =
                keep(purpose == Purpose.ACT ? new LinuxDisks(settings, wakes::wakeVm) : LinuxDisks.toLook(settings));
        this.vmms = VmmChoice.of(options, paths, entry, purpose == Purpose.ACT);
        LinuxVmms.Config config = new LinuxVmms.Config(paths, names, bootId, wakes::wakeVm, entry);
        this.guests = keep(
                purpose == Purpose.ACT
                        ? new LinuxVmms(config, vmms.usable())
                        : LinuxVmms.toLook(config, vmms.usable()));
        TcpProbes probes = keep(new TcpProbes(wakes::wakeVm));
        IptablesDockerChain docker = new IptablesDockerChain(
                options.manageDockerUser, installation, entry.words(), Path.of(paths.dockerNote()), System::nanoTime);
        if (purpose == Purpose.LOOK) {
            this.host = new Host(links, firewall, guests, disks, records, probes, Passages.none(), docker);
        } else {
            PassageWatch passages = keep(new PassageWatch(installation, links, firewall, wakes::wakeNetworkAndItsVms));
            this.host =
                    new Host(links, firewall, guests, disks, records, probes, new PassagesByUplink(passages), docker);
            keep(new FileWatch(Path.of(paths.evacuationFile()), () -> {
                wakes.wakeVms();
                wakes.wakeNode();
            }));
            ShutdownLock.hold(new GuestsAtShutdown(downtimes, wakes, records), entry.root())
                    .ifPresent(this::keep);
            KernelEvents events = new KernelEvents(wakes, probes, () -> {
                passages.disturbed();
                if (docker.disturbed()) {
                    wakes.wakeNode();
                }
            });
            keep(new LinkMonitor(events));
            keep(new FirewallMonitor(installation, events));
        }
    }

    /** @throws HostException when another agent holds the state directory, or a door does not open */
    public static RealHost open(HostOptions options) throws HostException {
        return new RealHost(options, Purpose.ACT);
    }

    /** For commands that only look; works beside a running agent and writes nothing. */
    public static RealHost toLook(HostOptions options) throws HostException {
        return new RealHost(options, Purpose.LOOK);
    }

    private <T extends AutoCloseable> T keep(T door) {
        open.push(door);
        return door;
    }

    private static String nodeName(HostOptions options) throws HostException {
        if (options.nodeName != null && !options.nodeName.isBlank()) {
            return options.nodeName;
        }
        try {
            // Not by InetAddress, which wants to resolve the name: a machine may have one that nobody resolves.
            return Files.readString(Path.of("/proc/sys/kernel/hostname"))
                    .strip()
                    .toLowerCase(java.util.Locale.ROOT);
        } catch (IOException e) {
            throw new HostException.Refused("find this host's name; give --node-name", e);
        }
    }

    private static List<String> ranges(String option, List<String> given, Consumer<List<String>> check)
            throws HostException {
        try {
            check.accept(given);
            return given;
        } catch (IllegalArgumentException e) {
            throw new HostException.Refused(option + ": " + e.getMessage(), e);
        }
    }

    private static Optional<ImageSettings.Mirror> mirror(HostOptions options) throws HostException {
        try {
            return Optional.ofNullable(options.imageMirror).map(ImageSettings.Mirror::of);
        } catch (IllegalArgumentException e) {
            throw new HostException.Refused("--image-mirror: " + e.getMessage(), e);
        }
    }

    private static ImageCache.Thresholds thresholds(HostOptions options) throws HostException {
        try {
            return new ImageCache.Thresholds(options.imageGcHigh, options.imageGcLow);
        } catch (IllegalArgumentException e) {
            throw new HostException.Refused("--image-gc-high and --image-gc-low: " + e.getMessage(), e);
        }
    }

    /** As the kernel names it; the JVM says amd64. */
    private static String architecture() {
        return Architecture.of(System.getProperty("os.arch", ""));
    }

    public String nodeName() {
        return nodeName;
    }

    public InstallationId installation() {
        return installation;
    }

    public HostNames names() {
        return names;
    }

    public HostPaths paths() {
        return paths;
    }

    public String bootId() {
        return bootId;
    }

    public Host host() {
        return host;
    }

    /** Everything an agent is made of. */
    public Agent.Parts parts(KubernetesClient client, AgentSettings settings, AgentMetrics metrics, Clock clock)
            throws HostException {
        return new Agent.Parts(
                client,
                nodeName,
                installation,
                paths,
                bootId,
                host,
                wakes,
                downtimes,
                facts(),
                nodeFacts(),
                settings,
                metrics,
                new WishFile(paths),
                clock);
    }

    /** What resolving needs to know, read anew at each call as far as it changes. */
    public Supplier<HostFacts> facts() throws HostException {
        Mebibytes memory = memory();
        int cores = Runtime.getRuntime().availableProcessors();
        Map<VmmKind, String> usable = vmms.paths();
        return () -> new HostFacts(
                nodeName,
                installation,
                bootId,
                cores,
                memory,
                architecture(),
                catalog,
                usable,
                vmms.reason(),
                vmms.problem(),
                vmms.firmware(),
                options.userIds.first(),
                options.userIds.count(),
                !options.allowUnverifiedImages,
                host.records().vms(),
                host.records().reservations(),
                options.reservedHostPorts);
    }

    private NodeStatus.Facts nodeFacts() throws HostException {
        return new NodeStatus.Facts(
                Main.version(),
                bootId,
                vmms.kvmProblem().isEmpty(),
                vmms.kvmProblem().isEmpty() ? "KVM works." : vmms.kvmProblem(),
                vmms.name(),
                vmms.version(),
                vmms.path(),
                vmms.problem(),
                options.emulation != HostOptions.Emulation.off,
                vmms.emulated(),
                vmms.landlockAbi(),
                String.join("; ", confinementGaps()),
                System.getProperty("os.version", ""),
                architecture(),
                Runtime.getRuntime().availableProcessors(),
                memory().value() + "Mi");
    }

    private List<String> confinementGaps() {
        List<String> gaps = new java.util.ArrayList<>(guests.limitsNotEnforced());
        gaps.addAll(vmms.confinementGaps());
        return gaps;
    }

    /** MemTotal of /proc/meminfo (proc_meminfo(5)), in kB there. */
    private static Mebibytes memory() throws HostException {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
                if (line.startsWith("MemTotal:")) {
                    return new Mebibytes(Long.parseLong(line.replaceAll("\\D", "")) >> 10);
                }
            }
            throw new HostException.Refused("read MemTotal in /proc/meminfo: no such line", null);
        } catch (IOException e) {
            throw new HostException.Refused("read /proc/meminfo", e);
        }
    }

    @Override
    public void close() {
        while (!open.isEmpty()) {
            AutoCloseable door = open.pop();
            try {
                door.close();
            } catch (Exception e) {
                log.atWarn()
                        .addKeyValue("door", door.getClass().getSimpleName())
                        .setCause(e)
                        .log("door not closed");
            }
        }
    }
}
