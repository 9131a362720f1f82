package dev.vmlet.controller;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.javaoperatorsdk.operator.Operator;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import org.junit.jupiter.api.Test;

class OperatorsTest {
    @Test
    void theThreadOfPeriodicTasksSleepsUntilOneIsDue() {
        try (KubernetesClient client =
                new KubernetesClientBuilder().withConfig(Config.empty()).build()) {
            Operator operator = Operators.create(client);
            var periodic = (ScheduledThreadPoolExecutor) operator.getConfigurationService()
                    .getExecutorServiceManager()
                    .scheduledExecutorService();
            // With none the JDK's pool polls every 10 ms of its keep-alive time.
            assertEquals(1, periodic.getCorePoolSize());
            periodic.shutdownNow();
        }
    }
}
