package dev.vmlet.doctor;

import dev.vmlet.doctor.Facts.Cgroup;
import dev.vmlet.doctor.Facts.Tool;
import dev.vmlet.model.Seen;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** Judges a host by its facts: who we are, processor, kernel, tools; {@link Places} and {@link Surroundings} the rest. */
public final class Checkup {
    /** Capabilities the agent uses, by their bit (include/uapi/linux/capability.h). */
    private static final Map<Integer, String> CAPABILITIES = new TreeMap<>(Map.of(
            0, "CAP_CHOWN",
            1, "CAP_DAC_OVERRIDE",
            3, "CAP_FOWNER",
            5, "CAP_KILL",
            6, "CAP_SETGID",
            7, "CAP_SETUID",
            8, "CAP_SETPCAP",
            12, "CAP_NET_ADMIN"));

    /** cloud-hypervisor asks for the right to truncate, which is the third ABI (Linux 6.2). */
    private static final int LANDLOCK_NEEDED = 3;

    private static final int OTHERS_READ_WRITE = 06;

    private final Facts facts;
    private final List<Finding> findings = new ArrayList<>();

    private Checkup(Facts facts) {
        this.facts = facts;
    }

    /** Every finding, good ones too, in the order in which a person would mend them. */
    public static List<Finding> of(Facts facts) {
        Checkup checkup = new Checkup(facts);
        checkup.identity();
        checkup.kvm();
        checkup.vmm();
        checkup.kernel();
        checkup.landlock();
        checkup.cgroups();
        checkup.tools();
        checkup.findings.addAll(Places.of(facts));
        checkup.findings.addAll(Surroundings.of(facts));
        return List.copyOf(checkup.findings);
    }

    private void add(Finding finding) {
        findings.add(finding);
    }

    private void identity() {
        long user = facts.identity().user();
        if (user != 0) {
            add(Finding.fail(
                    "root",
                    "this runs as user " + user + ", and the agent needs root; what only root may see was not checked",
                    "run it as root, for example: sudo vmlet doctor"));
            return;
        }
        String missing = CAPABILITIES.entrySet().stream()
                .filter(c -> (facts.identity().capabilities() >> c.getKey() & 1) == 0)
                .map(Map.Entry::getValue)
                .collect(Collectors.joining(", "));
        add(
                missing.isEmpty()
                        ? Finding.ok("root", "root, with the capabilities the agent uses")
                        : Finding.fail(
                                "root",
                                "root without " + missing,
                                "give " + (inContainer() ? "the container" : "the process")
                                        + " these capabilities; the Helm chart and a plain root shell have them"));
    }

    private boolean inContainer() {
        return !facts.identity().container().isEmpty();
    }

    private void kvm() {
        String problem = kvmProblem();
        if (problem.isEmpty()) {
            add(Finding.ok("kvm", "KVM: /dev/kvm opens" + (facts.kvm().x86() ? " and the CPU shows " + flag() : "")));
            return;
        }
        Optional<String> emulator = path("qemu-system-x86_64");
        if (!facts.wishes().emulation()) {
            add(Finding.fail("kvm", "KVM does not work: " + problem, kvmRemedy() + "; or emulate: --emulation=auto"));
        } else if (emulator.isEmpty()) {
            add(Finding.fail(
                    "kvm",
                    "KVM does not work: " + problem + "; and there is no emulator",
                    kvmRemedy() + "; or: apt-get install qemu-system-x86"));
        } else {
            add(Finding.warn(
                    "kvm",
                    "KVM does not work: " + problem + ". Guests can be emulated by " + emulator.get()
                            + ", much slower (agent: --emulation=auto)",
                    kvmRemedy()));
        }
    }

    private String kvmProblem() {
        Facts.Kvm kvm = facts.kvm();
        if (!kvm.there()) {
            return "/dev/kvm does not exist";
        }
        if (!kvm.openError().isEmpty()) {
            return "/dev/kvm does not open: " + kvm.openError();
        }
        return kvm.x86() && flag().isEmpty() ? "/dev/kvm opens, but the CPU shows neither vmx nor svm" : "";
    }

    private String flag() {
        return facts.kvm().cpuFlags().stream()
                .filter(f -> !f.equals("hypervisor"))
                .sorted()
                .collect(Collectors.joining(", "));
    }

