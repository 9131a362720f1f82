package dev.vmlet.host.files;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InstallationTest {
    @TempDir
    Path folder;

    private HostPaths paths;

    @BeforeEach
    void choosePaths() {
        paths = new HostPaths(
                folder.resolve("state").toString(), folder.resolve("run").toString());
    }

    @Test
    void keepsItsIdForever() throws Exception {
        InstallationId id;
        try (Installation first = Installation.open(paths)) {
            id = first.id();
        }
        try (Installation second = Installation.open(paths)) {
            assertThat(second.id()).isEqualTo(id);
        }
        assertThat(Files.readString(Path.of(paths.installationFile()))).isEqualTo(id + "\n");
    }

    @Test
    void letsOnlyOneAgentInAtATime() throws Exception {
        try (Installation first = Installation.open(paths)) {
            assertThat(first.id()).isNotNull();
            assertThatThrownBy(() -> Installation.open(paths))
                    .isInstanceOf(HostException.Busy.class)
                    .hasMessageContaining(paths.stateDir())
                    .hasMessageContaining("directory of its own");
        }
        Installation.open(paths).close();
    }

    @Test
    void letsNoOtherProcessIn() throws Exception {
        try (Installation first = Installation.open(paths)) {
            assertThat(first.id()).isNotNull();
            assertThat(openInAnotherProcess()).contains("another vmlet uses this state directory");
        }
        assertThat(openInAnotherProcess()).contains("opened");
    }

    private String openInAnotherProcess() throws IOException, InterruptedException {
        Process process = new ProcessBuilder(List.of(
                        System.getProperty("java.home") + "/bin/java",
                        "-cp",
                        System.getProperty("java.class.path"),
                        OtherProcess.class.getName(),
                        paths.stateDir()))
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        return output;
    }

    /** What the second process runs. */
    static final class OtherProcess {
        private OtherProcess() {}

        public static void main(String[] args) {
            try (Installation installation = Installation.open(new HostPaths(args[0], args[0]))) {
                System.out.println("opened " + installation.id());
            } catch (HostException e) {
                System.out.println(e.getMessage());
            }
        }
    }

    @Test
    void letsGuestsPassThroughAStateDirectoryThatWasMadeForIt() throws Exception {
        Path state = Files.createDirectory(
                folder.resolve("state"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        Installation.open(paths).close();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(state)))
                .isEqualTo("rwx--x--x");
    }

    @Test
    void neverReplacesAnIdItCannotRead() throws Exception {
        Files.createDirectories(folder.resolve("state"));
        Files.writeString(Path.of(paths.installationFile()), "");
        assertThatThrownBy(() -> Installation.open(paths))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining(paths.installationFile());
        assertThat(Path.of(paths.installationFile())).isEmptyFile();
    }

    @Test
    void namesPathAndRemedyOfWhatTheFileSystemRefuses() {
        assertThat(DurableFiles.refusal("write /s/x", new IOException("No space left on device")))
                .hasMessage("write /s/x: No space left on device; free some space on that file system");
        assertThat(DurableFiles.refusal("write /s/x", new IOException("Read-only file system")))
                .hasMessageContaining("mount it writable");
        assertThat(DurableFiles.refusal("write /s/x", new java.nio.file.AccessDeniedException("/s/x")))
                .isInstanceOf(HostException.NotPermitted.class)
                .hasMessageContaining("must be root or own the state directory");
        assertThat(DurableFiles.refusal("read /s/x", new NoSuchFileException("/s/x")))
                .hasMessage("read /s/x: no such file or folder");
    }
}
