package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunFilesTest {
    private static final int GUESTS = 8;

    @TempDir
    Path dir;

    @Test
    void manyGuestsMayBeTheFirst() throws Exception {
        try (ExecutorService threads = Executors.newFixedThreadPool(GUESTS)) {
            for (int node = 0; node < 100; node++) {
                Path vms = dir.resolve("node-" + node).resolve("run").resolve("vms");
                CyclicBarrier together = new CyclicBarrier(GUESTS);
                List<Callable<Path>> all = new ArrayList<>();
                for (int guest = 0; guest < GUESTS; guest++) {
                    Path own = vms.resolve("guest-" + guest);
                    all.add(() -> {
                        together.await(10, TimeUnit.SECONDS);
                        RunFiles.passable(own);
                        return own;
                    });
                }
                for (Future<Path> made : threads.invokeAll(all)) {
                    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(made.get())))
                            .isEqualTo("rwx--x--x");
                }
                assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(vms)))
                        .isEqualTo("rwx--x--x");
            }
        }
    }
}
