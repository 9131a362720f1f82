package dev.vmlet;

import dev.vmlet.cli.AgentCommand;
import dev.vmlet.cli.CommandErrors;
import dev.vmlet.cli.ConsoleCommand;
import dev.vmlet.cli.ControllerCommand;
import dev.vmlet.cli.DoctorCommand;
import dev.vmlet.cli.EvacuateCommand;
import dev.vmlet.cli.InventoryCommand;
import dev.vmlet.cli.LogsCommand;
import dev.vmlet.cli.PlanCommand;
import dev.vmlet.cli.ReservedPortsConverter;
import dev.vmlet.cli.StandaloneCommand;
import dev.vmlet.cli.UserIdRange;
import dev.vmlet.cli.VersionCommand;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.ReservedPorts;
import java.io.IOException;
import java.io.InputStream;
import java.util.Properties;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** Start of the program. */
@Command(
        name = "vmlet",
        description = "To virtual machines what the kubelet is to pods.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class,
        subcommands = {
            AgentCommand.class,
            ControllerCommand.class,
            StandaloneCommand.class,
            PlanCommand.class,
            InventoryCommand.class,
            DoctorCommand.class,
            EvacuateCommand.class,
            LogsCommand.class,
            ConsoleCommand.class,
            VersionCommand.class,
            AutoComplete.GenerateCompletion.class
        })
public final class Main {
    private Main() {}

    public static void main(String[] args) {
        IdleHeap.keepSmall();
        System.exit(commandLine().execute(args));
    }

    static CommandLine commandLine() {
        return new CommandLine(new Main())
                .registerConverter(Ipv4Prefix.class, Main::prefix)
                .registerConverter(UserIdRange.class, new UserIdRange.Converter())
                .registerConverter(ReservedPorts.class, new ReservedPortsConverter())
                .setParameterExceptionHandler(new CommandErrors())
                .setExecutionExceptionHandler(new CommandErrors())
                .setUsageHelpAutoWidth(true);
    }

    /** For picocli. */
    public static final class Version implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"vmlet " + version()};
        }
    }

    private static Ipv4Prefix prefix(String text) {
        try {
            return Ipv4Prefix.parse(text);
        } catch (IllegalArgumentException e) {
            throw new CommandLine.TypeConversionException(String.valueOf(e.getMessage()));
        }
    }

    /** The version the build gave, or a word that says there was none. */
    public static String version() {
        String version = Main.class.getPackage().getImplementationVersion();
        return version == null ? "unbuilt" : version;
    }

    /** The commit it was built on; "unknown" for a build without git. */
    public static String commit() {
        Properties built = new Properties();
        try (InputStream file = Main.class.getResourceAsStream("build.properties")) {
            if (file != null) {
                built.load(file);
            }
        } catch (IOException e) {
            return "unknown";
        }
        String commit = built.getProperty("commit", "");
        if (commit.isEmpty() || commit.startsWith("$")) {
            return "unknown";
        }
        return commit;
    }
}
