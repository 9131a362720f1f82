package dev.vmlet.e2e;

import java.util.ArrayList;
import java.util.List;

/**
 * The world behind the node's uplink: a network namespace with one interface, reached by the node's default route. It
 * knows no way back to guests unless {@link #routeToGuests} is called.
 */
public final class Outside implements AutoCloseable {
    static final String ADDRESS = "192.0.2.2";
    static final String NODE = "192.0.2.1";
    static final String UPLINK = "uplink0";

    private final OtherNamespace there = new OtherNamespace("the outside");

    Outside() {
        ip("link", "add", UPLINK, "type", "veth", "peer", "name", "world0", "netns", there.pid());
        ip("addr", "add", NODE + "/24", "dev", UPLINK);
        ip("link", "set", UPLINK, "up");
        ip("route", "add", "default", "via", ADDRESS);
        there.run("ip", "addr", "add", ADDRESS + "/24", "dev", "world0");
        there.run("ip", "link", "set", "world0", "up");
    }

    private static void ip(String... arguments) {
        List<String> command = new ArrayList<>(List.of("ip"));
        command.addAll(List.of(arguments));
        Command.of(command).run().mustSucceed();
    }

    /** Runs a command out there. */
    Command.Ended run(String... command) {
        return there.tryRun(command);
    }

    List<String> enter(String... command) {
        return there.enter(command);
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
        there.close();
    }
}
