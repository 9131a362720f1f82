package dev.vmlet.host.vmm;

import dev.vmlet.host.vmm.qemu.Qemu;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmmKind;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/** An agent that starts one guest, says so, and waits to be killed. Arguments: directory, uid, QEMU. */
final class ShortLivedAgent {
    private ShortLivedAgent() {}

    @SuppressWarnings("resource")
    public static void main(String[] args) throws HostException, IOException {
        LinuxVmms vmms = new LinuxVmms(
                new LinuxVmms.Config(
                        Hosts.paths(Path.of(args[0])),
                        new HostNames(new InstallationId("testtest")),
                        LinuxVmms.currentBootId(),
                        _ -> {}),
                Map.of(VmmKind.QEMU, new Qemu(Path.of(args[2]))));
        vmms.spawn(Hosts.bare(VmmKind.QEMU, new VmId("default", "web", args[1]), Hosts.USER));
        System.out.println("spawned");
        int _ = System.in.read();
    }
}
