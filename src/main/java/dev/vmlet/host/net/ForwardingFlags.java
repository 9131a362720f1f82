package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * The IPv4 forwarding flag of each interface ({@code Documentation/networking/ip-sysctl.rst}, conf/interface/forwarding).
 * The files show the network namespace of the process that opens them.
 */
final class ForwardingFlags {
    private final Path directory;

    /** @param directory {@code /proc/sys/net/ipv4/conf} */
    ForwardingFlags(Path directory) {
        this.directory = directory;
    }

    Seen<Boolean> read(LinkName name) {
        if (isNoLink(name)) {
            return Seen.missing();
        }
        try {
            return Seen.present(!Files.readString(file(name)).strip().equals("0"));
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Seen.unknown("read forwarding flag of " + name + ": " + e);
        }
    }

    /** The global switch; turning it on turned every interface's flag on. */
    Seen<Boolean> readGlobal() {
        Path file = directory.resolve("all").resolve("forwarding");
        try {
            return Seen.present(!Files.readString(file).strip().equals("0"));
        } catch (IOException e) {
            return Seen.unknown("read " + file + ": " + e);
        }
    }

    void write(LinkName name, boolean on) throws HostException {
        String operation = "set forwarding flag of " + name;
        if (isNoLink(name)) {
            throw new HostException.Refused(operation + ": this name means every interface", null);
        }
        try {
            // Never create: /proc would refuse it with a misleading error for a link that is gone.
            Files.writeString(file(name), on ? "1\n" : "0\n", StandardOpenOption.WRITE);
        } catch (NoSuchFileException e) {
            throw new HostException.Refused(operation + ": no such link", e);
        } catch (AccessDeniedException e) {
            throw new HostException.NotPermitted(operation + ": " + file(name) + " is not writable", e);
        } catch (IOException e) {
            if (String.valueOf(e.getMessage()).contains("Read-only file system")) {
                throw new HostException.NotPermitted(operation + ": /proc/sys is mounted read-only", e);
            }
            throw new HostException.Refused(operation + ": " + e.getMessage(), e);
        }
    }

    /** {@code all} and {@code default} are directories beside the interfaces; the first is the global switch. */
    private static boolean isNoLink(LinkName name) {
        return name.value().equals("all") || name.value().equals("default");
    }

    private Path file(LinkName name) {
        return directory.resolve(name.value()).resolve("forwarding");
    }
}
