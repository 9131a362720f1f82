package dev.vmlet.controller;

import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.time.Clock;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.Map;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Says that this node's agent lives: one Lease, renewed by one write every ten seconds on a thread of its own, so that no
 * reconcile waits for it. Not in {@code kube-node-lease}, where the kubelet's Lease bears the node's name already.
 */
final class NodeLease implements AutoCloseable {
    static final String NAMESPACE = SystemNamespace.NAME;
    /** Tells Leases of agents from others of the namespace, such as the one that elects a controller. */
    static final Map<String, String> LABELS = Map.of("vmlet.dev/lease", "agent");

    /** Without a renewal for so long the node counts as lost: four renewals, as for the kubelet. */
    static final Duration DURATION = Duration.ofSeconds(40);

    private static final Duration RENEWED = Duration.ofSeconds(10);
    private static final Logger log = LoggerFactory.getLogger(NodeLease.class);

    private final KubernetesClient client;
    private final String nodeName;
    private final Clock clock;
    private final ScheduledThreadPoolExecutor renewer;
    /** Touched by the renewer's one thread only. */
    private boolean failing;

    NodeLease(KubernetesClient client, String nodeName, Clock clock) {
        this.client = client;
        this.nodeName = nodeName;
        this.clock = clock;
        this.renewer = new ScheduledThreadPoolExecutor(
                1, Thread.ofPlatform().name("node-lease").daemon().factory());
    }

    void start() {
        var _ = renewer.scheduleWithFixedDelay(this::renew, 0, RENEWED.toMillis(), TimeUnit.MILLISECONDS);
    }

    void renew() {
        try {
            var _ = SystemNamespace.in(client, this::apply);
            failing = false;
        } catch (RuntimeException e) {
            // Whatever it is: a task that throws is never run again, and the node would count as lost from then on.
            if (!failing) {
                log.atWarn()
                        .addKeyValue("lease", NAMESPACE + "/" + nodeName)
                        .addKeyValue("cause", e.getMessage())
                        .log("not renewed; it is tried again every ten seconds");
            }
            failing = true;
        }
    }

    /** One request, whether the Lease exists or not. */
    private Lease apply() {
        return client.resource(new LeaseBuilder()
                        .withNewMetadata()
                        .withNamespace(NAMESPACE)
                        .withName(nodeName)
                        .withLabels(LABELS)
                        .endMetadata()
                        .withNewSpec()
                        .withHolderIdentity(nodeName)
                        .withLeaseDurationSeconds((int) DURATION.toSeconds())
                        .withRenewTime(ZonedDateTime.ofInstant(clock.instant(), ZoneOffset.UTC))
                        .endSpec()
                        .build())
                .patch(new PatchContext.Builder()
                        .withPatchType(PatchType.SERVER_SIDE_APPLY)
                        .withFieldManager("vmlet-agent")
                        .withForce(true)
                        .build());
    }

    @Override
    public void close() {
        renewer.shutdownNow();
    }
}
