package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.Standalone;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;

/** {@code vmlet standalone}. */
@Command(
        name = "standalone",
        description = "The agent with an API server of its own, for one machine: no cluster needed. It writes"
                + " STATE-DIR/kubeconfig, with which kubectl works, and keeps its objects in the state directory."
                + " Guests outlive it; the next start takes them up again.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class,
        defaultValueProvider = StandaloneCommand.Defaults.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class StandaloneCommand implements Callable<Integer> {
    private static final Logger log = LoggerFactory.getLogger(StandaloneCommand.class);

    @Mixin
    private HostOptions host;

    @Mixin
    private AgentOptions agent;

    @Mixin
    private ClusterOptions cluster;

    @Option(
            names = "--listen",
            paramLabel = "ADDRESS:PORT",
            converter = ListenAddress.Converter.class,
            description =
                    "Where the API server listens; loopback only; port 0 takes a free one. Default: the port of the"
                            + " last start, else 127.0.0.1:6443, else a free one.")
    private @Nullable ListenAddress listen;

    @Option(
            names = "--manifests",
            paramLabel = "DIR",
            description = "A directory of YAML and JSON files whose objects are applied at the start and when a file"
                    + " changes. What a removed file asked for stays: delete it with kubectl. Default: none.")
    private @Nullable Path manifests;

    /** On one's own machine guests shall start, if slowly, where KVM does not work. */
    static final class Defaults implements IDefaultValueProvider {
        @Override
        public @Nullable String defaultValue(ArgSpec argument) {
            boolean emulation = argument instanceof OptionSpec option
                    && option.longestName().equals("--emulation");
            return emulation ? HostOptions.Emulation.auto.name() : null;
        }
    }

    @Override
    public Integer call() throws Exception {
        Root.require("standalone");
        return Foreground.play(end -> {
            var settings = new Standalone.Settings(
                    host,
                    agent.settings(),
                    cluster.pool,
                    cluster.ranges,
                    Optional.ofNullable(listen).map(ListenAddress::socket),
                    Optional.ofNullable(manifests));
            try (Standalone standalone = Standalone.start(settings)) {
                System.out.println("vmlet standalone runs node " + standalone.nodeName() + "; its API server is "
                        + standalone.uri() + ". For kubectl:");
                System.out.println("export KUBECONFIG=" + standalone.kubeconfig());
                log.atInfo()
                        .addKeyValue("node", standalone.nodeName())
                        .addKeyValue("api", standalone.uri())
                        .log("standalone started");
                end.await();
                log.atInfo().log("standalone stops; guests go on");
            }
        });
    }
}
