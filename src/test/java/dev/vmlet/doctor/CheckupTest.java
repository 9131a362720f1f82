package dev.vmlet.doctor;

import static dev.vmlet.doctor.GivenHost.address;
import static dev.vmlet.doctor.GivenHost.chain;
import static dev.vmlet.doctor.GivenHost.route;
import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.doctor.Finding.Verdict;
import dev.vmlet.doctor.ForwardChain.Let;
import dev.vmlet.doctor.ForwardChain.Side;
import dev.vmlet.model.FirewallKeeper;
import dev.vmlet.model.ForeignRule;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Seen;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** Each fact that can be wrong, and the lines a person reads about it. */
class CheckupTest {
    private static List<Finding> of(Consumer<GivenHost> spoil) {
        GivenHost host = new GivenHost();
        spoil.accept(host);
        return Checkup.of(host.facts());
    }

    private static String complaints(Consumer<GivenHost> spoil) {
        return of(spoil).stream()
                .filter(f -> f.verdict() != Verdict.OK)
                .map(Finding::toString)
                .collect(Collectors.joining("\n"));
    }

    @Test
    void aHostWhereAllIsWell() {
        List<Finding> findings = of(_ -> {});
        assertThat(findings.stream().map(Finding::toString).collect(Collectors.joining("\n")))
                .isEqualTo("""
                        ok    root, with the capabilities the agent uses
                        ok    KVM: /dev/kvm opens and the CPU shows svm
                        ok    cloud-hypervisor 53.0 at /bin/ch
                        ok    Linux 6.12.0
                        ok    the kernel makes bridges
                        ok    the kernel takes our ruleset (libnftables 1.0.6)
                        ok    /dev/net/tun is open to guests' users
                        ok    Landlock ABI 6: guest processes are confined
                        ok    cgroup v2: memory, cpu and pids of guests are limited
                        ok    tools: qemu-img, qemu-system-x86_64
                        ok    state directory /var/lib/vmlet is on ext4, 72 GiB free, no reflink: each clone of an image is a sparse copy
                        ok    run directory /run/vmlet is on tmpfs
                        ok    no firewall of others drops what this host forwards
                        ok    bridged packets do not pass iptables
                        ok    guests go out by eth0
                        ok    rp_filter stands in nobody's way
                        ok    nothing of this host's lies in the network pool 10.208.0.0/12
                        ok    nobody else has user ids in 700000:65536""");
        assertThat(Finding.worst(findings)).isEqualTo(Verdict.OK);
    }

    private record Row(String name, Consumer<GivenHost> spoil, String complaint) {}

    @TestFactory
    Stream<DynamicTest> complaints() {
        return rows().map(row -> DynamicTest.dynamicTest(
                row.name, () -> assertThat(complaints(row.spoil)).isEqualTo(row.complaint)));
    }

    private static Stream<Row> rows() {
        return Stream.of(processor(), kernel(), places(), network()).flatMap(rows -> rows);
    }

