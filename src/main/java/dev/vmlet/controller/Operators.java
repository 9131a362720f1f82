package dev.vmlet.controller;

import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.Operator;
import io.javaoperatorsdk.operator.api.config.ControllerConfigurationOverrider;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.processing.retry.GenericRetry;
import java.time.Duration;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The framework with defaults fit for a host agent. */
final class Operators {
    private static final Logger log = LoggerFactory.getLogger(Operators.class);

    /** Exit code when the watch of the API is lost for good; a supervisor starts us again and guests go on. */
    private static final int WATCH_LOST = 3;

    private Operators() {}

    static Operator create(KubernetesClient client) {
        return create(client, () -> Runtime.getRuntime().halt(WATCH_LOST));
    }

    /** @param watchLost what ends the process when a watch of the API is lost for good */
    static Operator create(KubernetesClient client, Runnable watchLost) {
        Operator operator = new Operator(o -> o.withKubernetesClient(client)
                .withCloseClientOnStop(false)
                .withResourceCloner(new SharingCloner(client.getKubernetesSerialization()))
                .withConcurrentReconciliationThreads(8)
                .withReconciliationTerminationTimeout(Duration.ofSeconds(3))
                .withUseSSAToPatchPrimaryResource(true)
                .withCacheSyncTimeout(Duration.ofMinutes(1))
                .withInformerStoppedHandler((informer, e) -> {
                    if (e != null) {
                        // Without its watch an agent would act on a picture that no longer changes.
                        log.atError().setCause(e).log("the watch of the API server is lost; ending");
                        watchLost.run();
                    }
                }));
        restBetweenTasks(
                operator.getConfigurationService().getExecutorServiceManager().scheduledExecutorService());
        return operator;
    }

    /**
     * The framework makes the pool of its periodic tasks with no core thread (5.3.2). The one thread that waits for the
     * next of them is then surplus: it wakes when its 10 ms of keep-alive are over, sees that there are tasks to come, and
     * waits again, a hundred times a second for ever. A core thread waits until a task is due.
     */
    static void restBetweenTasks(ScheduledExecutorService periodic) {
        if (periodic instanceof ScheduledThreadPoolExecutor pool && pool.getCorePoolSize() == 0) {
            pool.setCorePoolSize(1);
        }
    }

    /** Retries for ever, from half a second to half a minute apart: the framework's own five attempts end in silence. */
    static <P extends HasMetadata> ControllerConfigurationOverrider<P> configure(
            Operator operator, Reconciler<P> reconciler, String name) {
        return ControllerConfigurationOverrider.override(
                        operator.getConfigurationService().getConfigurationFor(reconciler))
                .withName(name)
                .withFieldManager("vmlet-agent")
                .withRetry(new GenericRetry()
                        .setInitialInterval(500)
                        .setIntervalMultiplier(2)
                        .setMaxInterval(30_000)
                        .withoutMaxAttempts());
    }
}
