package dev.vmlet;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** What a person reads at the command line: help texts as golden files, errors and exit codes. */
class CommandLineTest {
    private static final Path HELP = Path.of("src/test/resources/help");
    private static final boolean UPDATE = "update".equals(System.getProperty("golden"));

    private record Said(int code, String out, String err) {}

    private static Said run(String... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine commands = Main.commandLine()
                .setOut(new PrintWriter(out))
                .setErr(new PrintWriter(err))
                .setUsageHelpAutoWidth(false)
                .setUsageHelpWidth(100)
                .setColorScheme(CommandLine.Help.defaultColorScheme(CommandLine.Help.Ansi.OFF));
        int code = commands.execute(arguments);
        return new Said(code, out.toString(), err.toString());
    }

    private static Map<String, String> helps() {
        Map<String, String> helps = new TreeMap<>();
        helps.put("vmlet.txt", run("--help").out());
        Main.commandLine()
                .getSubcommands()
                .keySet()
                .forEach(name ->
                        helps.put("vmlet-" + name + ".txt", run(name, "--help").out()));
        return helps;
    }

    @TestFactory
    Stream<DynamicTest> helpIsAsWritten() {
        return helps().entrySet().stream()
                .map(help -> DynamicTest.dynamicTest(help.getKey(), () -> {
                    Path golden = HELP.resolve(help.getKey());
                    if (UPDATE) {
                        Files.createDirectories(HELP);
                        Files.writeString(golden, help.getValue());
                    }
                    assertThat(golden)
                            .as("read the new help aloud, then: ./mvnw test -Dtest=CommandLineTest -Dgolden=update")
                            .content()
                            .isEqualTo(help.getValue());
                }));
    }

    @Test
    void everyHelpFileIsOfACommand() throws IOException {
        try (Stream<Path> files = Files.list(HELP)) {
            Set<String> there =
                    files.map(f -> f.getFileName().toString()).collect(Collectors.toCollection(TreeSet::new));
            assertThat(there).isEqualTo(helps().keySet());
        }
    }

    @Test
    void withoutACommandItSaysWhichThereAre() {
        Said said = run();
        assertThat(said.code()).isEqualTo(2);
        assertThat(said.err()).startsWith("Usage: vmlet [-hV] [COMMAND]\n");
        assertThat(said.out()).isEmpty();
    }

    @Test
    void aWrongOptionIsNamedAndTheHelpToo() {
        assertThat(run("doctor", "--foo"))
                .isEqualTo(new Said(2, "", "vmlet: Unknown option: '--foo'\nTry 'vmlet doctor --help'.\n"));
        assertThat(run("docter").code()).isEqualTo(2);
        assertThat(run("docter").err()).contains("Did you mean: vmlet doctor");
        assertThat(run("logs").err()).isEqualTo("vmlet: Missing required parameter: 'VM'\nTry 'vmlet logs --help'.\n");
        assertThat(run("logs", "web", "--tail", "-1"))
                .isEqualTo(new Said(
                        2,
                        "",
                        "vmlet: Invalid value for option '--tail': -1 lines; at least 0\nTry 'vmlet logs --help'.\n"));
        assertThat(run("console", "web", "--escape-key", "x").err())
                .startsWith("vmlet: Invalid value for option '--escape-key': a control key such as ^] or ^A, or none,"
                        + " is expected, not 'x'\n");
        assertThat(run("console", "web", "--take", "--read-only").code()).isEqualTo(2);
        assertThat(run("agent", "--vm-user-ids", "100:5").err()).contains("100:5 is no usable range");
    }

    @Test
    void aVmThatIsNotThereIsAnsweredWithThoseThatAre(@TempDir Path dir) throws IOException {
        assertThat(run("logs", "web", "--state-dir", dir.toString()))
                .isEqualTo(new Said(
                        1, "", "vmlet: no agent has run with the state directory " + dir + "; give its --state-dir\n"));
        Files.createDirectories(dir.resolve("vms"));
        Files.createDirectories(dir.resolve("networks"));
        assertThat(run("console", "web", "-n", "lab", "--state-dir", dir.toString()))
                .isEqualTo(new Said(1, "", "vmlet: this host runs no VM lab/web; it has none at all\n"));
    }

    @Test
    void anUnusableKubeconfigIsNamed(@TempDir Path dir) throws IOException {
        Path file = dir.resolve("config");
        assertThat(run("controller", "--kubeconfig", file.toString()))
                .isEqualTo(new Said(1, "", "vmlet: --kubeconfig " + file + " does not exist\n"));
        Files.writeString(file, "apiVersion: v1\nkind: Config\n");
        assertThat(run("controller", "--kubeconfig", file.toString()))
                .isEqualTo(new Said(
                        1,
                        "",
                        "vmlet: --kubeconfig " + file
                                + " has no current context; kubectl config use-context sets one\n"));
        Files.writeString(file, "{{{");
        assertThat(run("controller", "--kubeconfig", file.toString()).err())
                .startsWith("vmlet: --kubeconfig " + file + " ")
                .hasLineCount(1);
    }

    @Test
    void doctorsExitCodeIsItsVerdict(@TempDir Path dir) throws IOException {
        Said said = run("doctor", "-o", "json", "--state-dir", dir.toString(), "--run-dir", dir + "/run");
        JsonNode answer = new JsonMapper().readTree(said.out());
        assertThat(said.err()).isEmpty();
        assertThat(said.code())
                .as(said.out())
                .isEqualTo(List.of("ok", "warn", "fail")
                        .indexOf(answer.path("verdict").asText()));
        assertThat(answer.path("findings").findValuesAsText("check"))
                .contains(
                        "root", "kvm", "kernel", "nftables", "tun", "cgroup", "state-dir", "firewall", "network-pool");
        assertThat(dir).as("it tried writing, and left nothing").isEmptyDirectory();
    }

    @Test
    void aStateDirectoryOfANewerVmletIsNamedWithTheRemedy(@TempDir Path dir) throws Exception {
        assumeTrue(
                System.getProperty("user.name").equals("root"),
                "SKIPPED: nobody looked into a newer vmlet's state directory: inventory needs root");
        Files.writeString(dir.resolve("format"), "99\n");
        Files.writeString(dir.resolve("installation"), "inst2345\n");
        Said said = run("inventory", "--state-dir", dir.toString());
        assertThat(said.code()).isNotZero();
        assertThat(said.err())
                .startsWith("vmlet: open state directory " + dir + ": it has format 99, which a newer vmlet wrote");
    }

    @Test
    void versionTellsWhatABugReportNeeds() {
        Said said = run("version");
        assertThat(said.code()).isZero();
        assertThat(said.out().lines().map(line -> line.split(" ")[0]))
                .containsExactly("vmlet", "commit", "java", "cloud-hypervisor");
    }
}
