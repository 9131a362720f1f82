package dev.vmlet.host.survey;

import dev.vmlet.doctor.Facts;
import dev.vmlet.doctor.ForwardChain;
import dev.vmlet.host.disk.Tool;
import dev.vmlet.host.net.ForeignFirewalls;
import dev.vmlet.host.net.LinuxLinks;
import dev.vmlet.host.net.RulesetTrial;
import dev.vmlet.host.vmm.CgroupMounts;
import dev.vmlet.host.vmm.KvmProbe;
import dev.vmlet.host.vmm.Landlock;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Route;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * One look at this host, beside a running agent or before the first. The one thing it does is to send a packet as a guest
 * would, by a tap that goes with it, and to stop it before it leaves.
 */
public final class Survey {
    private static final Duration TOOL_PATIENCE = Duration.ofSeconds(10);
    private static final String IPTABLES = "iptables";
    private static final Path CONF = Path.of("/proc/sys/net/ipv4/conf");

    /** What the host runs for us: name, Debian's package, and what it does. */
    private static final List<List<String>> TOOLS = List.of(
            List.of("qemu-img", "qemu-utils", "converts images"),
            List.of("mkfs.vfat", "dosfstools", "makes the seed disk that tells a guest its name and addresses"),
            List.of("mcopy", "mtools", "fills the seed disk"),
            List.of("setpriv", "util-linux", "takes privileges from guest processes"),
            List.of("setsid", "util-linux", "lets guests outlive the agent"),
            List.of("nsenter", "util-linux", "starts guests outside the agent's container"));

    private final Facts.Wishes wishes;
    private final HostPaths paths;
    private final List<Path> programs;

    /** @param programs what the options name instead of the usual, such as another qemu-img */
    public Survey(Facts.Wishes wishes, HostPaths paths, List<Path> programs) {
        this.wishes = wishes;
        this.paths = paths;
        this.programs = List.copyOf(programs);
    }

    /**
     * @param vmm what guests would run under
     * @throws HostException when not even /proc can be read
     */
    public Facts look(Facts.Vmm vmm) throws HostException {
        try (LinuxLinks links = new LinuxLinks();
                ForeignFirewalls firewalls = new ForeignFirewalls();
                RulesetTrial trial = new RulesetTrial()) {
            Seen<String> ruleset = trial.whole();
            return new Facts(
                    wishes,
                    Selves.look(),
                    new KvmProbe().facts(),
                    vmm,
                    new Facts.Kernel(
                            System.getProperty("os.version", ""),
                            links.bridges(),
                            ruleset,
                            ruleset instanceof Seen.Unknown ? trial.refused() : Set.of(),
                            Landlock.abi(),
                            tunMode()),
                    CgroupMounts.facts(),
                    tools(),
                    Directories.state(paths),
                    Directories.run(paths),
                    network(links, firewalls),
                    Selves.takenIds());
        } catch (IOException e) {
            throw new HostException.Refused("look at this host: " + e.getMessage(), e);
        }
    }

    private static Seen<Integer> tunMode() {
        Path tun = Path.of("/dev/net/tun");
        try {
            return Files.getAttribute(tun, "unix:mode") instanceof Integer mode
                    ? Seen.present(mode & 07777)
                    : Seen.unknown("the mode of " + tun + " cannot be read");
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Seen.unknown("the mode of " + tun + " cannot be read: " + e.getMessage());
        }
    }

    private List<Facts.Tool> tools() {
        List<Facts.Tool> tools = new ArrayList<>();
        for (List<String> tool : TOOLS) {
            tools.add(new Facts.Tool(tool.get(0), find(tool.get(0)), tool.get(1), tool.get(2)));
        }
        if (wishes.manageDockerUser()) {
            tools.add(new Facts.Tool(
                    IPTABLES,
                    find(IPTABLES),
                    IPTABLES,
                    "lets guests through Docker's firewall (--manage-docker-user)"));
        }
        tools.add(new Facts.Tool(
                "qemu-system-x86_64", find("qemu-system-x86_64"), "qemu-system-x86", "emulates guests without KVM"));
        return tools;
    }

    private Optional<String> find(String name) {
        for (Path program : programs) {
            if (program.getFileName().toString().startsWith(name)) {
                return Tool.find(program.toString()).map(Path::toString);
            }
        }
        return Tool.find(name).map(Path::toString);
    }

    private Facts.Network network(LinuxLinks links, ForeignFirewalls firewalls) throws HostException {
        Set<LinkName> ours = new TreeSet<>();
        for (Link link : links.list()) {
            // Of any vmlet on this host: they choose their Networks by the API, not by what is here.
            if (link.mark().text().startsWith("vmlet:")) {
                ours.add(link.name());
            }
        }
        Map<LinkName, Set<InterfaceAddress>> addresses = new HashMap<>(links.allAddresses());
        List<Route> allRoutes = links.routes();
        Seen<Passage> passage = passage(links, firewalls, addresses, allRoutes);
        addresses.keySet().removeAll(ours);
        List<Route> routes =
                allRoutes.stream().filter(r -> !ours.contains(r.device())).toList();
        Set<String> strict = new TreeSet<>();
        for (Route route : routes) {
            String device = route.device().value();
            // The greater of the two counts (ip-sysctl); 2 is loose.
            if (Math.max(number(CONF.resolve("all/rp_filter")), number(CONF.resolve(device + "/rp_filter"))) == 1) {
                strict.add(device);
            }
        }
        return new Facts.Network(
                addresses,
                routes,
                strict,
                number(Path.of("/proc/sys/net/bridge/bridge-nf-call-iptables")) == 1,
                firewalls.forwarding(),
                legacy(),
                passage);
    }

    private Seen<Passage> passage(
            LinuxLinks links,
            ForeignFirewalls firewalls,
            Map<LinkName, Set<InterfaceAddress>> addresses,
            List<Route> routes) {
        Set<Ipv4Prefix> taken = new HashSet<>();
        addresses.values().forEach(all -> all.forEach(address -> taken.add(address.prefix())));
        boolean outward = false;
        for (Route route : routes) {
            if (route.destination().length() == 0) {
                outward = true;
            } else {
                taken.add(route.destination());
            }
        }
        return outward ? firewalls.passage(links, wishes.pool(), taken) : Seen.missing();
    }

    /** 0 where there is no such file. */
    private static int number(Path file) {
        try {
            return Integer.parseInt(Files.readString(file).strip());
        } catch (IOException | NumberFormatException e) {
            return 0;
        }
    }

    private static Seen<ForwardChain> legacy() {
        Path names = Path.of("/proc/net/ip_tables_names");
        try {
            if (!Files.readAllLines(names).contains("filter")) {
                return Seen.missing();
            }
            Optional<Path> tool = Tool.find("iptables-legacy");
            if (tool.isEmpty()) {
                return Seen.unknown("its tool iptables-legacy is missing");
            }
            Tool.Result listed = Tool.run(
                    Path.of("/"), TOOL_PATIENCE, Map.of(), List.of(tool.get().toString(), "-S"));
            return listed.code() == 0
                    ? Seen.present(
                            ForeignFirewalls.legacy(listed.output().lines().toList()))
                    : Seen.unknown(listed.lastLine());
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (AccessDeniedException e) {
            return Seen.unknown("permission denied");
        } catch (IOException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Seen.unknown("interrupted");
        }
    }
}
