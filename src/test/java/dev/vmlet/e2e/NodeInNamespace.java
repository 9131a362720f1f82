package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * A node of its own on this machine: a network namespace with an uplink to ours, where the API server is, and an agent in
 * it with directories of its own. It shares with other nodes what a namespace of the network does not part: processes,
 * cgroups and users, in which installations keep apart by their names. Its guests are a stand-in's.
 */
final class NodeInNamespace implements AutoCloseable {
    private final String name;
    private final OtherNamespace there;
    private final String address;
    private final String gateway;
    private final AgentProcess agent;

    /**
     * @param number below 60, this node's alone: makes the addresses of its uplink
     * @param standIn see {@link #buildStandIn}
     */
    NodeInNamespace(Cluster cluster, String name, int number, Path standIn, String... options) {
        this.name = name;
        there = new OtherNamespace("node " + name);
        String uplink = "node" + number;
        gateway = "198.51.100." + (4 * number + 1);
        address = "198.51.100." + (4 * number + 2);
        here("ip", "link", "add", uplink, "type", "veth", "peer", "name", "eth0", "netns", there.pid());
        here("ip", "addr", "add", gateway + "/30", "dev", uplink);
        here("ip", "link", "set", uplink, "up");
        run("ip", "addr", "add", address + "/30", "dev", "eth0");
        run("ip", "link", "set", "eth0", "up");
        run("ip", "route", "add", "default", "via", gateway);
        List<String> all = new ArrayList<>(List.of("--qemu", standIn.toString()));
        all.addAll(List.of(options));
        agent = cluster.newAgent(name, all.toArray(String[]::new));
        agent.in(there.enter());
        reachesTheServerByItsUplink(cluster.dir().resolve("agent-" + name + ".kubeconfig"));
    }

    /** The address of the machine that its API server's certificate knows besides loopback. */
    static void reachesTheServerByItsUplink(Path kubeconfig) {
        try {
            String text = Files.readString(kubeconfig);
            Files.writeString(kubeconfig, text.replace("https://127.0.0.1:", "https://" + Outside.NODE + ":"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What QEMU is to the agent, without a guest: bench/standin. */
    static Path buildStandIn(Cluster cluster) {
        Path built = cluster.dir().resolve("standin");
        Command.of("go", "-C", "bench/standin", "build", "-trimpath", "-o", built.toString(), ".")
                .with("CGO_ENABLED", "0")
                .within(Duration.ofMinutes(3))
                .run()
                .mustSucceed();
        return built;
    }

    private static void here(String... command) {
        Command.of(command).run().mustSucceed();
    }

    AgentProcess agent() {
        return agent;
    }

    String name() {
        return name;
    }

    /** Of its uplink. */
    String address() {
        return address;
    }

    /** The address of this JVM's namespace on that link. */
    String gateway() {
        return gateway;
    }

    /** As a network plugin makes it: a namespace whose address is behind a link of the node. It ends with its own close. */
    OtherNamespace pod(String podAddress, String podGateway) {
        OtherNamespace pod = new OtherNamespace("a pod of node " + name);
        run("ip", "link", "add", "pod0", "type", "veth", "peer", "name", "eth0", "netns", pod.pid());
        run("ip", "addr", "add", podGateway + "/24", "dev", "pod0");
        run("ip", "link", "set", "pod0", "up");
        pod.run("ip", "addr", "add", podAddress + "/24", "dev", "eth0");
        pod.run("ip", "link", "set", "eth0", "up");
        pod.run("ip", "route", "add", "default", "via", podGateway);
        return pod;
    }

    List<String> enter(String... command) {
        return there.enter(command);
    }

    /** Starts a command on this node that goes on until somebody ends it. */
    Process start(Path log, String... command) {
        return there.start(log, command);
    }

    /** Runs a command on this node, which must succeed; returns what it printed. */
    String run(String... command) {
        return there.run(command);
    }

    Command.Ended tryRun(String... command) {
        return there.tryRun(command);
    }

    /** Names of links that are vmlet's by their names. */
    Set<String> links() {
        Set<String> names = new TreeSet<>();
        for (String line : run("ip", "-o", "link", "show").split("\n")) {
            String name = line.split(": ")[1].split("@")[0];
            if (name.startsWith("vmb-") || name.startsWith("vmt-")) {
                names.add(name);
            }
        }
        return names;
    }

    /** The namespace goes, and with it what vmlet made there. */
    @Override
    public void close() {
        agent.close();
        there.close();
    }
}
