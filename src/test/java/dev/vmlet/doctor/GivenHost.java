package dev.vmlet.doctor;

import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Route;
import dev.vmlet.model.Seen;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/** A host where all is well, to be spoilt by a test one fact at a time. */
final class GivenHost {
    boolean emulation = true;
    boolean requireLandlock;
    Facts.Identity identity = new Facts.Identity(0, 0x1ffffffffffL, "");
    Facts.Kvm kvm = new Facts.Kvm(true, "", true, Set.of("svm"));
    Facts.Vmm vmm = new Facts.Vmm("cloud-hypervisor 53.0 at /bin/ch", "", "");
    String release = "6.12.0";
    Seen<Boolean> bridge = Seen.present(true);
    Seen<String> firewall = Seen.present("1.0.6");
    Set<RulesetPart> refused = Set.of();
    int landlock = 6;
    Seen<Integer> tun = Seen.present(0666);
    List<Facts.Cgroup> cgroups = List.of(new Facts.Cgroup("/sys/fs/cgroup", true, Set.of("cpu", "memory", "pids"), ""));
    Map<String, Optional<String>> tools = new TreeMap<>(
            Map.of("qemu-img", Optional.of("/usr/bin/qemu-img"), "qemu-system-x86_64", Optional.of("/q")));
    Facts.StateDirectory state = state("ext4", Set.of("rw"), "", 72L << 30);
    Facts.RunDirectory run = new Facts.RunDirectory("/run/vmlet", "tmpfs", 60);
    Map<LinkName, Set<InterfaceAddress>> links =
            new TreeMap<>(Map.of(new LinkName("eth0"), Set.of(address("192.168.7.2", 24))));
    List<Route> routes = new ArrayList<>(List.of(route("0.0.0.0/0", "eth0"), route("192.168.7.0/24", "eth0")));
    Set<String> strict = Set.of("eth0");
    boolean bridgeCallsIptables;
    Seen<List<ForwardChain>> forwarding = Seen.present(List.of());
    Seen<ForwardChain> legacy = Seen.missing();
    Seen<Passage> passage = Seen.missing();
    List<Facts.IdRange> taken = List.of(new Facts.IdRange("user root", 0, 1));

    static Facts.StateDirectory state(String fileSystem, Set<String> options, String problem, long free) {
        return new Facts.StateDirectory(
                "/var/lib/vmlet",
                true,
                problem,
                fileSystem,
                options,
                free,
                Seen.present(fileSystem.equals("xfs")),
                List.of(),
                List.of());
    }

    static InterfaceAddress address(String address, int length) {
        return new InterfaceAddress(Ipv4Address.parse(address), length);
    }

    static Route route(String destination, String device) {
        return new Route(Ipv4Prefix.parse(destination), new LinkName(device), 0);
    }

    static ForwardChain chain(String family, String table, String name, boolean drops, String... siblings) {
        return new ForwardChain(family, table, name, drops, Set.of(siblings), List.of());
    }

    Facts facts() {
        return new Facts(
                new Facts.Wishes(
                        emulation,
                        requireLandlock,
                        Ipv4Prefix.parse("10.208.0.0/12"),
                        new Facts.IdRange("guests", 700000, 65536),
                        false),
                identity,
                kvm,
                vmm,
                new Facts.Kernel(release, bridge, firewall, refused, landlock, tun),
                cgroups,
                tools.entrySet().stream()
                        .map(t -> new Facts.Tool(t.getKey(), t.getValue(), "qemu-utils", "converts images"))
                        .toList(),
                state,
                run,
                new Facts.Network(links, routes, strict, bridgeCallsIptables, forwarding, legacy, passage),
                taken);
    }
}
