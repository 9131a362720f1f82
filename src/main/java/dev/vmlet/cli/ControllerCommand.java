package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.controller.ClusterController;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Prefix;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Clock;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code vmlet controller}. */
@Command(
        name = "controller",
        description =
                "Makes the few decisions that belong to no node, such as a Network's CIDR. Touches no host; run one.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class ControllerCommand implements Callable<Integer> {
    private static final Logger log = LoggerFactory.getLogger(ControllerCommand.class);

    @Mixin
    private ApiOptions api;

    @Option(
            names = "--network-pool",
            paramLabel = "PREFIX",
            defaultValue = "10.208.0.0/12",
            description = "Networks without spec.cidr get a free /20 of it. Default: ${DEFAULT-VALUE}.")
    private Ipv4Prefix pool;

    @Option(
            names = "--cluster-cidr",
            paramLabel = "PREFIX",
            split = ",",
            description = "Ranges of pods, Services and nodes, which no Network may overlap.")
    private List<Ipv4Prefix> clusterRanges = new ArrayList<>();

    @Override
    public Integer call() throws HostException {
        CountDownLatch end = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(() -> {
            end.countDown();
            try {
                boolean _ = ended.await(4, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        try (KubernetesClient client = api.client();
                ClusterController controller = new ClusterController(client, pool, clusterRanges, Clock.systemUTC())) {
            controller.start();
            log.atInfo().addKeyValue("pool", pool).log("controller started");
            end.await();
            return 0;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return 1;
        } finally {
            ended.countDown();
        }
    }
}
