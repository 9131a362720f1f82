package dev.vmlet.host.vmm.cloudhypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PinsTest {
    @TempDir
    private Path dir;

    @Test
    void pinsOneReleaseForEachArchitecture() throws HostException {
        assertThat(CloudHypervisorFiles.pinned("amd64").sha256()).matches("[0-9a-f]{64}");
        assertThat(CloudHypervisorFiles.pinned("aarch64").sha256())
                .matches("[0-9a-f]{64}")
                .isNotEqualTo(CloudHypervisorFiles.pinned("amd64").sha256());
        assertThatThrownBy(() -> CloudHypervisorFiles.pinned("riscv64")).isInstanceOf(HostException.Unsupported.class);
    }

    @Test
    void takesTheGivenBinaryAsItIsAndAsksItsVersion() throws Exception {
        Path script = CloudHypervisorBinary.standIn(dir, "");
        assertThat(CloudHypervisorFiles.binary(Optional.of(script), dir, Optional.empty()))
                .isEqualTo(script);
        assertThat(new CloudHypervisor(script).version()).isEqualTo("53.0");
        assertThatThrownBy(() -> CloudHypervisorFiles.binary(Optional.of(dir.resolve("no")), dir, Optional.empty()))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("missing or not executable");
    }

    @Test
    void saysWhatToDoWhenThereIsNone() {
        assertThatThrownBy(() -> CloudHypervisorFiles.binary(Optional.empty(), dir, Optional.empty()))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("put it there, or say with --vmm-url");
    }
}
