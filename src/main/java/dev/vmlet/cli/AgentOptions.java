package dev.vmlet.cli;

import dev.vmlet.host.Applier;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Option;

/** Options of every command that acts as a node's agent. */
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class AgentOptions {
    private static final Logger log = LoggerFactory.getLogger(AgentOptions.class);

    @Option(
            names = "--orphan-grace",
            paramLabel = "DURATION",
            defaultValue = "PT5M",
            description =
                    "How long a guest whose object vanished without our release is kept. Default: ${DEFAULT-VALUE}.")
    public Duration orphanGrace;

    /** For tests of crash safety: the process ends without a word before the given step. */
    @Option(names = "--halt-before-step", paramLabel = "N", hidden = true, defaultValue = "0")
    private int haltBeforeStep;

    Applier.StepHook hook() {
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
