package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.awaitility.Awaitility;

/**
 * The world behind the node's uplink: a network namespace with one interface, reached by the node's default route. It
 * knows no way back to guests unless {@link #routeToGuests} is called.
 */
public final class Outside implements AutoCloseable {
    static final String ADDRESS = "192.0.2.2";
    static final String NODE = "192.0.2.1";
    static final String UPLINK = "uplink0";

    private final Process holder;

    Outside() {
        try {
            holder = new ProcessBuilder("unshare", "--net", "sleep", "infinity")
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Awaitility.await("a namespace for the outside")
                .atMost(Duration.ofSeconds(20))
                .pollInterval(Duration.ofMillis(20))
                .until(() -> !namespace("self").equals(namespace(Long.toString(holder.pid()))));
        ip("link", "add", UPLINK, "type", "veth", "peer", "name", "world0", "netns", Long.toString(holder.pid()));
        ip("addr", "add", NODE + "/24", "dev", UPLINK);
        ip("link", "set", UPLINK, "up");
        ip("route", "add", "default", "via", ADDRESS);
        run("ip", "link", "set", "lo", "up").mustSucceed();
        run("ip", "addr", "add", ADDRESS + "/24", "dev", "world0").mustSucceed();
        run("ip", "link", "set", "world0", "up").mustSucceed();
    }

    private static Path namespace(String pid) throws IOException {
        return Files.readSymbolicLink(Path.of("/proc", pid, "ns", "net"));
    }

    private static void ip(String... arguments) {
        List<String> command = new ArrayList<>(List.of("ip"));
        command.addAll(List.of(arguments));
        Command.of(command).run().mustSucceed();
    }

    /** Runs a command out there. */
    Command.Ended run(String... command) {
        return Command.of(enter(command)).run();
    }

    List<String> enter(String... command) {
        List<String> all = new ArrayList<>(List.of("nsenter", "--net=/proc/" + holder.pid() + "/ns/net"));
        all.addAll(List.of(command));
        return all;
    }

    /** Tells the outside that guests are behind the node: from now on only the firewall keeps them apart. */
    void routeToGuests(String prefix) {
        run("ip", "route", "replace", prefix, "via", NODE).mustSucceed();
    }

    void forgetGuests(String prefix) {
        run("ip", "route", "del", prefix);
    }

    @Override
    public void close() {
        holder.destroyForcibly();
    }
}
