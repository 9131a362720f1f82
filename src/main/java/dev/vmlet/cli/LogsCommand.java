package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.host.vmm.SerialLog;
import dev.vmlet.host.vmm.VmFiles;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.VmRecord;
import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code vmlet logs}. */
@Command(
        name = "logs",
        description = {
            "Prints what a guest of this host wrote to its serial console.",
            "The log is kept across reboots and restarts of the guest and is bounded: the oldest is dropped."
        },
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class LogsCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Mixin
    private VmOptions vm;

    @Mixin
    private PlaceOptions places;

    @Option(
            names = {"-f", "--follow"},
            description = "Go on with what the guest writes from now on, until the VM is deleted.")
    private boolean follow;

    @Option(
            names = "--tail",
            paramLabel = "LINES",
            description = "Begin so many lines before the end. Default: all there is.")
    private int tail = Integer.MAX_VALUE;

    @Option(names = "--raw", description = "Leave in what steers a terminal, such as colours.")
    private boolean raw;

    @Override
    public Integer call() throws HostException, IOException {
        if (tail < 0) {
            throw new CommandLine.ParameterException(
                    spec.commandLine(), "Invalid value for option '--tail': " + tail + " lines; at least 0");
        }
        HostPaths paths = places.paths();
        VmRecord record = vm.find(paths);
        new SerialLog(new VmFiles(paths, record.id().uid()), raw ? SerialLog.Text.AS_WRITTEN : SerialLog.Text.PLAIN)
                .print(tail, follow, System.out);
        return 0;
    }
}
