package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.host.vmm.cloudhypervisor.CloudHypervisorFiles;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code vmlet version}. */
@Command(
        name = "version",
        description = "Prints the version, the commit it was built from, the Java it runs on and the VMM it pins.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class VersionCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        out.println("vmlet " + Main.version());
        out.println("commit " + Main.commit());
        out.println("java " + Runtime.version() + " (" + System.getProperty("java.vm.name") + ")");
        out.println("cloud-hypervisor " + CloudHypervisorFiles.VERSION + " (pinned)");
        out.flush();
        return 0;
    }
}
