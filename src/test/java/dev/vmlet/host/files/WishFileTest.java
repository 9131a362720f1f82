package dev.vmlet.host.files;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.HostPaths;
import dev.vmlet.model.PowerWish;
import dev.vmlet.model.RunStrategy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WishFileTest {
    private static final PowerWish ALWAYS =
            new PowerWish(RunStrategy.ALWAYS, "2026-01-01T12:00:00Z", Duration.ofSeconds(30));
    private static final PowerWish HALTED = new PowerWish(RunStrategy.HALTED, "", Duration.ofSeconds(5));

    @TempDir
    Path directory;

    private HostPaths paths;

    @BeforeEach
    void name() {
        paths = new HostPaths(directory.toString(), directory.toString());
    }

    @Test
    void theNextAgentKnowsWhatWasAskedForLast() throws Exception {
        WishFile wishes = new WishFile(paths);
        wishes.keep("1", ALWAYS);
        wishes.keep("2", ALWAYS);
        wishes.keep("3", ALWAYS);
        wishes.keep("2", HALTED);
        wishes.forget("3");
        WishFile next = new WishFile(paths);
        assertThat(next.of("1")).contains(ALWAYS);
        assertThat(next.of("2")).contains(HALTED);
        assertThat(next.of("3")).isEmpty();
        assertThat(Files.getPosixFilePermissions(Path.of(paths.wishesFile())))
                .isEqualTo(PosixFilePermissions.fromString("rw-------"));
    }

    @Test
    void whatHasNotChangedIsNotWritten() throws Exception {
        WishFile wishes = new WishFile(paths);
        wishes.keep("1", ALWAYS);
        Files.delete(Path.of(paths.wishesFile()));
        wishes.keep("1", ALWAYS);
        wishes.forget("2");
        assertThat(Path.of(paths.wishesFile())).doesNotExist();
    }

    @Test
    void aDamagedFileIsAsGoodAsNone() throws Exception {
        WishFile wishes = new WishFile(paths);
        wishes.keep("1", ALWAYS);
        Path file = Path.of(paths.wishesFile());
        Files.writeString(file, Files.readString(file).replace("ALWAYS", "HALTED"));
        assertThat(new WishFile(paths).of("1")).as("its digest does not fit").isEmpty();
        Files.writeString(file, "");
        WishFile next = new WishFile(paths);
        assertThat(next.of("1")).isEmpty();
        next.keep("1", HALTED);
        assertThat(new WishFile(paths).of("1")).contains(HALTED);
    }
}
