package dev.vmlet.cli;

import dev.vmlet.controller.AgentSettings;
import dev.vmlet.host.Applier;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Options of every command that acts as a node's agent. */
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class AgentOptions {
    private static final Logger log = LoggerFactory.getLogger(AgentOptions.class);

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--orphan-grace",
            paramLabel = "DURATION",
            defaultValue = "PT5M",
            description =
                    "How long a guest whose object vanished without our release is kept. Default: ${DEFAULT-VALUE}.")
    private Duration orphanGrace;

    @Option(
            names = "--start-parallelism",
            paramLabel = "N",
            defaultValue = "" + AgentSettings.START_PARALLELISM,
            description = "How many guests start at once, after a reboot of the host or whenever many are to start; the"
                    + " others wait for their turn. A guest's start ends when its VMM says that it runs."
                    + " Default: ${DEFAULT-VALUE}.")
    private int startParallelism;

    @Option(
            names = "--lease-duration",
            paramLabel = "DURATION",
            defaultValue = "PT3M",
            description = "When its agent has said nothing for so long, this node's VMs count as Unknown, NodeLost. The"
                    + " agent renews its Lease three times in it. Default: ${DEFAULT-VALUE}.")
    private Duration leaseDuration;

    /** For tests of crash safety: the process ends without a word before the given step. */
    @Option(names = "--halt-before-step", paramLabel = "N", hidden = true, defaultValue = "0")
    private int haltBeforeStep;

    /** @throws CommandLine.ParameterException when an option has a value that it cannot have */
    AgentSettings settings() {
        try {
            return new AgentSettings(orphanGrace, startParallelism, leaseDuration, hook());
        } catch (IllegalArgumentException e) {
            throw new CommandLine.ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
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