    private static Stream<Row> processor() {
        return Stream.of(
                new Row(
                        "an ordinary user",
                        h -> h.identity = new Facts.Identity(1000, 0, ""),
                        "fail  this runs as user 1000, and the agent needs root; what only root may see was not checked"
                                + " — run it as root, for example: sudo vmlet doctor"),
                new Row(
                        "root of a container without privileges",
                        h -> h.identity = new Facts.Identity(0, ~(1L << 12 | 1L << 8), "Docker"),
                        "fail  root without CAP_SETPCAP, CAP_NET_ADMIN — give the container these capabilities; the"
                                + " Helm chart and a plain root shell have them"),
                new Row(
                        "no KVM on bare metal, and no emulator",
                        h -> {
                            h.kvm = new Facts.Kvm(false, "", true, Set.of("vmx"));
                            h.tools.put("qemu-system-x86_64", Optional.empty());
                        },
                        "fail  KVM does not work: /dev/kvm does not exist; and there is no emulator — modprobe"
                                + " kvm_intel; or: apt-get install qemu-system-x86"),
                new Row(
                        "no KVM, emulation refused",
                        h -> {
                            h.kvm = new Facts.Kvm(false, "", true, Set.of());
                            h.emulation = false;
                        },
                        "fail  KVM does not work: /dev/kvm does not exist — switch virtualization (VT-x, AMD-V) on in"
                                + " the firmware; or emulate: --emulation=auto"),
                new Row(
                        "a virtual machine without nested virtualization",
                        h -> h.kvm = new Facts.Kvm(true, "", true, Set.of("hypervisor")),
                        "warn  KVM does not work: /dev/kvm opens, but the CPU shows neither vmx nor svm. Guests can be"
                                + " emulated by /q, much slower (agent: --emulation=auto) — this host is a virtual"
                                + " machine itself: switch nested virtualization on where it runs"),
                new Row(
                        "a container without the device",
                        h -> {
                            h.kvm = new Facts.Kvm(false, "", true, Set.of("svm", "hypervisor"));
                            h.identity = new Facts.Identity(0, -1, "podman");
                        },
                        "warn  KVM does not work: /dev/kvm does not exist. Guests can be emulated by /q, much slower"
                                + " (agent: --emulation=auto) — pass the device into this podman container (--device"
                                + " /dev/kvm)"),
                new Row(
                        "a device that does not open",
                        h -> h.kvm = new Facts.Kvm(true, "permission denied", true, Set.of("vmx")),
                        "warn  KVM does not work: /dev/kvm does not open: permission denied. Guests can be emulated by"
                                + " /q, much slower (agent: --emulation=auto) — let this host use it: its device"
                                + " cgroup or the module refuses (dmesg | grep -i kvm)"),
                new Row(
                        "no VMM",
                        h -> h.vmm = new Facts.Vmm("", "no usable cloud-hypervisor: none", "find a firmware: none"),
                        "fail  no usable cloud-hypervisor: none — give --vmm-url, or --vmm-binary\n"
                                + "warn  only VMs with boot.kernel can start: find a firmware: none — apt-get install"
                                + " cloudhv-efi-x86-64 (Debian 13 and newer), or give --firmware"));
    }

