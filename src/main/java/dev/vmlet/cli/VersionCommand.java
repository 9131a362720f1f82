package dev.vmlet.cli;

import dev.vmlet.Main;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

/** {@code vmlet version}. */
@Command(
        name = "version",
        description = "Prints the version.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
public final class VersionCommand implements Callable<Integer> {
    @Override
    public Integer call() {
        System.out.println("vmlet " + Main.version());
        return 0;
    }
}