    private String kvmRemedy() {
        Facts.Kvm kvm = facts.kvm();
        if (inContainer() && !kvm.there()) {
            return "pass the device into this " + facts.identity().container() + " container (--device /dev/kvm)";
        }
        if (kvm.there() && !kvm.openError().isEmpty()) {
            return facts.identity().user() == 0
                    ? "let this " + (inContainer() ? "container" : "host") + " use it: its device cgroup or the module"
                            + " refuses (dmesg | grep -i kvm)"
                    : "run this as root";
        }
        if (kvm.x86() && flag().isEmpty()) {
            return kvm.cpuFlags().contains("hypervisor")
                    ? "this host is a virtual machine itself: switch nested virtualization on where it runs"
                    : "switch virtualization (VT-x, AMD-V) on in the firmware";
        }
        return "modprobe " + (kvm.cpuFlags().contains("svm") ? "kvm_amd" : "kvm_intel");
    }

    private boolean kvmWorks() {
        return kvmProblem().isEmpty();
    }

    private void vmm() {
        if (!kvmWorks()) {
            return;
        }
        Facts.Vmm vmm = facts.vmm();
        add(
                vmm.hypervisorProblem().isEmpty()
                        ? Finding.ok("vmm", vmm.hypervisor())
                        : Finding.fail("vmm", vmm.hypervisorProblem(), "give --vmm-url, or --vmm-binary"));
        if (!vmm.firmwareProblem().isEmpty()) {
            add(Finding.warn(
                    "firmware",
                    "only VMs with boot.kernel can start: " + vmm.firmwareProblem(),
                    "apt-get install cloudhv-efi-x86-64 (Debian 13 and newer), or give --firmware"));
        }
    }

    private void kernel() {
        Facts.Kernel kernel = facts.kernel();
        add(
                atLeast(kernel.release(), 5, 10)
                        ? Finding.ok("kernel", "Linux " + kernel.release())
                        : Finding.fail("kernel", "Linux " + kernel.release() + " is too old", "run 5.10 or newer"));
        switch (kernel.bridge()) {
            case Seen.Present<Boolean>(Boolean can) when can -> add(Finding.ok("bridge", "the kernel makes bridges"));
            case Seen.Present<Boolean> _, Seen.Missing<Boolean> _ ->
                add(Finding.fail("bridge", "the kernel makes no bridges", "modprobe bridge"));
            case Seen.Unknown<Boolean>(String cause) ->
                add(Finding.warn(
                        "bridge", "whether the kernel makes bridges is unknown: " + cause, "run this as root"));
        }
        switch (kernel.firewall()) {
            case Seen.Present<String>(String version) ->
                add(Finding.ok("nftables", "the kernel takes our ruleset (libnftables " + version + ")"));
            case Seen.Missing<String> _ ->
                add(Finding.fail("nftables", "libnftables.so.1 is missing", "apt-get install libnftables1"));
            case Seen.Unknown<String>(String cause) -> rulesetRefused(cause);
        }
        tun();
    }

    private void rulesetRefused(String cause) {
        List<RulesetPart> refused = kernelRefused();
        if (facts.identity().user() != 0) {
            add(Finding.fail("nftables", "the kernel does not take our ruleset: " + cause, "run this as root"));
        } else if (refused.isEmpty()) {
            add(Finding.fail(
                    "nftables",
                    "our ruleset is not taken: " + cause,
                    "where that is no lack of CAP_NET_ADMIN, libnftables is too old for it or the kernel is: update"
                            + " libnftables1 (vmlet is tested with 1.0.6) or run a newer kernel"));
        } else {
            add(Finding.fail(
                    "nftables",
                    "the kernel does not take our ruleset, for it lacks "
                            + refused.stream().map(RulesetPart::what).collect(Collectors.joining("; ")),
                    (inContainer() ? "on the host: " : "") + "modprobe -a "
                            + refused.stream()
                                    .map(RulesetPart::module)
                                    .distinct()
                                    .collect(Collectors.joining(" "))
                            + "; where there is no such module, run a kernel built with "
                            + refused.stream()
                                    .map(RulesetPart::option)
                                    .distinct()
                                    .collect(Collectors.joining(", "))
                            + ", as distributions' own are"));
        }
    }

    private List<RulesetPart> kernelRefused() {
        return facts.kernel().refused().stream().sorted().toList();
    }

    private void tun() {
        switch (facts.kernel().tunMode()) {
            case Seen.Present<Integer>(Integer mode)
            when (mode & OTHERS_READ_WRITE) == OTHERS_READ_WRITE ->
                add(Finding.ok("tun", "/dev/net/tun is open to guests' users"));
            case Seen.Present<Integer>(Integer mode) ->
                add(Finding.fail(
                        "tun",
                        "/dev/net/tun has mode " + String.format("%04o", mode)
                                + ": guests' users cannot open their taps",
                        "chmod 0666 /dev/net/tun, as distributions ship it (a tap still admits only its own user)"));
            case Seen.Missing<Integer> _ ->
                add(Finding.fail(
                        "tun",
                        "/dev/net/tun does not exist",
                        inContainer()
                                ? "pass the device into this "
                                        + facts.identity().container() + " container (--device /dev/net/tun)"
                                : "modprobe tun"));
            case Seen.Unknown<Integer>(String cause) -> add(Finding.warn("tun", cause, "look at /dev/net/tun"));
        }
    }

