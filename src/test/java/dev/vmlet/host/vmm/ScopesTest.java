package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.host.vmm.CgroupMounts.Hierarchy;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Names, words and looks, on a tree of plain directories; what systemd makes of them, hack/machine/prove shows. */
class ScopesTest {
    private static final Cgroups.Limits LIMITS = new Cgroups.Limits(1 << 30, 3, 272);

    @TempDir
    Path mount;

    private Scopes scopes;
    private Cgroups cgroups;

    @BeforeEach
    void systemdRuns() {
        scopes = new Scopes(mount, "/usr/bin/systemd-run", "vmlet-inst2345");
        cgroups = new Cgroups(List.of(new Hierarchy(mount, true, Set.of())), "vmlet-inst2345", Optional.of(scopes));
    }

    @Test
    void aGuestIsLaunchedInAScopeThatIsThereAndLimitedBeforeIt() throws Exception {
        Path scope = mount.resolve("vmlet.slice/vmlet-inst2345.slice/vmlet-inst2345-vm-1.scope");
        assertThat(cgroups.create("vm-1", LIMITS))
                .isEqualTo(new Cgroups.Place(
                        List.of(
                                "/usr/bin/systemd-run",
                                "--scope",
                                "--quiet",
                                "--collect",
                                "--unit=vmlet-inst2345-vm-1.scope",
                                "--slice=vmlet-inst2345.slice",
                                "--description=vmlet guest, VM uid vm-1",
                                "--property=Delegate=yes",
                                "--property=MemoryMax=1090519040",
                                "--property=TasksMax=280",
                                "--property=CPUQuota=300%",
                                "--"),
                        Optional.of(scope),
                        List.of(scope.resolve("launcher")),
                        List.of(scope.resolve("guest"))));
        assertThat(mount).as("the tree is systemd's").isEmptyDirectory();
    }

    @Test
    void guestsInScopesAreFoundAndThoseThatAFormerAgentStartedInPlainDirectoriesToo() throws Exception {
        holds(scopes.guest("vm-1"), "41\n");
        holds(mount.resolve("vmlet-inst2345/vm-2"), "42\n");
        holds(mount.resolve("vmlet-inst2345/launchers"), "40\n");
        holds(mount.resolve("vmlet.slice/vmlet-inst2345.slice/other.scope"), "43\n");

        assertThat(cgroups.names()).containsExactly("vm-1", "vm-2");
        assertThat(cgroups.processes("vm-1")).isEqualTo(Seen.present(Set.of(41)));
        assertThat(cgroups.processes("vm-2")).isEqualTo(Seen.present(Set.of(42)));
        assertThat(cgroups.processes("vm-3")).isEqualTo(Seen.missing());
    }

    @Test
    void aScopeThatSystemdHasNotCollectedStandsInTheWayOfTheNextStart() throws Exception {
        Files.createDirectories(scopes.launcher("vm-1"));
        assertThatThrownBy(() -> cgroups.create("vm-1", LIMITS))
                .isInstanceOf(HostException.Busy.class)
                .hasMessageContaining("systemctl status vmlet-inst2345-vm-1.scope");

        Files.delete(scopes.launcher("vm-1"));
        Files.delete(scopes.scope("vm-1"));
        cgroups.remove("vm-1");
    }

    @Test
    void limitsThatTheRootCannotGiveAreSaid() throws Exception {
        Files.writeString(mount.resolve("cgroup.controllers"), "cpu memory\n");
        assertThat(cgroups.notEnforced())
                .containsExactly(
                        "the pids controller is in no cgroup hierarchy: the pids limit of guests is not enforced");
    }

    @Test
    void hybridTreesAreNotSystemdsAlone() {
        assertThat(Scopes.find(List.of(), "vmlet-inst2345", HostEntry.none())).isEmpty();
        assertThat(Scopes.find(
                        List.of(
                                new Hierarchy(mount, true, Set.of()),
                                new Hierarchy(mount.resolve("memory"), false, Set.of("memory"))),
                        "vmlet-inst2345",
                        HostEntry.none()))
                .isEmpty();
    }

    private static void holds(Path cgroup, String pids) throws IOException {
        Files.createDirectories(cgroup);
        Files.writeString(cgroup.resolve("cgroup.procs"), pids);
    }
}
