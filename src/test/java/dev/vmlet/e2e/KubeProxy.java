package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Kubernetes' own kube-proxy on a node in a namespace, with the rights that it has in every cluster. What it wrote stays
 * when it ends; when it starts in another mode it takes away what that one left.
 */
final class KubeProxy implements AutoCloseable {
    /** Of all pods of a cluster. */
    static final String PODS = "10.244.0.0/16";

    enum Mode {
        IPTABLES,
        NFTABLES,
        IPVS;

        String flag() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private final NodeInNamespace node;
    private final Path program;
    private final Path kubeconfig;
    private final Path log;
    private @Nullable Process process;

    KubeProxy(Cluster cluster, NodeInNamespace node) {
        this.node = node;
        String name = node.name();
        program = cluster.program("kube-proxy");
        if (!Files.isExecutable(program)) {
            throw new AssertionError(
                    "no " + program + ": unset KUBEBUILDER_ASSETS, then eval \"$(hack/envtest/install)\"");
        }
        kubeconfig = cluster.identities().kubeProxy(name);
        NodeInNamespace.reachesTheServerByItsUplink(kubeconfig);
        log = Logs.fresh("kube-proxy-" + name);
    }

    /**
     * Waits for nothing: it may end before it has written a rule. What a namespace has no right to, the size of the
     * machine's table of connections, it leaves as it is.
     */
    void launch(Mode mode) {
        process = node.start(
                log,
                program.toString(),
                "--kubeconfig=" + kubeconfig,
                "--hostname-override=" + node.name(),
                "--proxy-mode=" + mode.flag(),
                "--cluster-cidr=" + PODS,
                "--healthz-bind-address=127.0.0.1:10256",
                "--metrics-bind-address=127.0.0.1:10249",
                "--conntrack-max-per-core=0",
                "--conntrack-min=0");
    }

    /** Starts it and waits until its rules name this. */
    void start(Mode mode, String word) {
        launch(mode);
        Cluster.await(
                "rules of kube-proxy for " + word + " in " + mode.flag() + " mode on " + node.name(),
                Cluster.SOON,
                () -> rules(mode).contains(word) || !isAlive());
        if (!isAlive()) {
            throw new AssertionError("kube-proxy ended: " + lastWords());
        }
    }

    boolean isAlive() {
        return process != null && process.isAlive();
    }

    /** SIGKILL, as the kernel's OOM killer would; returns when it is dead. */
    void kill() {
        Process it = requireNonNull(process);
        it.destroyForcibly();
        try {
            if (!it.waitFor(10, TimeUnit.SECONDS)) {
                throw new AssertionError("kube-proxy does not die");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /**
     * All that it wrote, without what packets count up. In nftables mode with the number of every rule, which is another
     * one after a rule was written again.
     */
    String rules(Mode mode) {
        return switch (mode) {
            case NFTABLES ->
                node.tryRun("nft", "-a", "-s", "list", "table", "ip", "kube-proxy")
                        .output();
            case IPTABLES, IPVS ->
                node.run("iptables-save")
                        .lines()
                        .filter(line -> !line.startsWith("#"))
                        .map(line -> line.replaceFirst(" \\[\\d+:\\d+]$", ""))
                        .reduce("", (all, line) -> all + line + "\n");
        };
    }

    /** The end of its log. */
    String lastWords() {
        try {
            List<String> all = Files.readAllLines(log);
            return String.join("\n", all.subList(Math.max(0, all.size() - 5), all.size()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Waits for an end that comes by itself, or for what is looked for; returns whether it runs then. */
    boolean runsUntil(Callable<Boolean> isSo) {
        Cluster.await("kube-proxy has done it, or ended", Duration.ofSeconds(60), () -> !isAlive() || isSo.call());
        return isAlive();
    }

    @Override
    public void close() {
        if (isAlive()) {
            kill();
        }
    }
}
