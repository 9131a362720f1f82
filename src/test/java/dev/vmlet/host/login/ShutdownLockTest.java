package dev.vmlet.host.login;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.freedesktop.dbus.FileDescriptor;
import org.freedesktop.dbus.connections.impl.DBusConnection;
import org.freedesktop.dbus.connections.impl.DBusConnectionBuilder;
import org.freedesktop.dbus.interfaces.Properties;
import org.freedesktop.dbus.transport.junixsocket.JUnixSocketSocketProvider;
import org.freedesktop.dbus.types.UInt64;
import org.freedesktop.dbus.types.Variant;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A bus of our own with a logind that does what the test says; descriptors and signals go over the real wire. */
@Timeout(value = 120, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ShutdownLockTest {
    private static final Path DAEMON = Path.of("/usr/bin/dbus-daemon");
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    @TempDir
    Path directory;

    private Process daemon;
    private DBusConnection bus;
    private Logind logind;
    private final List<String> heard = Collections.synchronizedList(new ArrayList<>());
    private final AtomicBoolean stopped = new AtomicBoolean();

    @BeforeEach
    void start() throws Exception {
        assumeTrue(Files.isExecutable(DAEMON), "no " + DAEMON + " (Debian: dbus-daemon): logind's lock is not tried");
        Path configuration = directory.resolve("bus.conf");
        Files.writeString(configuration, """
                <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
                 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
                <busconfig><type>session</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
                <policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/></policy>
                </busconfig>
                """.formatted(socket()));
        startBus();
    }

    private void startBus() throws Exception {
        daemon = new ProcessBuilder(
                        DAEMON.toString(),
                        "--config-file=" + directory.resolve("bus.conf"),
                        "--nofork",
                        "--nopidfile",
                        "--nosyslog")
                .redirectErrorStream(true)
                .redirectOutput(directory.resolve("bus.log").toFile())
                .start();
        await().atMost(PATIENCE).until(() -> Files.exists(socket()));
        bus = DBusConnectionBuilder.forAddress("unix:path=" + socket())
                .withShared(false)
                .build();
        logind = new Logind();
        bus.exportObject(Login1.PATH, logind);
        bus.requestBusName(Login1.BUS_NAME);
    }

    private Path socket() {
        return directory.resolve("bus");
    }

    @AfterEach
    void end() throws Exception {
        if (logind != null) {
            for (RandomAccessFile end : logind.ends) {
                end.close();
            }
        }
        if (bus != null) {
            bus.disconnect();
        }
        if (daemon != null) {
            daemon.destroy();
            daemon.waitFor(5, TimeUnit.SECONDS);
        }
    }

    private ShutdownLock lock() {
        return new ShutdownLock("unix:path=" + socket(), new ShutdownLock.Guests() {
            @Override
            public void hostShutsDown(Duration within) {
                heard.add("shuts down within " + within);
            }

            @Override
            public void hostStays() {
                heard.add("stays");
            }

            @Override
            public boolean allStopped() {
                return stopped.get();
            }

            @Override
            public Duration longestGrace() {
                return Duration.ofSeconds(30);
            }
        });
    }

    @Test
    void holdsTheShutdownUpUntilTheLastGuestIsStopped() throws Exception {
        try (ShutdownLock _ = lock()) {
            logind.awaitHeld(1);
            logind.prepare(true);
            await().atMost(PATIENCE).until(() -> heard.contains("shuts down within PT59S"));
            System.gc();
            await().during(Duration.ofMillis(500)).atMost(PATIENCE).until(logind::isHeld);
            stopped.set(true);
            await().atMost(PATIENCE).until(() -> !logind.isHeld());
        }
        assertThat(logind.asked).containsExactly("shutdown vmlet Guests shut down first delay");
    }

    @Test
    void neverGivesGuestsNothing() {
        assertThat(ShutdownLock.within(Duration.ZERO)).as("unknown").isEqualTo(Duration.ofDays(1));
        assertThat(ShutdownLock.within(Duration.ofMillis(200))).isEqualTo(Duration.ofMillis(500));
        assertThat(ShutdownLock.within(Duration.ofSeconds(1))).isEqualTo(Duration.ofMillis(500));
        assertThat(ShutdownLock.within(Duration.ofSeconds(5))).isEqualTo(Duration.ofSeconds(4));
    }

    @Test
    void letsGoWhenLogindWouldWaitNoLonger() throws Exception {
        logind.delay = Duration.ofMillis(1500);
        try (ShutdownLock _ = lock()) {
            logind.awaitHeld(1);
            logind.prepare(true);
            await().atMost(PATIENCE).until(() -> !logind.isHeld());
            assertThat(heard).containsExactly("shuts down within PT0.5S");
        }
    }

    @Test
    void takesTheLockAgainWhenTheShutdownIsCalledOff() throws Exception {
        stopped.set(true);
        try (ShutdownLock _ = lock()) {
            logind.awaitHeld(1);
            logind.prepare(true);
            await().atMost(PATIENCE).until(() -> !logind.isHeld());
            logind.prepare(false);
            logind.awaitHeld(2);
            assertThat(heard).containsExactly("shuts down within PT59S", "stays");
        }
        await().atMost(PATIENCE).until(() -> !logind.isHeld());
    }

    /** As logind does it: a lock is held while anybody has a descriptor open that is sent for it. */
    private final class Logind implements Login1, Properties {
        private final List<String> asked = Collections.synchronizedList(new ArrayList<>());
        private volatile Duration delay = Duration.ofSeconds(60);
        private final List<RandomAccessFile> ends = Collections.synchronizedList(new ArrayList<>());
        private volatile @Nullable Path lock;
        private volatile boolean preparing;

        @Override
        public FileDescriptor inhibit(String what, String who, String why, String mode) {
            try {
                asked.add(what + " " + who + " " + why + " " + mode);
                Path file = Files.createFile(directory.resolve("lock" + asked.size()));
                RandomAccessFile end = new RandomAccessFile(file.toFile(), "rw");
                ends.add(end);
                lock = file;
                return FileDescriptor.fromJavaFileDescriptor(end.getFD(), new JUnixSocketSocketProvider());
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }

        /** By another descriptor than the one that was sent. */
        boolean isHeld() {
            Path file = lock;
            return file != null && descriptorsOf(file) > 1;
        }

        private long descriptorsOf(Path file) {
            try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
                return all.filter(descriptor -> {
                            try {
                                return Files.readSymbolicLink(descriptor).equals(file);
                            } catch (IOException e) {
                                return false;
                            }
                        })
                        .count();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        void awaitHeld(int times) {
            await().atMost(PATIENCE).until(() -> asked.size() == times && isHeld());
        }

        void prepare(boolean start) throws Exception {
            preparing = start;
            bus.sendMessage(new PrepareForShutdown(PATH, start));
        }

        @Override
        @SuppressWarnings({"unchecked", "TypeParameterUnusedInFormals"})
        public <A> A Get(String interfaceName, String name) {
            assertThat(interfaceName).isEqualTo(INTERFACE);
            return (A)
                    switch (name) {
                        case "InhibitDelayMaxUSec" -> new UInt64(delay.toMillis() * 1000);
                        case "PreparingForShutdown" -> preparing;
                        default -> throw new IllegalArgumentException(name);
                    };
        }

        @Override
        public <A> void Set(String interfaceName, String name, A value) {
            throw new UnsupportedOperationException(name);
        }

        @Override
        public Map<String, Variant<?>> GetAll(String interfaceName) {
            throw new UnsupportedOperationException(interfaceName);
        }

        @Override
        public boolean isRemote() {
            return false;
        }

        @Override
        public String getObjectPath() {
            return PATH;
        }
    }
}