    private static Stream<Row> kernel() {
        return Stream.of(
                new Row(
                        "an old kernel",
                        h -> h.release = "5.4.0-generic",
                        "fail  Linux 5.4.0-generic is too old — run 5.10 or newer"),
                new Row(
                        "no bridges",
                        h -> h.bridge = Seen.present(false),
                        "fail  the kernel makes no bridges — modprobe bridge"),
                new Row(
                        "no libnftables",
                        h -> h.firewall = Seen.missing(),
                        "fail  libnftables.so.1 is missing — apt-get install libnftables1"),
                new Row(
                        "no bridge family in nf_tables",
                        h -> refuses(h, RulesetPart.BRIDGE),
                        "fail  the kernel does not take our ruleset, for it lacks tables of family bridge — modprobe -a"
                                + " nf_tables; where there is no such module, run a kernel built with"
                                + " CONFIG_NF_TABLES_BRIDGE, as distributions' own are"),
                new Row(
                        "nothing of what published ports need",
                        h -> refuses(h, RulesetPart.DNAT, RulesetPart.NAT_CHAINS, RulesetPart.FIB),
                        "fail  the kernel does not take our ruleset, for it lacks fib, which knows the node's own"
                                + " addresses; chains of type nat; dnat, which leads published ports to guests —"
                                + " modprobe -a nft_fib_inet nft_chain_nat nft_nat; where there is no such module, run"
                                + " a kernel built with CONFIG_NFT_FIB_INET, CONFIG_NFT_NAT, as distributions' own are"),
                new Row(
                        "no fib for a container",
                        h -> {
                            refuses(h, RulesetPart.FIB);
                            h.identity = new Facts.Identity(0, 0x1ffffffffffL, "podman");
                        },
                        "fail  the kernel does not take our ruleset, for it lacks fib, which knows the node's own"
                                + " addresses — on the host: modprobe -a nft_fib_inet; where there is no such module,"
                                + " run a kernel built with CONFIG_NFT_FIB_INET, as distributions' own are"),
                new Row(
                        "a libnftables that cannot read the ruleset",
                        h -> h.firewall = Seen.unknown("try our ruleset: syntax error"),
                        "fail  our ruleset is not taken: try our ruleset: syntax error — where that is no lack of"
                                + " CAP_NET_ADMIN, libnftables is too old for it or the kernel is: update libnftables1"
                                + " (vmlet is tested with 1.0.6) or run a newer kernel"),
                new Row("no tun", h -> h.tun = Seen.missing(), "fail  /dev/net/tun does not exist — modprobe tun"),
                new Row(
                        "tun for root alone",
                        h -> h.tun = Seen.present(0600),
                        "fail  /dev/net/tun has mode 0600: guests' users cannot open their taps — chmod 0666"
                                + " /dev/net/tun, as distributions ship it (a tap still admits only its own user)"),
                new Row(
                        "Landlock switched off",
                        h -> h.landlock = 0,
                        "warn  no Landlock: cloud-hypervisor asks for ABI 3, so guest processes are not confined by it"
                                + " — boot Linux 6.2 or newer with landlock in its lsm= list"
                                + " (/sys/kernel/security/lsm shows it)"),
                new Row(
                        "an early Landlock where it is required",
                        h -> {
                            h.landlock = 2;
                            h.requireLandlock = true;
                        },
                        "fail  Landlock ABI 2: cloud-hypervisor asks for ABI 3, so guest processes are not confined by"
                                + " it — boot Linux 6.2 or newer, or do without --require-landlock"),
                new Row(
                        "no cgroup",
                        h -> h.cgroups = List.of(),
                        "warn  no cgroup hierarchy can be written: guests are neither limited nor kept apart from the"
                                + " agent — mount -t cgroup2 none /sys/fs/cgroup"),
                new Row(
                        "v1 without memory",
                        h -> h.cgroups = List.of(
                                new Facts.Cgroup("/c", false, Set.of("cpu"), ""),
                                new Facts.Cgroup("/p", false, Set.of("pids"), "")),
                        "warn  cgroup v1: not limited for guests: memory — switch the controllers on (kernel command"
                                + " line cgroup_enable=memory, no cgroup_disable=)"),
                new Row(
                        "a cgroup namespace",
                        h -> h.cgroups = List.of(new Facts.Cgroup(
                                "/sys/fs/cgroup",
                                true,
                                Set.of("cpu", "memory", "pids"),
                                "/sys/fs/cgroup is not the root of the tree and holds processes")),
                        "warn  cgroup v2: not limited for guests: memory, cpu, pids (/sys/fs/cgroup is not the root of"
                                + " the tree and holds processes) — give the agent the host's own cgroup tree"
                                + " (cgroupns host)"),
                new Row(
                        "a missing tool",
                        h -> h.tools.put("qemu-img", Optional.empty()),
                        "fail  qemu-img is missing; it converts images — apt-get install qemu-utils"));
    }

