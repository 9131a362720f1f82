package dev.vmlet.host.files;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Seen;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvacuationWordFileTest {
    @TempDir
    Path directory;

    private HostPaths paths;
    private Path file;

    @BeforeEach
    void name() {
        paths = new HostPaths(directory.toString(), directory.toString());
        file = Path.of(paths.evacuationWordFile());
    }

    @Test
    void theNextAgentKnowsWhatWasAskedForLast() {
        assertThat(new EvacuationWordFile(paths).last()).isEqualTo(Seen.present(false));
        new EvacuationWordFile(paths).keep(true);
        assertThat(new EvacuationWordFile(paths).last()).isEqualTo(Seen.present(true));
        new EvacuationWordFile(paths).keep(false);
        assertThat(new EvacuationWordFile(paths).last()).isEqualTo(Seen.present(false));
    }

    @Test
    void damageToItsTextEndsNoEvacuation() throws Exception {
        new EvacuationWordFile(paths).keep(true);
        Files.writeString(file, "");
        assertThat(new EvacuationWordFile(paths).last()).isEqualTo(Seen.present(true));
    }

    @Test
    void whatCannotBeReadIsUnknownUntilItIsKeptAnew() throws Exception {
        Files.createDirectory(file);
        EvacuationWordFile word = new EvacuationWordFile(paths);
        assertThat(word.last())
                .isEqualTo(Seen.unknown("Whether the VmNode of this node asked for evacuation cannot be read from "
                        + file + ": Is a directory. No guest is started until the API server is reached."));
        word.keep(false);
        assertThat(new EvacuationWordFile(paths).last()).isEqualTo(Seen.present(false));
    }

    @Test
    void whatWasNotWrittenIsWrittenWhenTheSameIsKeptAgain() throws Exception {
        EvacuationWordFile word = new EvacuationWordFile(paths);
        assertThat(word.last()).isEqualTo(Seen.present(false));
        // A file that may not be replaced by one.
        Files.createDirectories(file.resolve("in-the-way"));
        word.keep(true);
        Files.delete(file.resolve("in-the-way"));
        Files.delete(file);
        word.keep(true);
        assertThat(new EvacuationWordFile(paths).last()).isEqualTo(Seen.present(true));
        Files.delete(file);
        word.keep(true);
        assertThat(file).as("what has not changed is not written").doesNotExist();
    }
}
