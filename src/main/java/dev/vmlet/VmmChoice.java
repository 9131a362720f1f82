package dev.vmlet;

import dev.vmlet.cli.HostOptions;
import dev.vmlet.host.vmm.HostEntry;
import dev.vmlet.host.vmm.KvmProbe;
import dev.vmlet.host.vmm.Landlock;
import dev.vmlet.host.vmm.Vmm;
import dev.vmlet.host.vmm.cloudhypervisor.CloudHypervisor;
import dev.vmlet.host.vmm.cloudhypervisor.CloudHypervisorFiles;
import dev.vmlet.host.vmm.qemu.Qemu;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmmKind;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Which VMM guests of this host run under, and why not another. Emulation is never chosen silently. */
record VmmChoice(
        Map<VmmKind, Vmm> usable,
        Reason reason,
        String problem,
        String kvmProblem,
        Optional<ImageSource.Host> firmware,
        int landlockAbi,
        List<String> confinementGaps) {
    private static final Logger log = LoggerFactory.getLogger(VmmChoice.class);

    /** @param mayFetch whether a missing binary may be downloaded */
    static VmmChoice of(HostOptions options, HostPaths paths, HostEntry entry, boolean mayFetch) {
        String kvm = new KvmProbe().problem();
        Map<VmmKind, Vmm> usable = new TreeMap<>();
        if (!kvm.isEmpty() || options.emulation == HostOptions.Emulation.on) {
            String why = kvm.isEmpty() ? "--emulation=on asks for it" : "KVM does not work on this node (" + kvm + ")";
            if (options.emulation == HostOptions.Emulation.off) {
                return new VmmChoice(
                        usable,
                        Reason.NoVirtualization,
                        why + " and emulation is off; mend KVM, or start the agent with --emulation=auto",
                        kvm,
                        Optional.empty(),
                        0,
                        List.of());
            }
            if (!Files.isExecutable(entry.seen(options.qemu))) {
                return new VmmChoice(
                        usable,
                        Reason.VmmUnavailable,
                        why + " and the emulator " + options.qemu
                                + " is missing; install qemu-system-x86 or give --qemu",
                        kvm,
                        Optional.empty(),
                        0,
                        List.of());
            }
            usable.put(VmmKind.QEMU, new Qemu(options.qemu, entry));
            return new VmmChoice(
                    usable,
                    Reason.AsExpected,
                    kvm.isEmpty() ? why : "KVM does not work here: " + kvm,
                    kvm,
                    Optional.empty(),
                    0,
                    List.of("guests run in an emulator, which Landlock does not confine"));
        }
        return cloudHypervisor(options, paths, entry, mayFetch, usable);
    }

    private static VmmChoice cloudHypervisor(
            HostOptions options, HostPaths paths, HostEntry entry, boolean mayFetch, Map<VmmKind, Vmm> usable) {
        Path stateDir = Path.of(paths.stateDir());
        Path binDir = Path.of(paths.binDir());
        int landlock = Landlock.abi();
        Optional<ImageSource.Host> firmware = Optional.empty();
        String problem = "";
        List<String> gaps = List.of();
        try {
            Path binary = CloudHypervisorFiles.binary(
                    Optional.ofNullable(options.vmmBinary),
                    binDir,
                    mayFetch ? uri("--vmm-url", options.vmmUrl) : Optional.empty());
            CloudHypervisor vmm = new CloudHypervisor(entry.carry(binary, stateDir, binDir), entry);
            if (!vmm.confined()) {
                gaps = List.of(
                        "this kernel lacks the Landlock that cloud-hypervisor asks for (Linux 6.2 with Landlock on)");
            }
            if (vmm.confined() || !options.requireLandlock) {
                usable.put(VmmKind.CLOUD_HYPERVISOR, vmm);
            } else {
                problem = "--require-landlock is given and " + gaps.get(0);
            }
        } catch (HostException e) {
            problem = "no usable cloud-hypervisor: " + e.getMessage();
        }
        try {
            Path found = CloudHypervisorFiles.firmware(
                    Optional.ofNullable(options.firmware),
                    binDir,
                    mayFetch ? uri("--firmware-url", options.firmwareUrl) : Optional.empty(),
                    Optional.ofNullable(options.firmwareSha256));
            Path file = entry.carry(found, stateDir, binDir);
            firmware = Optional.of(new ImageSource.Host(file.toAbsolutePath().toString(), ImageFormat.RAW, ""));
        } catch (HostException e) {
            // VMs with a kernel of their own run without; the others say what is missing.
            log.atWarn().setCause(e).log("no firmware: only VMs with boot.kernel can start");
        }
        return new VmmChoice(
                usable,
                usable.isEmpty() ? Reason.VmmUnavailable : Reason.AsExpected,
                problem,
                "",
                firmware,
                landlock,
                gaps);
    }

    private static Optional<URI> uri(String option, @Nullable String text) throws HostException {
        if (text == null) {
            return Optional.empty();
        }
        try {
            return Optional.of(new URI(text));
        } catch (URISyntaxException e) {
            throw new HostException.Refused(option + " " + text + " is no URL", e);
        }
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
        return usable.values().stream()
                .map(v -> v.binary().toString())
                .findFirst()
                .orElse("");
    }

    Map<VmmKind, String> paths() {
        Map<VmmKind, String> paths = new TreeMap<>();
        usable.forEach((kind, vmm) -> paths.put(kind, vmm.binary().toString()));
        return paths;
    }
}