    private static Stream<Row> places() {
        return Stream.of(
                new Row(
                        "a read-only state directory",
                        h -> h.state = GivenHost.state("ext4", Set.of("ro"), "read-only", 0),
                        "fail  state directory /var/lib/vmlet cannot be written: read-only — mount it writable, or"
                                + " choose another --state-dir"),
                new Row(
                        "noexec",
                        h -> h.state = GivenHost.state("xfs", Set.of("rw", "noexec"), "", 9L << 30),
                        "fail  state directory /var/lib/vmlet is mounted noexec, and the VMM and its launcher are"
                                + " started from there — mount it with exec, or choose another --state-dir"),
                new Row(
                        "little space in memory",
                        h -> h.state = GivenHost.state("tmpfs", Set.of(), "", 1L << 30),
                        "warn  state directory /var/lib/vmlet is in memory: a reboot takes every disk — choose a"
                                + " --state-dir on a disk\n"
                                + "warn  state directory /var/lib/vmlet has only 1 GiB free, room for few images and"
                                + " disks — free some, or move it"),
                new Row(
                        "a full disk",
                        h -> h.state = GivenHost.state("ext4", Set.of(), "", 3L << 20),
                        "fail  state directory /var/lib/vmlet has only 3 MiB free — free some, or move it"),
                new Row(
                        "a closed parent and a record of a newer vmlet",
                        h -> h.state = new Facts.StateDirectory(
                                "/root/v",
                                false,
                                "",
                                "xfs",
                                Set.of(),
                                9L << 30,
                                Seen.unknown("it is tried where the directory exists"),
                                List.of("/root"),
                                List.of("The record r is of a newer vmlet")),
                        "fail  guests' users cannot pass through /root to their disks — chmod o+x /root\n"
                                + "warn  The record r is of a newer vmlet — run the vmlet that wrote it, or restore it;"
                                + " nothing is overwritten"),
                new Row(
                        "a run directory on a disk",
                        h -> h.run = new Facts.RunDirectory("/srv/run", "ext4", 90),
                        "warn  run directory /srv/run is on ext4: what lies there survives a reboot and is looked"
                                + " through after it — choose a --run-dir on a tmpfs, such as one below /run"),
                new Row(
                        "a run directory with a long name",
                        h -> h.run = new Facts.RunDirectory("/run/long", "tmpfs", 120),
                        "fail  run directory /run/long makes socket paths of 120 bytes, and the kernel takes 107 —"
                                + " choose a shorter --run-dir"));
    }

    private static void refuses(GivenHost host, RulesetPart... parts) {
        host.firewall = Seen.unknown("try our ruleset: Operation not supported");
        host.refused = Set.of(parts);
    }

    private static void drops(GivenHost host, ForwardChain chain) {
        host.forwarding = Seen.present(List.of(chain));
    }

    private static GivenHost probed(GivenHost host, Passage passage) {
        host.passage = Seen.present(passage);
        return host;
    }

