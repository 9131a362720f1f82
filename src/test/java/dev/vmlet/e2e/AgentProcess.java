package dev.vmlet.e2e;

import dev.vmlet.model.HostNames;
import dev.vmlet.model.InstallationId;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/**
 * One {@code vmlet agent} (or {@code controller}, or {@code standalone}) as a process of its own, with its own node name, state and run
 * directory. It can be killed and started again; the directories stay.
 */
public final class AgentProcess implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(90);

    private final String name;
    private final Path home;
    private final Path log;
    private final List<String> java;
    private final List<String> arguments;
    private final String started;
    private List<String> jvmOptions = List.of();
    private List<String> around = List.of();
    private List<String> place = List.of();
    private @Nullable Process process;

    private AgentProcess(String name, Path home, List<String> java, List<String> arguments, String started) {
        this.name = name;
        this.home = home;
        this.java = java;
        this.arguments = arguments;
        this.started = started;
        this.log = Logs.fresh(name);
    }

    static AgentProcess agent(Cluster cluster, String nodeName, List<String> options) {
        Path home = cluster.dir().resolve(nodeName);
        List<String> arguments = new ArrayList<>(List.of(
                "agent",
                "--kubeconfig",
                cluster.identities().agent(nodeName).toString(),
                "--node-name",
                nodeName,
                "--state-dir",
                home.resolve("state").toString(),
                "--run-dir",
                home.resolve("run").toString(),
                "--image-dir",
                cluster.imageDir().toString(),
                "--orphan-grace",
                "PT5S"));
        if (!options.contains("--emulation")) {
            // An option may be given once only.
            arguments.addAll(List.of("--emulation", "auto"));
        }
        arguments.addAll(options);
        return new AgentProcess("agent-" + nodeName, home, cluster.java(), arguments, "agent started");
    }

    /** @param identity how the Lease that elects one of several names it, before random characters */
    static AgentProcess controller(Cluster cluster, String identity) {
        return new AgentProcess(
                "controller-" + identity,
                cluster.dir().resolve("controller-" + identity),
                cluster.java(),
                List.of(
                        "controller",
                        "--kubeconfig",
                        cluster.identities().controller().toString(),
                        "--identity",
                        identity),
                "controller started");
    }

    /** {@code vmlet standalone}, with nothing of the cluster's but its images. */
    static AgentProcess standalone(Cluster cluster, String nodeName, String... options) {
        Path home = cluster.dir().resolve(nodeName);
        List<String> arguments = new ArrayList<>(List.of(
                "standalone",
                "--node-name",
                nodeName,
                "--state-dir",
                home.resolve("state").toString(),
                "--run-dir",
                home.resolve("run").toString(),
                "--image-dir",
                cluster.imageDir().toString()));
        arguments.addAll(List.of(options));
        return new AgentProcess("standalone-" + nodeName, home, cluster.java(), arguments, "standalone started");
    }

    /** Options of the JVM for its next starts. */
    void jvm(String... options) {
        jvmOptions = List.of(options);
    }

    /** A command that its next starts go through, such as {@code unshare}; it must become the agent, by exec. */
    void through(String... command) {
        around = List.of(command);
    }

    /** A command that goes where its host is, such as {@code nsenter}, and becomes what follows it. */
    void in(List<String> enter) {
        place = List.copyOf(enter);
    }

    /** Starts it and waits until it says that it has started. */
    public AgentProcess start(String... more) {
        launch(more);
        Awaitility.await(name + " says that it started")
                .atMost(PATIENCE)
                .pollInterval(Duration.ofMillis(100))
                .until(() -> sinceLaunch().contains(started) || !isAlive());
        if (!isAlive()) {
            throw new AssertionError(name + " ended early: " + logTail(20));
        }
        if (!arguments.getFirst().equals("controller")) {
            // The first thing it does; what is compared with later must have it.
            Awaitility.await("both firewall tables of " + name)
                    .atMost(PATIENCE)
                    .until(() -> List.of("inet", "bridge").stream()
                            .allMatch(family -> Command.of(
                                            there("nft", "list", "table", family, "vmlet_" + installation()))
                                    .run()
                                    .succeeded()));
        }
        return this;
    }

    private List<String> there(String... command) {
        List<String> all = new ArrayList<>(place);
        all.addAll(List.of(command));
        return all;
    }

    /** Starts it and waits for nothing: it may end before it is ready. */
    public AgentProcess launch(String... more) {
        if (isAlive()) {
            throw new IllegalStateException(name + " runs already");
        }
        List<String> command = new ArrayList<>(java);
        // Before -jar and its file.
        command.addAll(command.size() - 2, jvmOptions);
        command.addAll(0, around);
        command.addAll(0, place);
        command.addAll(arguments);
        command.addAll(List.of(more));
        try {
            Files.createDirectories(home);
            launchedAt = Files.size(log);
            endSeen = false;
            process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
                    .start();
        } catch (IOException e) {
            throw new UncheckedIOException("start " + name, e);
        }
        return this;
    }

    private long launchedAt;
    private boolean endSeen;

    /** What it logged since its last start. */
    public String sinceLaunch() {
        try {
            byte[] all = Files.readAllBytes(log);
            int from = (int) Math.min(launchedAt, all.length);
            return new String(all, from, all.length - from, StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Whether it ended and nobody here had asked it to, or waited for it. */
    boolean endedByItself() {
        return process != null && !process.isAlive() && !endSeen;
    }

    public boolean isAlive() {
        return process != null && process.isAlive();
    }

    public long pid() {
        return running().pid();
    }

    /** SIGKILL, as the kernel's OOM killer or a person would; returns when it is dead. */
    public void kill() {
        running().destroyForcibly();
        awaitEnd(Duration.ofSeconds(10));
    }

    /** SIGTERM, as a kubelet would; returns the exit code. */
    public int terminate() {
        running().destroy();
        return awaitEnd(Duration.ofSeconds(30));
    }

    /** Waits for an end that comes by itself; returns the exit code. */
    public int awaitEnd(Duration patience) {
        Process it = running();
        try {
            if (!it.waitFor(patience.toMillis(), TimeUnit.MILLISECONDS)) {
                throw new AssertionError(
                        name + " did not end within " + patience.toSeconds() + " s; it says: " + logTail(20));
            }
            endSeen = true;
            return it.exitValue();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    private Process running() {
        if (process == null) {
            throw new IllegalStateException(name + " was not started");
        }
        return process;
    }

    public String name() {
        return name;
    }

    /** Records, disks, the installation id. */
    public Path stateDir() {
        return home.resolve("state");
    }

    public Path runDir() {
        return home.resolve("run");
    }

    /** Whether it ever got as far as to choose its {@link #installation}. */
    boolean hasInstalled() {
        return Files.exists(stateDir().resolve("installation"));
    }

    public String installation() {
        try {
            return Files.readString(stateDir().resolve("installation")).strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Of a standalone; with it kubectl works. */
    Path kubeconfig() {
        return stateDir().resolve("kubeconfig");
    }

    /** The names of its host objects. */
    HostNames names() {
        return new HostNames(new InstallationId(installation()));
    }

    /** Runs {@code vmlet plan} or {@code vmlet inventory} with this agent's options. */
    public String ask(String subcommand) {
        List<String> command = new ArrayList<>(java);
        command.add(subcommand);
        boolean inventory = subcommand.equals("inventory");
        for (int i = 1; i + 1 < arguments.size(); i += 2) {
            String option = arguments.get(i);
            if (option.equals("--orphan-grace")
                    || option.equals("--lease-duration")
                    || inventory && option.equals("--kubeconfig")) {
                continue;
            }
            command.add(option);
            command.add(arguments.get(i + 1));
        }
        return Command.of(command).run().mustSucceed();
    }

    /** Runs {@code vmlet evacuate} for this agent's directories; returns what it printed. */
    String evacuate(String... more) {
        List<String> command = new ArrayList<>(java);
        command.addAll(List.of("evacuate", "--state-dir", stateDir().toString(), "--run-dir", runDir().toString()));
        command.addAll(List.of(more));
        return Command.of(command).within(PATIENCE).run().mustSucceed();
    }

    /** Starts the same again beside this one, and returns what it said before it ended with an error. */
    String startAgain() {
        List<String> command = new ArrayList<>(java);
        command.addAll(arguments);
        Command.Ended ended = Command.of(command).run();
        if (ended.succeeded()) {
            throw new AssertionError("a second " + name + " ran: " + ended.output());
        }
        return ended.output();
    }

    public String logTail(int lines) {
        try {
            List<String> all = Files.readAllLines(log);
            return String.join("\n", all.subList(Math.max(0, all.size() - lines), all.size()));
        } catch (IOException e) {
            return "no log: " + e;
        }
    }

    /** Ends the process; guests go on. */
    @Override
    public void close() {
        if (isAlive()) {
            kill();
        }
    }
}
