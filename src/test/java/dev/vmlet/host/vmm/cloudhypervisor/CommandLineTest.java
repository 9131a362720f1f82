package dev.vmlet.host.vmm.cloudhypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.host.vmm.Hosts;
import dev.vmlet.model.DesiredDisk.Role;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmmKind;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class CommandLineTest {
    private static final Path BINARY = Path.of("/state/bin/cloud-hypervisor-53.0");

    private static LaunchSpec firmware() {
        LaunchSpec launch = Hosts.launch(VmmKind.CLOUD_HYPERVISOR);
        List<LaunchSpec.Drive> drives = new ArrayList<>(launch.drives());
        drives.add(Hosts.drive("firmware", Role.FIRMWARE, "/state/bin/CLOUDHV.fd", true));
        return Hosts.with(launch, drives, "");
    }

    private static String text(LaunchSpec launch, boolean confined) throws HostException {
        List<String> args = CommandLine.of(BINARY, confined, launch, Hosts.files(Path.of("/x")));
        // The stand-in's parser is the strictest reader at hand: unknown options and keys are refused.
        assertThat(StandInCloudHypervisor.parse(args.subList(1, args.size()).toArray(String[]::new)))
                .isNotEmpty();
        return String.join("\n", args);
    }

    @Test
    void bootsAFirmwareConfined() throws HostException {
        assertThat(text(firmware(), true)).isEqualTo("""
                        /state/bin/cloud-hypervisor-53.0
                        --api-socket
                        path=/x/run/vms/3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b/vmm/api.sock
                        --event-monitor
                        path=/x/run/vms/3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b/events
                        --no-shutdown
                        --firmware
                        /state/bin/CLOUDHV.fd
                        --cpus
                        boot=2,nested=off
                        --memory
                        size=1073741824
                        --platform
                        system_uuid=3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b
                        --disk
                        path=/state/vms/u/disks/root.raw,image_type=raw,id=disk-root,serial=root
                        path=/state/vms/u/disks/data.raw,image_type=raw,id=disk-data,serial=data
                        path=/state/vms/u/seed.img,image_type=raw,readonly=on,id=disk-seed,serial=seed
                        --net
                        tap=vmt-aaaaaaaaaa,mac=52:00:00:00:00:01,id=net-lab
                        tap=vmt-bbbbbbbbbb,mac=52:00:00:00:00:02,id=net-dmz
                        --rng
                        src=/dev/urandom
                        --serial
                        socket=/x/run/vms/3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b/vmm/serial.sock
                        --console
                        off
                        --pvpanic
                        --seccomp
                        true
                        --landlock
                        --landlock-rules
                        path=/x/run/vms/3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b/vmm,access=rw
                        path=/sys/devices/virtual/net/vmt-aaaaaaaaaa/tun_flags,access=r
                        path=/sys/devices/virtual/net/vmt-bbbbbbbbbb/tun_flags,access=r""");
    }

    @Test
    void tellsWhatTheGuestWasGiven() throws HostException {
        assertThat(CommandLine.size(List.of(text(firmware(), true).split("\n"))))
                .contains(new Testimony.Size(firmware().cores(), firmware().memory()));
        assertThat(CommandLine.size(List.of("cloud-hypervisor", "--cpus", "boot=2", "--memory", "size=1G")))
                .isEmpty();
    }

    @Test
    void bootsAKernelWithItsCommandLine() throws HostException {
        LaunchSpec kernel = Hosts.with(
                Hosts.bare(VmmKind.CLOUD_HYPERVISOR, Hosts.WEB, Hosts.USER),
                List.of(
                        Hosts.drive("kernel", Role.KERNEL, "/k/vmlinuz", true),
                        Hosts.drive("initramfs", Role.INITRAMFS, "/k/initrd", true)),
                "console=ttyS0 quiet");
        assertThat(text(kernel, false))
                .contains("--kernel\n/k/vmlinuz\n--cmdline\nconsole=ttyS0 quiet\n--initramfs\n/k/initrd\n")
                .endsWith("--pvpanic\n--seccomp\ntrue")
                .doesNotContain("--landlock", "--net", "--disk", "--firmware");
    }

    @Test
    void refusesWhatItCannotSay() {
        assertThatThrownBy(() -> text(Hosts.launch(VmmKind.CLOUD_HYPERVISOR), true))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("neither");
        LaunchSpec comma = Hosts.with(
                firmware(),
                List.of(
                        Hosts.drive("firmware", Role.FIRMWARE, "/fw", true),
                        Hosts.drive("root", Role.DISK, "/a,readonly=on/root.raw", false)),
                "");
        assertThatThrownBy(() -> text(comma, true))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("no comma");
    }
}