    private static Stream<Row> network() {
        ForeignRule docker = new ForeignRule(FirewallKeeper.DOCKER, "ip", "filter", "FORWARD", "FORWARD", "");
        ForeignRule mine = new ForeignRule(FirewallKeeper.NFTABLES, "inet", "fw", "g", "f", "tcp dport 443 drop");
        return Stream.of(
                new Row(
                        "a packet that Docker dropped, whatever else was read",
                        h -> {
                            drops(
                                    probed(h, new Passage.Dropped(docker, Ipv4Prefix.parse("10.208.0.0/12"))),
                                    chain("inet", "mine", "fwd", true));
                            h.legacy = Seen.unknown("its tool iptables-legacy is missing");
                        },
                        "warn  a packet sent as a guest would send it is dropped by the policy of iptables' FORWARD chain"
                                + " (Docker): guests reach nothing outside their Network — iptables -I DOCKER-USER -i"
                                + " vmb-+ -o eth0 -j ACCEPT; iptables -I DOCKER-USER -i eth0 -o vmb-+ -j ACCEPT; iptables"
                                + " -I DOCKER-USER -i vmb-+ -o vmb-+ -j ACCEPT (after Docker, at each boot and each reload of firewalld; or give the agent --manage-docker-user)"),
                new Row(
                        "a packet that somebody's rule dropped",
                        h -> probed(h, new Passage.Dropped(mine, Ipv4Prefix.parse("10.208.0.0/12"))),
                        "warn  a packet sent as a guest would send it is dropped by the rule \"tcp dport 443 drop\" in"
                                + " chain g of nft table inet fw (nftables): guests reach nothing outside their Network —"
                                + " nft insert rule inet fw f iifname \"vmb-*\" accept; nft insert rule inet fw f oifname"
                                + " \"vmb-*\" accept (and keep them where that table is written)"),
                new Row(
                        "a packet that passed a chain which seems to drop",
                        h -> drops(probed(h, new Passage.Open()), chain("inet", "mine", "fwd", true)),
                        ""),
                new Row(
                        "a packet that passed, and a bridge's chain that it did not come by",
                        h -> drops(probed(h, new Passage.Open()), chain("bridge", "mine", "fwd", true)),
                        "warn  chain fwd of nft table bridge mine (nftables) drops what it does not know: guests of one"
                                + " Network do not reach each other — nft insert rule bridge mine fwd iifname \"vmt-*\""
                                + " accept; nft insert rule bridge mine fwd oifname \"vmt-*\" accept (and keep them where"
                                + " that table is written)"),
                new Row(
                        "a packet that was lost, and iptables-legacy",
                        h -> probed(h, new Passage.Lost("it was routed on and ended at the forward hook")).legacy =
                                Seen.present(chain(ForwardChain.LEGACY, "filter", "FORWARD", true)),
                        "warn  a packet sent as a guest would send it does not leave this host: it was routed on and ended"
                                + " at the forward hook — look at each that this names; nft list ruleset shows the rest\n"
                                + "warn  iptables-legacy's FORWARD chain (iptables-legacy) drops what it does not know:"
                                + " guests reach nothing outside their Network — iptables-legacy -I FORWARD -i vmb-+ -j"
                                + " ACCEPT; iptables-legacy -I FORWARD -o vmb-+ -j ACCEPT (and keep them for the next"
                                + " boot)"),
                new Row(
                        "a packet that could not be sent",
                        h -> h.passage = Seen.unknown("create tap vmb-abc: no /dev/net/tun; load the tun module"),
                        "warn  no packet could be sent as a guest would send it, so rules are read instead: create tap"
                                + " vmb-abc: no /dev/net/tun; load the tun module — see to that, and run this again"),
                new Row(
                        "Docker",
                        h -> drops(h, chain("ip", "filter", "FORWARD", true, "FORWARD", "DOCKER", "DOCKER-USER")),
                        "warn  iptables' FORWARD chain (Docker) drops what it does not know: guests reach nothing"
                                + " outside their Network — iptables -I DOCKER-USER -i vmb-+ -o eth0 -j ACCEPT;"
                                + " iptables -I DOCKER-USER -i eth0 -o vmb-+ -j ACCEPT; iptables -I DOCKER-USER -i vmb-+ -o"
                                + " vmb-+ -j ACCEPT (after Docker, at each boot and each reload of firewalld; or give the agent --manage-docker-user)"),
                new Row(
                        "ufw, and br_netfilter",
                        h -> {
                            drops(h, chain("ip", "filter", "FORWARD", true, "ufw-before-forward"));
                            h.bridgeCallsIptables = true;
                        },
                        "warn  iptables' FORWARD chain (ufw) drops what it does not know: guests reach nothing outside"
                                + " their Network — ufw route allow from 10.208.0.0/12; ufw route allow to"
                                + " 10.208.0.0/12\n"
                                + "warn  br_netfilter hands bridged packets to that chain: guests of one Network do"
                                + " not reach each other either — let guests through as above, or: sysctl -w"
                                + " net.bridge.bridge-nf-call-iptables=0"),
                new Row(
                        "firewalld",
                        h -> drops(h, chain("inet", "firewalld", "filter_FORWARD", true)),
                        "warn  chain filter_FORWARD of nft table inet firewalld (firewalld) drops what it does not"
                                + " know: guests reach nothing outside their Network — firewall-cmd --permanent"
                                + " --zone=trusted --add-source=10.208.0.0/12; firewall-cmd --reload"),
                new Row(
                        "somebody's own nft table",
                        h -> drops(h, chain("inet", "mine", "fwd", true)),
                        "warn  chain fwd of nft table inet mine (nftables) drops what it does not know: guests reach"
                                + " nothing outside their Network — nft insert rule inet mine fwd iifname \"vmb-*\""
                                + " accept; nft insert rule inet mine fwd oifname \"vmb-*\" accept (and keep them where"
                                + " that table is written)"),
                new Row(
                        "iptables-legacy",
                        h -> h.legacy = Seen.present(chain(ForwardChain.LEGACY, "filter", "FORWARD", true)),
                        "warn  iptables-legacy's FORWARD chain (iptables-legacy) drops what it does not know: guests"
                                + " reach nothing outside their Network — iptables-legacy -I FORWARD -i vmb-+ -j"
                                + " ACCEPT; iptables-legacy -I FORWARD -o vmb-+ -j ACCEPT (and keep them for the next"
                                + " boot)"),
                new Row(
                        "iptables-legacy without its tool",
                        h -> h.legacy = Seen.unknown("its tool iptables-legacy is missing"),
                        "warn  whether iptables-legacy drops what guests send is unknown: its tool iptables-legacy is"
                                + " missing — look for yourself, with the tool of the package iptables:"
                                + " iptables-legacy -S FORWARD"),
                new Row("a chain that drops nothing", h -> drops(h, chain("ip", "f", "fwd", false)), ""),
                new Row(
                        "firewalls that cannot be read",
                        h -> h.forwarding = Seen.unknown("list firewalls: Operation not permitted"),
                        "warn  firewalls of others could not be read: list firewalls: Operation not permitted — look for"
                                + " drops at the forward hook: nft list ruleset"),
                new Row(
                        "no way out",
                        h -> h.routes.removeFirst(),
                        "warn  this host has no default route: guests reach nothing outside — give it one, or use"
                                + " Networks with egress: None"),
                new Row(
                        "two ways out and strict filtering",
                        h -> h.routes.add(route("0.0.0.0/0", "wlan0")),
                        "warn  default routes by eth0 and wlan0, and strict rp_filter on eth0: replies to guests that"
                                + " come in the other way are dropped — sysctl -w net.ipv4.conf.eth0.rp_filter=2"),
                new Row(
                        "an address in the pool",
                        h -> {
                            h.links.put(new LinkName("vpn0"), Set.of(address("10.210.0.7", 16)));
                            h.routes.add(route("10.210.0.0/16", "vpn0"));
                        },
                        "warn  the network pool 10.208.0.0/12 overlaps 10.210.0.7/16 of vpn0: a Network with one of"
                                + " these addresses would cut this host off from them — --network-pool 10.240.0.0/12"
                                + " is free here, or give each Network a spec.cidr"),
                new Row(
                        "a route over all of it",
                        h -> h.routes.add(route("10.0.0.0/8", "vpn0")),
                        "warn  the network pool 10.208.0.0/12 overlaps the route to 10.0.0.0/8 by vpn0: a Network with"
                                + " one of these addresses would cut this host off from them — --network-pool"
                                + " 172.16.0.0/12 is free here, or give each Network a spec.cidr"),
                new Row(
                        "user ids of others",
                        h -> h.taken = List.of(
                                new Facts.IdRange("/etc/subuid of ann", 689824, 65536),
                                new Facts.IdRange("user bob", 700001, 1)),
                        "warn  guests' user ids 700000:65536 overlap those of /etc/subuid of ann (689824:65536), user"
                                + " bob (700001:1): they could open guests' files — --vm-user-ids 800000:65536"));
    }

