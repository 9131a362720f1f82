package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import jnr.ffi.LibraryLoader;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A monitor that stops hearing the kernel says so, hears again, and has everything looked at. */
class NetlinkMonitorIT {
    /** Public because jnr-ffi binds public interfaces only. */
    public interface Files {
        int open(String path, int flags);

        int dup2(int from, int to);

        int close(int fd);
    }

    private final BlockingQueue<String> told = new LinkedBlockingQueue<>();
    private final AtomicBoolean clumsy = new AtomicBoolean();

    private final LinkMonitor.Listener listener = new LinkMonitor.Listener() {
        @Override
        public void changed(LinkName link) {
            if (clumsy.getAndSet(false)) {
                throw new IllegalStateException("a defect of ours, on purpose");
            }
            told.add("changed " + link);
        }

        @Override
        public void forwardingWritten(LinkName link) {}

        @Override
        public void heardBehind(LinkName port) {
            told.add("heard behind " + port);
        }

        @Override
        public void neighbourForgotten(Ipv4Address address) {
            told.add("forgotten " + address);
        }

        @Override
        public void everything() {
            told.add("everything");
        }

        @Override
        public void deaf(String monitor, String why) {
            told.add("deaf " + why);
        }

        @Override
        public void hears(String monitor) {
            told.add("hears " + monitor);
        }
    };

    @BeforeEach
    void inside() {
        OwnNamespace.require();
    }

    /** Returns what was told before. */
    private List<String> awaitTold(String start) throws InterruptedException {
        List<String> before = new ArrayList<>();
        while (true) {
            String next = told.poll(20, TimeUnit.SECONDS);
            assertThat(next).as("what starts with: " + start).isNotNull();
            if (next.startsWith(start)) {
                return before;
            }
            before.add(next);
        }
    }

    @Test
    void aSocketThatFailsIsReplacedAndEverythingIsLookedAt() throws Exception {
        Files files = LibraryLoader.create(Files.class).load("c");
        try (LinkMonitor monitor = new LinkMonitor(listener)) {
            OwnNamespace.run("ip", "link", "add", "first", "type", "bridge");
            awaitTold("changed first");
            // The descriptor becomes something that is no socket: the next receive fails for good.
            int broken = files.open(Path.of("/dev/zero").toString(), 0);
            assertThat(files.dup2(broken, monitor.monitor().socket())).isPositive();
            files.close(broken);
            OwnNamespace.run("ip", "link", "set", "first", "mtu", "1400");
            awaitTold("deaf link-monitor does not hear the kernel (");
            awaitTold("hears link-monitor");
            awaitTold("everything");
            OwnNamespace.run("ip", "link", "set", "first", "mtu", "1300");
            awaitTold("changed first");
        } finally {
            OwnNamespace.run("ip", "link", "delete", "first");
        }
    }

    @Test
    void hearsWhoHasJustSentAFrameAndWhomTheNodeForgot() throws Exception {
        try (LinkMonitor monitor = new LinkMonitor(listener)) {
            assertThat(monitor).isNotNull();
            OwnNamespace.run("ip", "link", "add", "bridge", "type", "bridge");
            OwnNamespace.run("ip", "link", "add", "port", "type", "veth", "peer", "name", "guest");
            OwnNamespace.run("ip", "link", "set", "port", "master", "bridge", "up");
            OwnNamespace.run("ip", "link", "set", "bridge", "up");
            // Its own frames, of IPv6, are the first.
            OwnNamespace.run("ip", "link", "set", "guest", "up");
            awaitTold("heard behind port");
            OwnNamespace.run("ip", "neigh", "add", "192.0.2.7", "lladdr", "52:00:00:00:00:07", "dev", "bridge");
            OwnNamespace.run("ip", "neigh", "del", "192.0.2.7", "dev", "bridge");
            awaitTold("forgotten 192.0.2.7");
            // What somebody else says for good is no sign of life.
            told.clear();
            OwnNamespace.run("bridge", "fdb", "add", "52:00:00:00:00:08", "dev", "port", "master", "static");
            OwnNamespace.run("ip", "neigh", "add", "192.0.2.8", "lladdr", "52:00:00:00:00:08", "dev", "bridge");
            OwnNamespace.run("ip", "neigh", "del", "192.0.2.8", "dev", "bridge");
            assertThat(awaitTold("forgotten 192.0.2.8")).noneMatch(word -> word.startsWith("heard behind"));
        } finally {
            OwnNamespace.run("ip", "link", "delete", "port");
            OwnNamespace.run("ip", "link", "delete", "bridge");
        }
    }

    @Test
    void aDefectMetByOneMessageDoesNotMakeDeafToTheNext() throws Exception {
        try (LinkMonitor monitor = new LinkMonitor(listener)) {
            assertThat(monitor).isNotNull();
            clumsy.set(true);
            OwnNamespace.run("ip", "link", "add", "second", "type", "bridge");
            awaitTold("everything");
            OwnNamespace.run("ip", "link", "set", "second", "mtu", "1400");
            awaitTold("changed second");
        } finally {
            OwnNamespace.run("ip", "link", "delete", "second");
        }
    }
}
