package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.controller.ClusterController;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Clock;
import java.util.concurrent.Callable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

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

    @Mixin
    private ClusterOptions cluster;

    @Override
    public Integer call() throws Exception {
        return Foreground.play(this::run);
    }

    private void run(Foreground.End end) throws Exception {
        try (KubernetesClient client = api.client();
                ClusterController controller =
                        new ClusterController(client, cluster.pool, cluster.ranges, Clock.systemUTC())) {
            controller.start();
            log.atInfo().addKeyValue("pool", cluster.pool).log("controller started");
            end.await();
        }
    }
}
