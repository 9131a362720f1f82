package dev.vmlet.host.vmm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.host.files.FileWatch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What goes on where the kernel gives no inotify instance. */
class InotifyTest {
    @TempDir
    Path temp;

    @Test
    void aRefusalIsNoObstacle() {
        assertThat(Inotify.open("the periodic looks see it", () -> {
                    throw new IOException("User limit of inotify instances reached or too many open files");
                }))
                .isEmpty();
        try (LimitWatch watch = new LimitWatch(_ -> {}, Optional.empty())) {
            watch.watch("vm-1", List.of(temp));
            watch.forget("vm-1");
        }
    }

    @Test
    void logsOfGuestsAreTrimmedByTheTimerAllTheSame() throws Exception {
        try (GuestLogs logs = new GuestLogs(_ -> {}, Optional.empty())) {
            VmFiles files = Hosts.files(temp);
            logs.follow(files, SerialRecorder.Log.OF_VMM);
            logs.finish(files.vmUid(), Duration.ZERO);
        }
    }

    @Test
    void aFolderThatCannotBeWatchedIsNoObstacle() throws Exception {
        CountDownLatch changed = new CountDownLatch(1);
        try (FileWatch _ = new FileWatch(temp.resolve("missing/evacuation"), changed::countDown);
                FileWatch _ = new FileWatch(temp.resolve("evacuation"), changed::countDown)) {
            Files.createFile(temp.resolve("evacuation"));
            assertThat(changed.await(10, TimeUnit.SECONDS)).isTrue();
        }
    }
}
