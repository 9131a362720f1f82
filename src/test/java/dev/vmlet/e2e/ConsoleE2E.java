package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ExtendWith;

/** {@code vmlet console} and {@code vmlet logs} at a guest that offers a shell on its console. */
@ExtendWith(EndToEnd.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ConsoleE2E {
    private static final String NS = "consoles";
    private static final byte ESCAPE = ']' - '@';

    private boolean ready;

    /** Kept, because the cluster starts a dead one anew when asked for it. */
    private AgentProcess agent;

    @BeforeEach
    void boot(Cluster cluster) {
        agent = cluster.agent();
        if (!ready) {
            cluster.namespace(NS);
            cluster.apply(Cluster.network(NS, "lab") + cluster.tiny(NS, "web", "a", "lab"));
            cluster.awaitReady(NS, "web");
            assertThat(agent.isAlive()).isTrue();
            ready = true;
        }
    }

    private List<String> vmlet(Cluster cluster, String... words) {
        List<String> command = new ArrayList<>(cluster.java());
        command.addAll(List.of(words));
        command.addAll(List.of(
                "-n",
                NS,
                "--state-dir",
                agent.stateDir().toString(),
                "--run-dir",
                agent.runDir().toString()));
        return command;
    }

    /** Somebody at the console, with what is on the screen in a file. */
    private record Visitor(Process process, Path screen) implements AutoCloseable {
        static Visitor of(Path dir, List<String> command) throws IOException {
            Path screen = Files.createTempFile(dir, "screen", "");
            return new Visitor(
                    new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(screen.toFile())
                            .start(),
                    screen);
        }

        void type(String keys) throws IOException {
            OutputStream in = process.getOutputStream();
            in.write(keys.getBytes(StandardCharsets.UTF_8));
            in.flush();
        }

        String shown() throws IOException {
            return Files.readString(screen, StandardCharsets.ISO_8859_1);
        }

        void awaitShown(String text) {
            Cluster.await("the screen shows " + text, Cluster.SOON, () -> shown().contains(text));
        }

        int awaitEnd() throws InterruptedException, IOException {
            assertThat(process.waitFor(30, TimeUnit.SECONDS)).as(shown()).isTrue();
            return process.exitValue();
        }

        @Override
        public void close() {
            process.destroyForcibly();
        }
    }

    /** The guest's shell answers with what was not typed. */
    private static void ask(Visitor writer, int a, int b) throws IOException {
        writer.type("\r");
        writer.type("echo answer-$((" + a + " * " + b + "))\r");
        writer.awaitShown("answer-" + a * b);
    }

    @Test
    @Order(1)
    void oneWritesAndOthersReadAlong(Cluster cluster) throws Exception {
        try (Visitor writer = Visitor.of(cluster.dir(), vmlet(cluster, "console", "web"))) {
            writer.awaitShown("[vmlet: Console of " + NS + "/web. Leave with Ctrl-].]");
            writer.awaitShown("vmlet-tiny: ready");
            ask(writer, 6, 7);
            try (Visitor reader = Visitor.of(cluster.dir(), vmlet(cluster, "console", NS + "/web"))) {
                reader.awaitShown("writes here, so you only read along");
                ask(writer, 7, 9);
                reader.awaitShown("answer-63");
                try (Visitor taker = Visitor.of(cluster.dir(), vmlet(cluster, "console", "web", "--take"))) {
                    writer.awaitShown("has taken the keyboard");
                    ask(taker, 11, 12);
                    reader.awaitShown("answer-132");
                    taker.type(String.valueOf((char) ESCAPE));
                    assertThat(taker.awaitEnd()).isZero();
                }
            }
        }
    }

    @Test
    @Order(2)
    void aTerminalIsRawMeanwhileAndAsBeforeAfterwards(Cluster cluster) throws Exception {
        Path before = cluster.dir().resolve("stty-before");
        Path during = cluster.dir().resolve("stty-during");
        Path after = cluster.dir().resolve("stty-after");
        Path tty = cluster.dir().resolve("tty");
        Path pid = cluster.dir().resolve("console-pid");
        String console = String.join(" ", vmlet(cluster, "console", "web"));
        for (String end : List.of("escape", "SIGTERM")) {
            String inside = "tty >" + tty + "; stty -a >" + before + "; sh -c 'echo $$ >" + pid + "; exec " + console
                    + "'; echo code $?; stty -a >" + after + "; sleep 1";
            try (Visitor person = Visitor.of(cluster.dir(), List.of("script", "-q", "-f", "-c", inside, "/dev/null"))) {
                person.awaitShown("Leave with Ctrl-]");
                ask(person, 8, 9);
                String terminal = Files.readString(tty).strip();
                Files.writeString(
                        during, Command.of("stty", "-a", "-F", terminal).run().mustSucceed());
                assertThat(during)
                        .content()
                        .contains("-icanon")
                        .contains("-isig")
                        .contains("-echo ");
                if (end.equals("escape")) {
                    person.type(String.valueOf((char) ESCAPE));
                    person.awaitShown("code 0");
                } else {
                    Command.of("kill", "-TERM", Files.readString(pid).strip())
                            .run()
                            .mustSucceed();
                    person.awaitShown("code 143");
                }
                Cluster.await("stty ran again", Cluster.SOON, () -> Files.exists(after) && Files.size(after) > 0);
                assertThat(after).as("after %s", end).hasSameTextualContentAs(before);
                Files.delete(after);
            }
        }
    }

    @Test
    @Order(3)
    void theAgentsDeathEndsTheVisitAndNotTheGuest(Cluster cluster) throws Exception {
        Cluster.Life life = cluster.life(NS, "web");
        try (Visitor writer = Visitor.of(cluster.dir(), vmlet(cluster, "console", "web"))) {
            ask(writer, 3, 5);
            agent.kill();
            writer.awaitShown("[vmlet: The agent has ended, and this console with it. The guest goes on; join again"
                    + " when the agent is back.]");
            assertThat(writer.awaitEnd()).isEqualTo(1);
        }
        Command.Ended refused = Command.of(vmlet(cluster, "console", "web")).run();
        assertThat(refused.code()).isEqualTo(1);
        assertThat(refused.output())
                .isEqualTo("vmlet: the agent of this host does not run, or has not found the guest yet. The guest of "
                        + NS + "/web goes on as process " + life.pid() + "; start the agent to join it. `vmlet logs "
                        + NS + "/web` shows what it wrote\n");
        // QEMU writes the log itself: it goes on without the agent.
        assertThat(cluster.guest(NS, "web").ssh("echo while-alone > /dev/console; echo said"))
                .isEqualTo("said");
        Cluster.await(
                "the log has what was said while no agent ran",
                Cluster.SOON,
                () -> Command.of(vmlet(cluster, "logs", "web", "--tail", "20"))
                        .run()
                        .mustSucceed()
                        .contains("while-alone"));
        agent.start();
        Cluster.await("the console can be joined again", Cluster.SOON, () -> {
            try (Visitor writer = Visitor.of(cluster.dir(), vmlet(cluster, "console", "web"))) {
                Cluster.await(
                        "it joined or was refused",
                        Duration.ofSeconds(30),
                        () -> writer.shown().contains("Leave with")
                                || !writer.process().isAlive());
                if (!writer.process().isAlive()) {
                    return false;
                }
                ask(writer, 5, 7);
                return true;
            }
        });
        assertThat(cluster.life(NS, "web")).isEqualTo(life);
    }

    @Test
    @Order(4)
    void logsFollowTheGuest(Cluster cluster) throws Exception {
        try (Visitor reader = Visitor.of(cluster.dir(), vmlet(cluster, "logs", "web", "-f", "--tail", "0"))) {
            Cluster.await("it follows", Cluster.SOON, () -> {
                cluster.guest(NS, "web").ssh("echo said-$((4 * 5)) > /dev/console");
                return reader.shown().contains("said-20");
            });
            assertThat(reader.shown()).doesNotContain("vmlet-tiny: ready");
        }
        assertThat(Command.of(vmlet(cluster, "logs", "web")).run().mustSucceed())
                .contains("vmlet-tiny: seed", "vmlet-tiny: ready", "answer-42");
    }

    @Test
    @Order(5)
    void whatIsNotThereIsSaid(Cluster cluster) {
        assertThat(Command.of(vmlet(cluster, "logs", "wbe")).run())
                .extracting(Command.Ended::code, Command.Ended::output)
                .containsExactly(1, "vmlet: this host runs no VM " + NS + "/wbe; it has " + NS + "/web\n");
        cluster.kubectl(
                "patch", "vm", "web", "-n", NS, "--type=merge", "-p", "{\"spec\":{\"runStrategy\":\"Halted\"}}");
        Cluster.await(
                "it has stopped",
                Cluster.SOON,
                () -> cluster.kubectl("get", "vm", "web", "-n", NS, "-o", "jsonpath={.status.phase}")
                        .equals("Stopped"));
        assertThat(Command.of(vmlet(cluster, "console", "web")).run())
                .extracting(Command.Ended::code, Command.Ended::output)
                .containsExactly(
                        1,
                        "vmlet: " + NS + "/web does not run now, so it has no console. `vmlet logs " + NS
                                + "/web` shows what it wrote\n");
        cluster.kubectl("delete", "vm", "web", "-n", NS);
        cluster.awaitGone(NS, "web");
    }
}
