package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.host.files.EvacuationFile;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code vmlet evacuate}. */
@Command(
        name = "evacuate",
        description = {
            "Stops all guests of this node, for maintenance of the machine, and keeps them stopped until --end.",
            "It asks the agent of the state directory, which presses every guest's power button and gives it its"
                    + " terminationGracePeriodSeconds, as with any stop. Restarts of the agent and reboots of the host"
                    + " do not end it. It needs no API server; from afar, set the annotation vmlet.dev/evacuate=true"
                    + " on the VmNode instead, and remove it to end the evacuation.",
            "Exit code: 0 when all guests are stopped, 1 when --timeout is over before; the agent goes on stopping them."
        },
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class EvacuateCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Mixin
    private PlaceOptions places;

    @Option(
            names = "--end",
            description = "The maintenance is over: guests start again by their runStrategy (Always and RerunOnFailure;"
                    + " Once and Halted stay down).")
    private boolean end;

    @Option(
            names = "--timeout",
            paramLabel = "DURATION",
            defaultValue = "PT10M",
            description = "How long to wait for the guests to stop. Default: ${DEFAULT-VALUE}.")
    private Duration timeout;

    @Override
    public Integer call() throws HostException, InterruptedException {
        if (timeout.isNegative()) {
            throw new CommandLine.ParameterException(
                    spec.commandLine(), "Invalid value for option '--timeout': " + timeout + "; at least PT0S");
        }
        HostPaths paths = places.paths();
        if (!Files.exists(Path.of(paths.vmsDir()))) {
            throw new HostException.Refused(
                    "no agent has run with the state directory " + paths.stateDir() + "; give its --state-dir", null);
        }
        EvacuationFile mark = new EvacuationFile(paths);
        PrintWriter out = spec.commandLine().getOut();
        if (end) {
            mark.end();
            out.println("The evacuation is ended. Guests start again by their runStrategy, a few at a time.");
            out.flush();
            return 0;
        }
        Clock clock = Clock.systemUTC();
        EvacuationProgress progress = new EvacuationProgress(paths, clock, out);
        progress.announce();
        mark.begin(clock.instant());
        return progress.await(timeout) ? 0 : 1;
    }
}
