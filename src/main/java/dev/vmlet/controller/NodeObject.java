package dev.vmlet.controller;

import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.time.Clock;
import java.time.temporal.ChronoUnit;
import java.util.Map;

/**
 * The core Node of standalone, which has no kubelet to write one: {@code kubectl get nodes} shows it. In a cluster nobody
 * of ours writes Nodes.
 */
public final class NodeObject {
    private static final PatchContext APPLY = new PatchContext.Builder()
            .withPatchType(PatchType.SERVER_SIDE_APPLY)
            .withFieldManager("vmlet-standalone")
            .withForce(true)
            .build();

    private final KubernetesClient client;
    private final String name;
    private final String version;
    private final Clock clock;

    public NodeObject(KubernetesClient client, String name, String version, Clock clock) {
        this.client = client;
        this.name = name;
        this.version = version;
        this.clock = clock;
    }

    /** Creates it, or brings it up to this version and boot. */
    public void put() {
        Node wanted = new NodeBuilder()
                .withNewMetadata()
                .withName(name)
                .withLabels(Map.of(
                        "kubernetes.io/hostname",
                        name,
                        "kubernetes.io/os",
                        "linux",
                        "kubernetes.io/arch",
                        System.getProperty("os.arch", "")))
                .endMetadata()
                .build();
        client.resource(wanted).patch(APPLY);
        String cores = Integer.toString(Runtime.getRuntime().availableProcessors());
        String now = clock.instant().truncatedTo(ChronoUnit.SECONDS).toString();
        Node status = new NodeBuilder()
                .withNewMetadata()
                .withName(name)
                .endMetadata()
                .withNewStatus()
                .withCapacity(Map.of("cpu", new Quantity(cores)))
                .addNewCondition()
                .withType("Ready")
                .withStatus("True")
                .withReason("StandaloneStarted")
                .withMessage("vmlet standalone runs this node.")
                .withLastTransitionTime(now)
                .withLastHeartbeatTime(now)
                .endCondition()
                .addNewAddress("127.0.0.1", "InternalIP")
                .addNewAddress(name, "Hostname")
                .withNewNodeInfo()
                .withKubeletVersion("vmlet " + version)
                .withKernelVersion(System.getProperty("os.version", ""))
                .withArchitecture(System.getProperty("os.arch", ""))
                .withOperatingSystem("linux")
                .endNodeInfo()
                .endStatus()
                .build();
        client.resource(status).subresource("status").patch(APPLY);
    }
}
