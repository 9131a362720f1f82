package dev.vmlet.host.vmm.cloudhypervisor;

import dev.vmlet.host.vmm.PinnedFile;
import dev.vmlet.model.HostException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;

/**
 * Where cloud-hypervisor and its firmware come from. The upstream static binary, pinned: its seccomp filters name exact
 * system calls, and a rebuilt one may use others.
 */
public final class CloudHypervisorFiles {
    public static final String VERSION = "53.0";

    private static final String X86_64 = "448af3d4e59b22c2987f7df94c213ad40fb53a10d437e42b5ee6c4fce7c29ecc";
    private static final String AARCH64 = "f192b510eea1c710cbc439d716bb0573c223fc463dbe3e6523788a2b7ef62850";
    private static final Duration DOWNLOAD_PATIENCE = Duration.ofMinutes(5);

    /** Debian's package cloudhv-efi-x86-64. */
    private static final Path DEBIAN_FIRMWARE = Path.of("/usr/share/cloudhv-efi-x86-64/CLOUDHV.fd");

    private CloudHypervisorFiles() {}

    /**
     * The executable: the one given, as it is; else the pinned one, below {@code binDir} or from {@code url}.
     *
     * @param given {@code --vmm-binary}
     * @param url {@code --vmm-url}
     */
    public static Path binary(Optional<Path> given, Path binDir, Optional<URI> url) throws HostException {
        if (given.isPresent()) {
            if (!Files.isExecutable(given.get()) || Files.isDirectory(given.get())) {
                throw new HostException.Refused(
                        "use " + given.get() + " as cloud-hypervisor: it is missing or not executable", null);
            }
            return given.get();
        }
        return pinned(System.getProperty("os.arch", "")).in(binDir, url, DOWNLOAD_PATIENCE);
    }

    static PinnedFile pinned(String architecture) throws HostException {
        String sha256 = switch (architecture.toLowerCase(Locale.ROOT)) {
            case "amd64", "x86_64" -> X86_64;
            case "aarch64" -> AARCH64;
            default ->
                throw new HostException.Unsupported(
                        "find cloud-hypervisor " + VERSION + ": no release for " + architecture, null);
        };
        return new PinnedFile("cloud-hypervisor " + VERSION, "cloud-hypervisor-" + VERSION, sha256, true, "--vmm-url");
    }

    /**
     * The firmware that boots stock images: the one given; else Debian's; else fetched.
     *
     * @param url with {@code sha256}, both or none
     */
    public static Path firmware(Optional<Path> given, Path binDir, Optional<URI> url, Optional<String> sha256)
            throws HostException {
        if (given.isPresent()) {
            if (!Files.isReadable(given.get())) {
                throw new HostException.Refused("use " + given.get() + " as firmware: it cannot be read", null);
            }
            return given.get();
        }
        if (url.isPresent() && sha256.isPresent()) {
            String name = "CLOUDHV-"
                    + sha256.get().substring(0, Math.min(12, sha256.get().length())) + ".fd";
            return new PinnedFile("the firmware", name, sha256.get(), false, "--firmware-url")
                    .in(binDir, url, DOWNLOAD_PATIENCE);
        }
        if (Files.isReadable(DEBIAN_FIRMWARE)) {
            return DEBIAN_FIRMWARE;
        }
        throw new HostException.Refused(
                "find a firmware: " + DEBIAN_FIRMWARE + " does not exist; install cloudhv-efi-x86-64, or name a file or"
                        + " a URL with its sha256",
                null);
    }
}