    private static boolean atLeast(String release, int major, int minor) {
        String[] parts = release.split("[^0-9]+", 3);
        try {
            int seen = Integer.parseInt(parts[0]);
            return seen > major || seen == major && parts.length > 1 && Integer.parseInt(parts[1]) >= minor;
        } catch (NumberFormatException e) {
            return false;
        }
    }

    private void landlock() {
        int abi = facts.kernel().landlockAbi();
        String seen = abi == 0 ? "no Landlock" : "Landlock ABI " + abi;
        if (!kvmWorks()) {
            add(Finding.ok("landlock", seen + "; emulated guests are confined by user and seccomp alone"));
        } else if (abi >= LANDLOCK_NEEDED) {
            add(Finding.ok("landlock", seen + ": guest processes are confined"));
        } else {
            String what = seen + ": cloud-hypervisor asks for ABI " + LANDLOCK_NEEDED
                    + ", so guest processes are not confined by it";
            String remedy = abi == 0
                    ? "boot Linux 6.2 or newer with landlock in its lsm= list (/sys/kernel/security/lsm shows it)"
                    : "boot Linux 6.2 or newer";
            add(
                    facts.wishes().requireLandlock()
                            ? Finding.fail("landlock", what, remedy + ", or do without --require-landlock")
                            : Finding.warn("landlock", what, remedy));
        }
    }

    private void cgroups() {
        if (facts.cgroups().isEmpty()) {
            add(Finding.warn(
                    "cgroup",
                    "no cgroup hierarchy can be written: guests are neither limited nor kept apart from the agent",
                    inContainer()
                            ? "mount the host's /sys/fs/cgroup into the container, writable"
                            : "mount -t cgroup2 none /sys/fs/cgroup"));
            return;
        }
        boolean unified = facts.cgroups().stream().anyMatch(Cgroup::unified);
        boolean legacy = facts.cgroups().stream().anyMatch(c -> !c.unified());
        String kind = !legacy ? "v2" : unified ? "v1 and v2 side by side" : "v1";
        List<String> missing = new ArrayList<>();
        List<String> why = new ArrayList<>();
        for (String controller : List.of("memory", "cpu", "pids")) {
            List<Cgroup> having = facts.cgroups().stream()
                    .filter(c -> c.controllers().contains(controller))
                    .toList();
            if (having.stream().noneMatch(c -> c.blocked().isEmpty())) {
                missing.add(controller);
                having.forEach(c -> why.add(c.blocked()));
            }
        }
        if (missing.isEmpty()) {
            add(Finding.ok("cgroup", "cgroup " + kind + ": memory, cpu and pids of guests are limited"));
        } else {
            add(Finding.warn(
                    "cgroup",
                    "cgroup " + kind + ": not limited for guests: " + String.join(", ", missing)
                            + (why.isEmpty() ? "" : " (" + why.getFirst() + ")"),
                    why.isEmpty()
                            ? "switch the controllers on (kernel command line cgroup_enable=memory, no"
                                    + " cgroup_disable=)"
                            : "give the agent the host's own cgroup tree (cgroupns host)"));
        }
    }

    private Optional<String> path(String tool) {
        return facts.tools().stream()
                .filter(t -> t.name().equals(tool))
                .findFirst()
                .flatMap(Tool::path);
    }

    private void tools() {
        List<Tool> missing = facts.tools().stream()
                .filter(t -> t.path().isEmpty())
                // Judged with KVM.
                .filter(t -> !t.name().startsWith("qemu-system"))
                .toList();
        missing.forEach(t -> add(new Finding(
                // Without it guests run, and Docker goes on to drop what they send.
                t.name().equals("iptables") ? Finding.Verdict.WARN : Finding.Verdict.FAIL,
                "tools",
                t.name() + " is missing; it " + t.purpose(),
                "apt-get install " + t.debianPackage())));
        if (missing.isEmpty()) {
            add(Finding.ok(
                    "tools",
                    "tools: "
                            + facts.tools().stream()
                                    .filter(t -> t.path().isPresent())
                                    .map(Tool::name)
                                    .collect(Collectors.joining(", "))));
        }
    }
}
