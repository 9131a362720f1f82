package dev.vmlet.host.vmm;

import dev.vmlet.doctor.Facts;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/**
 * Whether KVM works here: /dev/kvm opens read-write and, on x86, the CPU shows vmx or svm. The second because a software
 * KVM without them opens as well and runs stock kernels at a thousandth of the speed.
 */
public final class KvmProbe {
    private static final List<String> X86 = List.of("amd64", "x86_64");

    private final Path device;
    private final Path cpuinfo;
    private final String architecture;

    public KvmProbe() {
        this(Path.of("/dev/kvm"), Path.of("/proc/cpuinfo"), System.getProperty("os.arch", ""));
    }

    KvmProbe(Path device, Path cpuinfo, String architecture) {
        this.device = device;
        this.cpuinfo = cpuinfo;
        this.architecture = architecture.toLowerCase(Locale.ROOT);
    }

    /** What there is to see, for a judgement of its own. */
    public Facts.Kvm facts() {
        String openError = "";
        if (Files.exists(device)) {
            try (FileChannel channel = FileChannel.open(device, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                openError = channel.isOpen() ? "" : "it does not stay open";
            } catch (AccessDeniedException e) {
                openError = "permission denied";
            } catch (IOException e) {
                openError = String.valueOf(e.getMessage()).replaceFirst("^" + Pattern.quote(device + ": "), "");
            }
        }
        Set<String> flags = new TreeSet<>();
        try {
            for (String line : Files.readAllLines(cpuinfo)) {
                if (line.startsWith("flags")) {
                    flags.addAll(List.of(
                            line.substring(line.indexOf(':') + 1).strip().split(" ")));
                }
            }
        } catch (IOException e) {
            // Without flags, KVM counts as not working.
        }
        flags.retainAll(Set.of("vmx", "svm", "hypervisor"));
        return new Facts.Kvm(Files.exists(device), openError, X86.contains(architecture), flags);
    }

    /** Why KVM does not work, as a sentence that says what to look at; empty when it works. */
    public String problem() {
        if (!Files.exists(device)) {
            return device + " does not exist: load kvm_intel or kvm_amd, or switch virtualization on in the firmware";
        }
        try (FileChannel channel = FileChannel.open(device, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            if (!channel.isOpen()) {
                return device + " does not stay open";
            }
        } catch (IOException e) {
            return device + " cannot be opened for reading and writing: " + e.getMessage();
        }
        if (!X86.contains(architecture)) {
            return "";
        }
        try {
            for (String line : Files.readAllLines(cpuinfo)) {
                if (line.startsWith("flags")) {
                    List<String> flags = List.of(
                            line.substring(line.indexOf(':') + 1).strip().split(" "));
                    return flags.contains("vmx") || flags.contains("svm")
                            ? ""
                            : device + " opens, but the CPU shows neither vmx nor svm: guests would run in software,"
                                    + " a thousand times slower";
                }
            }
            return cpuinfo + " has no line of flags";
        } catch (IOException e) {
            return cpuinfo + " cannot be read: " + e.getMessage();
        }
    }
}
