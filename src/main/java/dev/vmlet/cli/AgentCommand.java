package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.RealHost;
import dev.vmlet.controller.Agent;
import dev.vmlet.host.Applier;
import dev.vmlet.model.HostException;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Clock;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

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

    @Option(
            names = "--orphan-grace",
            paramLabel = "DURATION",
            defaultValue = "PT5M",
            description =
                    "How long a guest whose object vanished without our release is kept. Default: ${DEFAULT-VALUE}.")
    private Duration orphanGrace;

    /** For tests of crash safety: the process ends without a word before the given step. */
    @Option(names = "--halt-before-step", paramLabel = "N", hidden = true, defaultValue = "0")
    private int haltBeforeStep;

    @Override
    public Integer call() throws HostException {
        Root.require("the agent");
        CountDownLatch end = new CountDownLatch(1);
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().unstarted(() -> {
            end.countDown();
            try {
                // SIGTERM ends us within five seconds, guests running.
                boolean _ = ended.await(4, java.util.concurrent.TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        try (RealHost real = RealHost.open(host);
                KubernetesClient client = api.client();
                Agent agent = new Agent(real.parts(client, orphanGrace, hook(), Clock.systemUTC()))) {
            agent.start();
            log.atInfo()
                    .addKeyValue("node", real.nodeName())
                    .addKeyValue("installation", real.installation())
                    .log("agent started");
            end.await();
            log.atInfo().log("agent stops; guests go on");
            return 0;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return 1;
        } finally {
            ended.countDown();
        }
    }

    private Applier.StepHook hook() {
        AtomicInteger left = new AtomicInteger(haltBeforeStep);
        return (subject, done, next) -> {
            if (haltBeforeStep > 0 && left.decrementAndGet() <= 0) {
                log.atWarn()
                        .addKeyValue("object", subject)
                        .addKeyValue("step", next)
                        .log("halting before this step, as --halt-before-step asks");
                Runtime.getRuntime().halt(137);
            }
        };
    }
}
