package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.RealHost;
import dev.vmlet.controller.Agent;
import dev.vmlet.metrics.AgentMetrics;
import dev.vmlet.metrics.ApiMetrics;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.micrometer.core.instrument.MeterRegistry;
import java.time.Clock;
import java.util.concurrent.Callable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code vmlet agent}. */
@Command(
        name = "agent",
        description = "Keeps this node's VMs and Networks as the API server says. Guests outlive it.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class AgentCommand implements Callable<Integer> {
    private static final Logger log = LoggerFactory.getLogger(AgentCommand.class);

    @Mixin
    private HostOptions host;

    @Mixin
    private ApiOptions api;

    @Mixin
    private AgentOptions agentOptions;

    @Mixin
    private HealthOptions health;

    @Override
    public Integer call() throws Exception {
        Root.require("the agent");
        return Foreground.play(this::run);
    }

    private void run(Foreground.End end) throws Exception {
        MeterRegistry registry = health.registry();
        try (RealHost real = RealHost.open(host);
                KubernetesClient client = api.client(new ApiMetrics(registry));
                Agent agent = new Agent(
                        real.parts(client, agentOptions.settings(), new AgentMetrics(registry), Clock.systemUTC()));
                AutoCloseable _ = health.open(registry, agent.live(), agent.ready())) {
            agent.start();
            log.atInfo()
                    .addKeyValue("node", real.nodeName())
                    .addKeyValue("installation", real.installation())
                    .log("agent started");
            end.await();
            log.atInfo().log("agent stops; guests go on");
        }
    }
}
