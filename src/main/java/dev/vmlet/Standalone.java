package dev.vmlet;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.Admission;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Crds;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.store.StoreException;
import dev.vmlet.cli.ApiOptions;
import dev.vmlet.cli.HostOptions;
import dev.vmlet.controller.Agent;
import dev.vmlet.controller.AgentSettings;
import dev.vmlet.controller.ClusterController;
import dev.vmlet.controller.EventRecorder;
import dev.vmlet.controller.NodeObject;
import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.host.net.PortHolder;
import dev.vmlet.manifests.ManifestDirectory;
import dev.vmlet.manifests.ServerSideApply;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Reason;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A node, its API server and the cluster's decisions in one process, running. Closed in the opposite order of its start:
 * nobody is left who asks an API server that has gone. Guests go on.
 */
public final class Standalone implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Standalone.class);
    private static final int USUAL_PORT = 6443;
    private static final Pattern SERVER = Pattern.compile("(?m)^ *server: https://[^\\n]*:(\\d+)$");

    /**
     * @param listen where the API server listens; empty: the port of the last start, else 6443, else a free one
     * @param manifests a directory of manifests to load
     */
    public record Settings(
            HostOptions host,
            AgentSettings agent,
            Ipv4Prefix pool,
            List<Ipv4Prefix> clusterRanges,
            Optional<InetSocketAddress> listen,
            Optional<Path> manifests) {}

    private final Deque<AutoCloseable> open = new ArrayDeque<>();
    private final Clock clock = Clock.systemUTC();
    private final RealHost host;
    private final ApiServer server;
    private final Path kubeconfig;

    private Standalone(Settings settings) throws HostException {
        try {
            this.host = keep(RealHost.open(settings.host));
            this.kubeconfig = Path.of(host.paths().stateDir()).resolve("kubeconfig");
            this.server = keep(serve(settings.listen));
            writeKubeconfig();
            KubernetesClient client = keep(ApiOptions.client(toItself()));
            new NodeObject(client, host.nodeName(), Main.version(), clock).put();
            keep(new ClusterController(client, settings.pool, settings.clusterRanges, clock))
                    .start();
            keep(new Agent(host.parts(client, settings.agent, AgentMetrics.unheard(), clock)))
                    .start();
            if (settings.manifests.isPresent()) {
                load(settings.manifests.get().toAbsolutePath().normalize(), client);
            }
        } catch (HostException | RuntimeException e) {
            close();
            throw e;
        }
    }

    /** @throws HostException when the state directory, a door of the host or the port cannot be had */
    public static Standalone start(Settings settings) throws HostException {
        return new Standalone(settings);
    }

    private <T extends AutoCloseable> T keep(T part) {
        open.push(part);
        return part;
    }

    private ApiServer serve(Optional<InetSocketAddress> listen) throws HostException {
        List<InetSocketAddress> candidates = new ArrayList<>(listen.stream().toList());
        if (candidates.isEmpty()) {
            lastPort().ifPresent(port -> candidates.add(loopback(port)));
            candidates.add(loopback(USUAL_PORT));
            candidates.add(loopback(0));
        }
        Path directory = Path.of(host.paths().stateDir()).resolve("apiserver");
        for (InetSocketAddress candidate : candidates) {
            try {
                return ApiServer.start(new dev.vmlet.apiserver.Settings(
                        directory, candidate, Crds.ofVmlet(), new NodeChoice(host.nodeName()), clock));
            } catch (StoreException e) {
                throw new HostException.Refused("open the API server's objects: " + e.getMessage(), e);
            } catch (IOException e) {
                if (!(e.getCause() instanceof BindException)) {
                    throw DurableFiles.refusal("start the API server in " + directory, e);
                }
                if (candidate.equals(candidates.getLast())) {
                    throw taken(candidate, e);
                }
                log.atInfo().addKeyValue("address", candidate).log("port taken; another one serves the API");
            }
        }
        throw new IllegalStateException("no candidate");
    }

    /** What the kubeconfig says. To have it read would load all of the client's kinds. */
    private Config toItself() {
        return new ConfigBuilder(Config.empty())
                .withMasterUrl(server.uri().toString())
                .withCaCertData(Base64.getEncoder()
                        .encodeToString(server.caCertificatePem().getBytes(StandardCharsets.UTF_8)))
                .withOauthToken(server.token())
                .withNamespace("default")
                .build();
    }

    private static HostException taken(InetSocketAddress address, IOException cause) {
        String holder = PortHolder.of(address.getPort())
                .map(words -> "it belongs to " + words)
                .orElse("another process has it");
        return new HostException.Busy(
                "listen on " + address.getAddress().getHostAddress() + ":" + address.getPort() + ": " + holder
                        + "; end that, or choose another port with --listen, for example --listen 127.0.0.1:0 for a free"
                        + " one",
                cause);
    }

    private static InetSocketAddress loopback(int port) {
        return new InetSocketAddress(InetAddress.getLoopbackAddress(), port);
    }

    /** A kubeconfig that somebody copied stays true as long as the port can be had again. */
    private Optional<Integer> lastPort() {
        try {
            Matcher port = SERVER.matcher(Files.readString(kubeconfig));
            return port.find() ? Optional.of(Integer.parseInt(port.group(1))) : Optional.empty();
        } catch (IOException | NumberFormatException e) {
            return Optional.empty();
        }
    }

    private void writeKubeconfig() throws HostException {
        try {
            Kubeconfig.write(server, kubeconfig);
        } catch (IOException e) {
            throw DurableFiles.refusal("write " + kubeconfig, e);
        }
    }

    private void load(Path directory, KubernetesClient client) {
        EventRecorder events = keep(new EventRecorder(client, "manifests", host.nodeName(), clock));
        ManifestDirectory.Listener listener = new ManifestDirectory.Listener() {
            @Override
            public void problem(String sentence) {
                log.atWarn().addKeyValue("directory", directory).log("manifest problem: " + sentence);
                tell(client, events, sentence);
            }

            @Override
            public void removed(String sentence) {
                log.atWarn().addKeyValue("directory", directory).log("manifest removed: " + sentence);
                tell(client, events, sentence);
            }
        };
        keep(new ManifestDirectory(directory, new ServerSideApply(client), listener, clock))
                .start();
    }

    /** On the node's own object, where a person looks for what ails the node. */
    private void tell(KubernetesClient client, EventRecorder events, String sentence) {
        var node = client.resources(dev.vmlet.api.VmNode.class)
                .withName(host.nodeName())
                .get();
        if (node != null) {
            events.warning(node, Reason.ManifestProblem, sentence);
        }
    }

    public String nodeName() {
        return host.nodeName();
    }

    public URI uri() {
        return server.uri();
    }

    /** Mode 0600. */
    public Path kubeconfig() {
        return kubeconfig;
    }

    @Override
    public void close() {
        while (!open.isEmpty()) {
            AutoCloseable part = open.pop();
            try {
                part.close();
            } catch (Exception e) {
                log.atWarn()
                        .addKeyValue("part", part.getClass().getSimpleName())
                        .setCause(e)
                        .log("part not closed");
            }
        }
    }

    /** There is one node: VMs without a node get it, and one for another node would wait for ever. */
    record NodeChoice(String nodeName) implements Admission {
        @Override
        public ObjectNode admit(ResourceType type, ObjectNode object, Occasion occasion) throws Refused {
            if (!type.groupResource().equals("virtualmachines.vmlet.dev")
                    || !(object.get("spec") instanceof ObjectNode spec)) {
                return object;
            }
            String asked = spec.path("nodeName").asText();
            if (asked.isEmpty()) {
                spec.put("nodeName", nodeName);
            } else if (occasion == Occasion.CREATE && !asked.equals(nodeName)) {
                throw Refused.invalidField(
                        type,
                        object.at("/metadata/name").asText(),
                        "spec.nodeName",
                        asked,
                        "this standalone vmlet has one node, " + nodeName + "; name it or leave spec.nodeName out");
            }
            return object;
        }
    }
}