    @Test
    void aRemedyThatWasTakenIsSeen() {
        List<Let> byInterface = List.of(new Let(Side.FROM, "vmb-*"), new Let(Side.TO, "vmb-*"));
        List<Let> byRange = List.of(new Let(Side.FROM, "10.0.0.0/8"), new Let(Side.TO, "10.208.0.0/12"));
        List<Let> half = List.of(new Let(Side.FROM, "vmb-*"), new Let(Side.TO, "docker0"));
        List<Let> narrow = List.of(new Let(Side.FROM, "10.208.0.0/16"), new Let(Side.TO, "10.208.0.0/16"));
        assertThat(complaints(h -> drops(h, letting("filter", byInterface)))).isEmpty();
        assertThat(complaints(h -> drops(h, letting("filter", byRange)))).isEmpty();
        assertThat(complaints(h -> drops(h, letting("filter", half)))).startsWith("warn  iptables' FORWARD");
        assertThat(complaints(h -> drops(h, letting("filter", narrow)))).startsWith("warn  iptables' FORWARD");
        assertThat(complaints(h -> drops(h, letting("firewalld", List.of(new Let(Side.FROM, "10.208.0.0/12"))))))
                .isEmpty();
    }

    private static ForwardChain letting(String table, List<Let> lets) {
        return new ForwardChain("ip", table, "FORWARD", true, Set.of("FORWARD"), lets);
    }
}
