package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Calico's agent on a node in a namespace. What it wrote stays when it ends; when it starts in another mode it takes away
 * what that one left.
 */
final class Felix implements AutoCloseable {
    enum Mode {
        IPTABLES("Disabled"),
        NFTABLES("Enabled");

        private final String nftables;

        Mode(String nftables) {
            this.nftables = nftables;
        }
    }

    private final NodeInNamespace node;
    private final Path program;
    private final Path kubeconfig;
    private final Path statusDirectory;
    private final Path log;
    private @Nullable Process process;

    Felix(Cluster cluster, Calico calico, NodeInNamespace node) {
        this.node = node;
        program = calico.felix();
        kubeconfig = cluster.identities().felix(node.name());
        NodeInNamespace.reachesTheServerByItsUplink(kubeconfig);
        try {
            statusDirectory = Files.createDirectories(cluster.dir().resolve("felix-" + node.name()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        log = Logs.fresh("felix-" + node.name());
    }

    /**
     * Starts it and waits until its rules know of this link. What it does with connections of pods to their own node is
     * its own default, Drop; Calico's manifest says Accept.
     */
    void start(Mode mode, String link) {
        process = node.start(
                log,
                "env",
                "DATASTORE_TYPE=kubernetes",
                "KUBECONFIG=" + kubeconfig,
                "FELIX_DATASTORETYPE=kubernetes",
                "FELIX_FELIXHOSTNAME=" + node.name(),
                "FELIX_NFTABLESMODE=" + mode.nftables,
                "FELIX_IPTABLESBACKEND=NFT",
                "FELIX_DEFAULTENDPOINTTOHOSTACTION=Drop",
                // It looks for what others did to its rules.
                "FELIX_IPTABLESREFRESHINTERVAL=2",
                "FELIX_NFTABLESREFRESHINTERVAL=2",
                "FELIX_IPV6SUPPORT=false",
                "FELIX_USAGEREPORTINGENABLED=false",
                "FELIX_ENDPOINTSTATUSPATHPREFIX=" + statusDirectory,
                "FELIX_LOGFILEPATH=none",
                "FELIX_LOGSEVERITYSYS=none",
                // One that was built without cgo cannot look whether its BPF mode left something.
                "FELIX_DebugSkipCTLBCleanup=true",
                program.toString());
        Cluster.await(
                "rules of Felix for " + link + " in mode " + mode + " on " + node.name(),
                Cluster.SOON,
                () -> rules().contains(link) && isOf(mode) || !isAlive());
        if (!isAlive()) {
            throw new AssertionError("Felix ended, see " + log);
        }
    }

    private boolean isOf(Mode mode) {
        return rules().contains("table ip calico {") == (mode == Mode.NFTABLES);
    }

    boolean isAlive() {
        return process != null && process.isAlive();
    }

    /** All rules on the node that are not vmlet's, with the number of each and without what packets count up. */
    String rules() {
        return Stream.of(node.run("nft", "-a", "-s", "list", "ruleset").split("(?m)^(?=table )"))
                .filter(table -> !table.matches("(?s)table \\S+ vmlet_.*"))
                .flatMap(String::lines)
                .filter(line -> !line.startsWith("#"))
                .collect(Collectors.joining("\n"));
    }

    /** All of its own, as if somebody had flushed them. */
    void loseRules(Mode mode) {
        List<String> deletions = new ArrayList<>();
        rules().lines()
                .filter(line -> line.startsWith("table ") && (mode == Mode.IPTABLES || line.contains("calico")))
                .forEach(line -> deletions.add("delete " + line.replaceFirst(" \\{.*", "")));
        node.run("nft", String.join("; ", deletions));
    }

    /** SIGKILL, as the kernel's OOM killer would; returns when it is dead. */
    @Override
    public void close() {
        Process it = process;
        if (it == null || !it.isAlive()) {
            return;
        }
        it.destroyForcibly();
        try {
            if (!it.waitFor(10, TimeUnit.SECONDS)) {
                throw new AssertionError("Felix does not die");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
