package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.controller.ClusterController;
import dev.vmlet.controller.ElectedController;
import dev.vmlet.health.Check;
import dev.vmlet.metrics.ApiMetrics;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Clock;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code vmlet controller}. */
@Command(
        name = "controller",
        description = "Makes the few decisions that belong to no node, such as a Network's CIDR. Touches no host. Run"
                + " two of it: one is elected, the other stands by.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class ControllerCommand implements Callable<Integer> {
    private static final Logger log = LoggerFactory.getLogger(ControllerCommand.class);

    /** Exit code when another may act in our place; a supervisor starts us again, and we stand by. */
    private static final int DEPOSED = 4;

    @Mixin
    private ApiOptions api;

    @Mixin
    private ClusterOptions cluster;

    @Mixin
    private HealthOptions health;

    @Option(
            names = "--leader-elect",
            paramLabel = "true|false",
            arity = "0..1",
            defaultValue = "true",
            fallbackValue = "true",
            description = "Act only while elected, by the Lease vmlet-controller in the namespace vmlet-system. With"
                    + " false no other controller may run. Default: ${DEFAULT-VALUE}.")
    private boolean leaderElect;

    @Option(
            names = "--identity",
            paramLabel = "NAME",
            defaultValue = "${env:POD_NAME}",
            description = "How the Lease names this process, with random characters added. Default: $POD_NAME, or the"
                    + " host name.")
    private @Nullable String identity;

    @Option(
            names = "--services",
            paramLabel = "true|false",
            arity = "0..1",
            defaultValue = "true",
            fallbackValue = "true",
            description = "Put VMs behind Services that ask for them by the annotation vmlet.dev/selector. With false"
                    + " no right to Services and EndpointSlices is needed. Default: ${DEFAULT-VALUE}.")
    private boolean services;

    @Override
    public Integer call() throws Exception {
        return Foreground.play(leaderElect ? this::stand : this::run);
    }

    private ClusterController role(KubernetesClient client) {
        return new ClusterController(client, cluster.pool, cluster.ranges, services, Clock.systemUTC());
    }

    /** Elected or standing by. */
    private void stand(Foreground.End end) throws Exception {
        MeterRegistry registry = health.registry();
        ApiMetrics counted = new ApiMetrics(registry);
        String name = name();
        Config config = api.config();
        try (KubernetesClient electing = ApiOptions.impatient(config, counted);
                ElectedController controller = new ElectedController(
                        electing,
                        name,
                        fence -> ApiOptions.client(config, counted, fence),
                        this::role,
                        ControllerCommand::endAtOnce,
                        Clock.systemUTC());
                AutoCloseable _ = health.open(registry, live(controller), ready(controller))) {
            Gauge.builder("leader.election.master.status", () -> controller.leads() ? 1 : 0)
                    .description("1 for the process that acts, 0 for one that stands by.")
                    .tags("name", "vmlet-controller")
                    .register(registry);
            controller.start();
            log.atInfo()
                    .addKeyValue("pool", cluster.pool)
                    .addKeyValue("identity", name)
                    .log("controller started");
            end.await();
        }
    }

    private static List<Check> live(ElectedController controller) {
        return List.of(new Check("election", "nobody has looked at the Lease for a minute", controller::isAlive));
    }

    private static List<Check> ready(ElectedController controller) {
        return List.of(new Check(
                "election",
                "it is not known who leads, or this one was elected and does not act yet",
                controller::isReady));
    }

    /** Not by way of the shutdown hooks, which take their time while another may act already. */
    private static void endAtOnce(String why) {
        log.atError().addKeyValue("cause", why).log("this controller leads no more; ending");
        Runtime.getRuntime().halt(DEPOSED);
    }

    /** Another one after each start: a container that was killed and started again has not been elected. */
    private String name() {
        String given = identity == null || identity.isBlank() ? hostName() : identity;
        return given + "_" + UUID.randomUUID().toString().substring(0, 8);
    }

    private static String hostName() {
        String name = System.getenv("HOSTNAME");
        return name == null || name.isBlank() ? "controller" : name;
    }

    private void run(Foreground.End end) throws Exception {
        MeterRegistry registry = health.registry();
        try (KubernetesClient client = api.client(new ApiMetrics(registry));
                ClusterController controller = role(client);
                AutoCloseable _ = health.open(registry, List.of(), List.of())) {
            controller.start();
            log.atInfo().addKeyValue("pool", cluster.pool).log("controller started");
            end.await();
        }
    }
}
