package dev.vmlet.cli;

import dev.vmlet.model.HostPaths;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Where the agent of this host keeps things, for commands that need to know no more of it. */
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class PlaceOptions {
    @Option(
            names = "--state-dir",
            paramLabel = "DIR",
            defaultValue = "/var/lib/vmlet",
            description = "The agent's state directory. Default: ${DEFAULT-VALUE}.")
    private Path stateDir;

    @Option(
            names = "--run-dir",
            paramLabel = "DIR",
            defaultValue = "/run/vmlet",
            description = "The agent's run directory. Default: ${DEFAULT-VALUE}.")
    private Path runDir;

    HostPaths paths() {
        return new HostPaths(
                stateDir.toAbsolutePath().normalize().toString(),
                runDir.toAbsolutePath().normalize().toString());
    }
}
