package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.host.vmm.CgroupMounts.Hierarchy;
import dev.vmlet.host.vmm.qemu.Qemu;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.VmmKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is read from the host before anything is done to it. */
class ProbesTest {
    @TempDir
    private Path dir;

    private Path file(String name, String content) throws IOException {
        return Files.writeString(dir.resolve(name), content);
    }

    @Test
    void kvmNeedsTheDeviceAndTheProcessorsWord() throws IOException {
        Path device = file("kvm", "");
        Path intel = file("intel", "processor\t: 0\nflags\t\t: fpu vmx sse\n");
        Path none = file("none", "processor\t: 0\nflags\t\t: fpu svmx sse\n");
        assertThat(new KvmProbe(device, intel, "amd64").problem()).isEmpty();
        assertThat(new KvmProbe(device, none, "amd64").problem()).contains("neither vmx nor svm");
        assertThat(new KvmProbe(device, none, "aarch64").problem()).isEmpty();
        assertThat(new KvmProbe(dir.resolve("no"), intel, "amd64").problem()).contains("does not exist");
    }

    @Test
    void aClosedTunDeviceIsNamedWithItsRemedy() throws IOException {
        Path tun = file("tun", "");
        Files.setPosixFilePermissions(tun, PosixFilePermissions.fromString("rw-------"));
        LaunchSpec launch = Hosts.launch(VmmKind.QEMU);
        LaunchSpec bootless = new LaunchSpec(
                launch.id(), launch.vmm(), 1, "", launch.userId(), 1, launch.memory(), List.of(), "", launch.nics());
        Preflight preflight = new Preflight(tun, dir.resolve("kvm"));
        assertThatThrownBy(() -> preflight.check(bootless, new Qemu(Path.of("/bin/sh"))))
                .isInstanceOf(HostException.NotPermitted.class)
                .hasMessageContaining("user 60001 may not open " + tun + ", which is mode 0600")
                .hasMessageContaining("chmod 0666 " + tun);
    }

    @Test
    void findsHybridHierarchiesUnifiedFirstEachOnce() {
        assertThat(CgroupMounts.parse("""
                        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
                        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:4 - cgroup cgroup rw,cpu,cpuacct
                        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
                        41 31 0:38 / /sys/fs/cgroup/unified\\040dir rw,relatime - cgroup2 cgroup2 rw,nsdelegate
                        42 31 0:29 / /mnt/again rw,relatime - cgroup cgroup rw,cpu,cpuacct
                        43 31 0:40 / /sys/fs/cgroup/pids ro,relatime - cgroup cgroup rw,pids
                        """))
                .containsExactly(
                        new Hierarchy(Path.of("/sys/fs/cgroup/unified dir"), true, Set.of()),
                        new Hierarchy(Path.of("/sys/fs/cgroup/cpu,cpuacct"), false, Set.of("cpu", "cpuacct")),
                        new Hierarchy(Path.of("/sys/fs/cgroup/systemd"), false, Set.of("name=systemd")));
    }

    @Test
    void logsShowNoEscapeSequences() throws IOException {
        Path log = file("log", "\u001b[2J\u001b[1;31mred\u001b[0m\r\nbell\u0007 \u001b]0;title\u0007end\n\n");
        assertThat(LogFiles.tail(log)).isEqualTo("red\nbell end");
        Path eightBit = file("8bit", "\u009b2Jgone \u009d0;title\u009c \u0085end\n");
        assertThat(LogFiles.tail(eightBit)).isEqualTo("2Jgone 0;title end");
        assertThat(LogFiles.tail(dir.resolve("none"))).isEmpty();
    }

    @Test
    void aLongLogIsCutAndItsEndKept() throws IOException {
        Path log = file("long", "x".repeat((int) LogFiles.LIMIT) + "last words");
        LogFiles.trim(log);
        assertThat(log).isEmptyFile();
        assertThat(LogFiles.tail(LogFiles.former(log))).endsWith("last words");
    }

    @Test
    void theCutOffPartOfALogIsForItsOwnerAloneAsTheLogIs() throws IOException {
        Path log = file("long", "x".repeat((int) LogFiles.LIMIT) + "password: secret");
        Files.writeString(LogFiles.former(log), "of an earlier version, readable by all");
        LogFiles.trim(log);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(LogFiles.former(log))))
                .isEqualTo("rw-------");
    }
}
