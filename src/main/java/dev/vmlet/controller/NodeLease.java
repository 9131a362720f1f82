package dev.vmlet.controller;

import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.temporal.ChronoUnit;
import java.util.Map;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Says that this node's agent lives: one Lease, renewed by one write a minute on a thread of its own, so that no
 * reconcile waits for it. Each write names the one that it follows, so that a store which has another is noticed, for {@link
 * StoreWatch}, without a request more. Not in {@code kube-node-lease}, where the kubelet's Lease bears the node's name already.
 */
final class NodeLease implements AutoCloseable {
    static final String NAMESPACE = SystemNamespace.NAME;
    /** Tells Leases of agents from others of the namespace, such as the one that elects a controller. */
    static final Map<String, String> LABELS = Map.of("vmlet.dev/lease", "agent");

    /** Renewals within its duration. */
    private static final int RENEWALS = 3;

    /** After a renewal that failed. */
    private static final Duration RETRIED = Duration.ofSeconds(10);

    private static final Logger log = LoggerFactory.getLogger(NodeLease.class);

    private final KubernetesClient client;
    private final String nodeName;
    private final Duration duration;
    private final StoreWatch store;
    private final Clock clock;
    private final ScheduledThreadPoolExecutor renewer;
    /** Resource version of what was written last. Touched by the renewer's one thread only, as the next. */
    private String written = "";

    private boolean failing;

    /** @param duration without a renewal for so long the node counts as lost */
    NodeLease(KubernetesClient client, String nodeName, Duration duration, StoreWatch store, Clock clock) {
        this.duration = duration;
        this.client = client;
        this.nodeName = nodeName;
        this.store = store;
        this.clock = clock;
        this.renewer = new ScheduledThreadPoolExecutor(
                1,
                Thread.ofPlatform().name("node-lease").daemon().factory(),
                // The turn under way when it is closed wants to plan the next.
                new ThreadPoolExecutor.DiscardPolicy());
    }

    void start() {
        renewer.execute(this::turn);
    }

    private void turn() {
        renew();
        Duration often = duration.dividedBy(RENEWALS);
        Duration next = failing && often.compareTo(RETRIED) > 0 ? RETRIED : often;
        var _ = renewer.schedule(this::turn, next.toMillis(), TimeUnit.MILLISECONDS);
    }

    void renew() {
        try {
            var _ = SystemNamespace.in(client, this::apply);
            failing = false;
        } catch (RuntimeException e) {
            // Whatever it is: a turn that throws is the last, and the node would count as lost from then on.
            if (!failing) {
                log.atWarn()
                        .addKeyValue("lease", NAMESPACE + "/" + nodeName)
                        .addKeyValue("cause", e.getMessage())
                        .log("not renewed; it is tried again within ten seconds");
            }
            failing = true;
        }
    }

    /** This node's Lease as the API server has it, past every cache. */
    static Seen<StoreStamp> read(KubernetesClient client, String nodeName) {
        try {
            Lease lease =
                    client.leases().inNamespace(NAMESPACE).withName(nodeName).get();
            return lease == null ? Seen.missing() : Seen.present(stamp(lease));
        } catch (KubernetesClientException e) {
            return Seen.unknown("Lease " + NAMESPACE + "/" + nodeName + ": " + e.getMessage());
        }
    }

    private static StoreStamp stamp(Lease lease) {
        ZonedDateTime renewed = lease.getSpec() == null ? null : lease.getSpec().getRenewTime();
        return new StoreStamp(lease.getMetadata().getUid(), renewed == null ? Instant.EPOCH : renewed.toInstant());
    }

    /** One request as long as the API server has what was written last. */
    private Lease apply() {
        if (!written.isEmpty()) {
            try {
                return apply(written);
            } catch (KubernetesClientException e) {
                if (e.getCode() != 409 && e.getCode() != 404 && e.getCode() != 400) {
                    throw e;
                }
                written = "";
            }
        }
        // Before it is written over: it is the witness of a store that went back in time. Where it cannot be read, the
        // renewal is worth more.
        store.look(read(client, nodeName));
        return apply("");
    }

    /** @param expected resource version of what is written over; empty: whatever is there, or nothing */
    private Lease apply(String expected) {
        Lease applied = client.resource(new LeaseBuilder()
                        .withNewMetadata()
                        .withNamespace(NAMESPACE)
                        .withName(nodeName)
                        .withLabels(LABELS)
                        .withResourceVersion(expected.isEmpty() ? null : expected)
                        .endMetadata()
                        .withNewSpec()
                        .withHolderIdentity(nodeName)
                        .withLeaseDurationSeconds((int) duration.toSeconds())
                        .withRenewTime(
                                ZonedDateTime.ofInstant(clock.instant().truncatedTo(ChronoUnit.MICROS), ZoneOffset.UTC))
                        .endSpec()
                        .build())
                .patch(new PatchContext.Builder()
                        .withPatchType(PatchType.SERVER_SIDE_APPLY)
                        .withFieldManager("vmlet-agent")
                        .withForce(true)
                        .build());
        written = applied.getMetadata().getResourceVersion();
        store.renewed(stamp(applied));
        return applied;
    }

    @Override
    public void close() {
        renewer.shutdownNow();
    }
}
