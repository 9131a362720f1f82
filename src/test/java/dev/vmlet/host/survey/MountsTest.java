package dev.vmlet.host.survey;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;
import org.junit.jupiter.api.Test;

class MountsTest {
    private static final String MOUNTINFO = """
            22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
            30 22 0:20 / /run rw,nosuid shared:2 - tmpfs tmpfs rw,size=1k
            31 22 8:1 / /var/lib/a\\040b rw,noexec - xfs /dev/sda1 ro
            32 22 8:2 / /var/lib rw - btrfs /dev/sdb rw
            """;

    @Test
    void theLongestMountPointHoldsThePath() throws IOException {
        assertThat(Mounts.of(Path.of("/run/vmlet"), MOUNTINFO))
                .isEqualTo(new Mounts.Mount(Path.of("/run"), "tmpfs", Set.of("rw", "nosuid", "size=1k")));
        assertThat(Mounts.of(Path.of("/runner"), MOUNTINFO).type()).isEqualTo("ext4");
        assertThat(Mounts.of(Path.of("/var/lib/vmlet"), MOUNTINFO).type()).isEqualTo("btrfs");
    }

    @Test
    void blanksAreEscapedAndAReadOnlyFileSystemShows() throws IOException {
        assertThat(Mounts.of(Path.of("/var/lib/a b/c"), MOUNTINFO).options())
                .containsExactlyInAnyOrder("rw", "noexec", "ro");
    }
}
