package dev.vmlet;

import dev.vmlet.cli.HostOptions;
import dev.vmlet.host.vmm.KvmProbe;
import dev.vmlet.host.vmm.Vmm;
import dev.vmlet.host.vmm.qemu.Qemu;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmmKind;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Which VMM guests of this host run under, and why not another. Emulation is never chosen silently. */
record VmmChoice(
        Map<VmmKind, Vmm> usable,
        Reason reason,
        String problem,
        String kvmProblem,
        Optional<ImageSource.Host> firmware,
        int landlockAbi,
        List<String> confinementGaps) {

    /** @param mayFetch whether a missing binary may be downloaded */
    static VmmChoice of(HostOptions options, HostPaths paths, boolean mayFetch) throws HostException {
        String kvm = new KvmProbe().problem();
        Map<VmmKind, Vmm> usable = new TreeMap<>();
        if (!kvm.isEmpty()) {
            if (options.emulation == HostOptions.Emulation.off) {
                return new VmmChoice(
                        usable,
                        Reason.NoVirtualization,
                        "KVM does not work on this node (" + kvm + ") and emulation is off; mend KVM, or start the agent"
                                + " with --emulation=auto",
                        kvm,
                        Optional.empty(),
                        0,
                        List.of());
            }
            if (!Files.isExecutable(options.qemu)) {
                return new VmmChoice(
                        usable,
                        Reason.VmmUnavailable,
                        "KVM does not work on this node (" + kvm + ") and the emulator " + options.qemu
                                + " is missing; install qemu-system-x86 or give --qemu",
                        kvm,
                        Optional.empty(),
                        0,
                        List.of());
            }
            usable.put(VmmKind.QEMU, new Qemu(options.qemu));
            return new VmmChoice(
                    usable,
                    Reason.AsExpected,
                    "KVM does not work here: " + kvm,
                    kvm,
                    Optional.empty(),
                    0,
                    List.of("guests run in an emulator, which Landlock does not confine"));
        }
        return new VmmChoice(
                usable, Reason.VmmUnavailable, "no cloud-hypervisor", kvm, Optional.empty(), 0, List.of());
    }

    boolean emulated() {
        return usable.containsKey(VmmKind.QEMU);
    }

    String name() {
        return usable.keySet().stream().map(VmmKind::text).findFirst().orElse("");
    }

    String version() {
        return usable.values().stream().map(Vmm::version).findFirst().orElse("");
    }

    String path() {
        return usable.values().stream().map(v -> v.binary().toString()).findFirst().orElse("");
    }

    Map<VmmKind, String> paths() {
        Map<VmmKind, String> paths = new TreeMap<>();
        usable.forEach((kind, vmm) -> paths.put(kind, vmm.binary().toString()));
        return paths;
    }
}
