package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.host.console.ConsoleVisit;
import dev.vmlet.host.console.Frame.Wish;
import dev.vmlet.host.console.Terminal;
import dev.vmlet.host.files.Installation;
import dev.vmlet.host.vmm.LinuxVmms;
import dev.vmlet.host.vmm.VmFiles;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code vmlet console}. */
@Command(
        name = "console",
        description = {
            "Joins the serial console of a guest of this host, beside its running agent.",
            "One writes, all others read along. Leave with the escape key; the guest does not notice."
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:you left",
            "1:the guest or its agent ended, or the console cannot be joined",
            "2:wrong options"
        },
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class ConsoleCommand implements Callable<Integer> {
    @Mixin
    private VmOptions vm;

    @Mixin
    private PlaceOptions places;

    @ArgGroup
    private @Nullable How how;

    /** One of them at most. */
    static final class How {
        @Option(names = "--read-only", description = "Only read along.")
        private boolean readOnly;

        @Option(names = "--take", description = "Write, also where somebody else does now; that one reads along then.")
        private boolean take;
    }

    @Option(
            names = "--escape-key",
            paramLabel = "KEY",
            defaultValue = "^]",
            converter = EscapeKey.Converter.class,
            description = "The key that leaves, such as ^] or ^A, or none. Default: ${DEFAULT-VALUE} (Ctrl-]).")
    private EscapeKey escape;

    @Override
    public Integer call() throws HostException, IOException {
        HostPaths paths = places.paths();
        VmRecord record = vm.find(paths);
        try (ConsoleVisit visit = join(paths, record)) {
            Optional<Terminal> terminal = Terminal.raw();
            try {
                Consumer<String> say = terminal.isPresent()
                        // In raw mode a line end moves down and not back; whatever the guest was at, ours is a line.
                        ? sentence -> System.err.print("\r\n[vmlet: " + sentence + "]\r\n")
                        : sentence -> System.err.println("[vmlet: " + sentence + "]");
                say.accept("Console of " + record.id() + ". Leave with " + escape + ".");
                return new ConsoleSession(visit, escape, say).run(System.in, System.out) == ConsoleSession.End.LEFT
                        ? 0
                        : 1;
            } finally {
                terminal.ifPresent(Terminal::close);
            }
        }
    }

    private ConsoleVisit join(HostPaths paths, VmRecord record) throws HostException {
        Wish wish = how == null ? Wish.WRITE : how.take ? Wish.TAKE : how.readOnly ? Wish.READ : Wish.WRITE;
        try {
            return ConsoleVisit.join(new VmFiles(paths, record.id().uid()).console(), wish, who());
        } catch (HostException.Busy e) {
            throw new HostException.Refused(whyNot(paths, record), e);
        }
    }

    private static String whyNot(HostPaths paths, VmRecord record) throws HostException {
        LinuxVmms.Config config = new LinuxVmms.Config(
                paths, new HostNames(Installation.read(paths)), LinuxVmms.currentBootId(), _ -> {});
        try (LinuxVmms vmms = LinuxVmms.toLook(config, Map.of())) {
            String logs = "`vmlet logs " + record.id() + "` shows what it wrote";
            return switch (vmms.process(record)) {
                case Seen.Present<GuestProcess>(GuestProcess.Alive alive) ->
                    "the agent of this host does not run, or has not found the guest yet. The guest of " + record.id()
                            + " goes on as process " + alive.pid() + "; start the agent to join it. " + logs;
                case Seen.Present<GuestProcess>(GuestProcess.Ended _), Seen.Missing<GuestProcess> _ ->
                    record.id() + " does not run now, so it has no console. " + logs;
                case Seen.Unknown<GuestProcess>(String cause) ->
                    "whether " + record.id() + " runs cannot be told: " + cause + ". " + logs;
            };
        }
    }

    /** For others who read: who it is that writes. */
    private static String who() {
        String sudo = System.getenv("SUDO_USER");
        String user = sudo == null || sudo.isBlank() ? System.getProperty("user.name", "somebody") : sudo;
        String terminal = "";
        try {
            Path input = Files.readSymbolicLink(Path.of("/proc/self/fd/0"));
            terminal = input.startsWith("/dev") ? " at " + input : "";
        } catch (IOException e) {
            // Without /proc there is a pid still.
        }
        return user + terminal + " (pid " + ProcessHandle.current().pid() + ")";
    }
}
