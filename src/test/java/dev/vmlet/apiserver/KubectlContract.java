package dev.vmlet.apiserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What kubectl prints when it talks to an API server, word for word: the newest and the oldest that we care for play the
 * scenarios of {@code src/test/resources/kubectl}, and what is said must equal the transcript of that kubectl and a real
 * kube-apiserver. Write the transcripts anew with {@code -Dtest=RealKubectlE2E -Dgolden=update}.
 *
 * <p>The kubectls are {@code kubectl} in KUBEBUILDER_ASSETS (hack/envtest/install) and VMLET_KUBECTL_OLDEST
 * (hack/envtest/oldest-kubectl).
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(180)
abstract class KubectlContract {
    private static final Path RESOURCES = Path.of("src/test/resources/kubectl").toAbsolutePath();
    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

    /** What differs from run to run, and what stands for it in a transcript. */
    private static final List<Map.Entry<Pattern, String>> CHANCE = List.of(
            Map.entry(Pattern.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UID"),
            Map.entry(Pattern.compile("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ"), "TIME"),
            Map.entry(
                    Pattern.compile(
                            "(?<=resourceVersion[\\\\\"]{0,2}: ?[\\\\\"]{1,2})\\d+|(?<=Resource Version: {1,9})\\d+"),
                    "VERSION"),
            Map.entry(Pattern.compile("(?<=/(LIVE|MERGED)-)\\d+"), "RANDOM"),
            Map.entry(Pattern.compile("(?<=\\t)\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d+ [+-]\\d{4}"), "TIME"),
            Map.entry(
                    Pattern.compile("[A-Z][a-z]{2}, \\d\\d [A-Z][a-z]{2} \\d{4} \\d\\d:\\d\\d:\\d\\d [+-]\\d{4}"),
                    "TIME"),
            Map.entry(Pattern.compile("(?<=  |^)(\\d+m)?\\d+s(?=  |$)", Pattern.MULTILINE), "AGE"));

    /** A column is as wide as its widest cell, and ages come in many widths. */
    private static final Pattern PADDING = Pattern.compile("(?<=AGE) {2,}(?=\\S)");

    /**
     * What kubectl 1.36 logs besides of a watch that its own deadline ended, when the server speaks HTTP/1.1 as ours
     * does. README names it under Limits.
     */
    private static final Pattern ENDED_WATCH = Pattern.compile("(?m)^[EIW]\\d{4} .* reflector\\.go:.*\\R");

    @TempDir
    Path directory;

    /** How to reach the server under test; skips aloud when there is none. */
    abstract Path kubeconfig();

    enum Kubectl {
        NEWEST("1.36"),
        OLDEST("1.28");

        final String version;

        Kubectl(String version) {
            this.version = version;
        }

        Path program() {
            String variable = this == NEWEST ? "KUBEBUILDER_ASSETS" : "VMLET_KUBECTL_OLDEST";
            String value = System.getenv(variable);
            assumeTrue(
                    value != null && !value.isEmpty(),
                    "SKIPPED: kubectl " + version + " was not tried, " + variable + " is not set");
            return this == NEWEST ? Path.of(value, "kubectl") : Path.of(value);
        }
    }

    record Case(Kubectl kubectl, String scenario) {
        @Override
        public String toString() {
            return kubectl.version + " " + scenario;
        }
    }

    static Stream<Case> cases() throws IOException {
        List<String> scenarios;
        try (Stream<Path> files = Files.list(RESOURCES.resolve("scenarios"))) {
            scenarios = files.map(file -> file.getFileName().toString().replace(".sh", ""))
                    .sorted()
                    .toList();
        }
        return Stream.of(Kubectl.values()).flatMap(kubectl -> scenarios.stream().map(each -> new Case(kubectl, each)));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void saysWhatItSaysToKubernetes(Case played) throws IOException, InterruptedException {
        Path server = kubeconfig();
        Path program = played.kubectl().program();
        String namespace = "k-" + UUID.randomUUID();
        try (Wire wire = new Wire(Endpoint.of(server))) {
            wire.post("/api/v1/namespaces", Wire.read("""
                    {apiVersion: v1, kind: Namespace, metadata: {name: %s}}
                    """.formatted(namespace))).expect(201);
        }
        Path transcript = RESOURCES.resolve(played.kubectl().version).resolve(played.scenario() + ".txt");
        String said = play(played.scenario(), program, server, namespace);
        if (System.getProperty("golden", "").equals("update") && mayUpdate()) {
            Files.createDirectories(transcript.getParent());
            Files.writeString(transcript, said);
        }
        Path seen = Path.of("target/kubectl")
                .resolve(
                        getClass().getSimpleName() + "-" + played.kubectl().version + "-" + played.scenario() + ".txt");
        Files.createDirectories(seen.getParent());
        Files.writeString(seen, said);
        assertThat(said).as("diff %s %s", transcript, seen).isEqualTo(Files.readString(transcript));
    }

    /** Only a real server says what is right. */
    boolean mayUpdate() {
        return false;
    }

    private String play(String scenario, Path program, Path server, String namespace)
            throws IOException, InterruptedException {
        Path stage = Files.createTempDirectory(directory, scenario);
        try (Stream<Path> manifests = Files.list(RESOURCES.resolve("manifests"))) {
            for (Path each : manifests.toList()) {
                Files.copy(each, stage.resolve(each.getFileName()), StandardCopyOption.COPY_ATTRIBUTES);
            }
        }
        Path bin = Files.createDirectory(stage.resolve(".bin"));
        Path kubectl = Files.writeString(
                bin.resolve("kubectl"), "#!/bin/sh\nexec '" + program.toAbsolutePath() + "' \"$@\"\n");
        Files.setPosixFilePermissions(kubectl, PosixFilePermissions.fromString("rwxr-xr-x"));
        Path own = stage.resolve(".kubeconfig");
        ObjectNode config = (ObjectNode) YAML.readTree(server.toFile());
        ((ObjectNode) config.at("/contexts/0/context")).put("namespace", namespace);
        YAML.writeValue(own.toFile(), config);

        // kubectl keeps what it discovered below HOME, by server: a home per scenario trusts nothing from before.
        ProcessBuilder builder = new ProcessBuilder(
                        RESOURCES.resolve("play").toString(),
                        RESOURCES.resolve("scenarios/" + scenario + ".sh").toString())
                .directory(stage.toFile())
                .redirectErrorStream(true)
                .redirectOutput(stage.resolve(".said").toFile());
        builder.environment().clear();
        builder.environment()
                .putAll(Map.of(
                        "PATH",
                        bin + ":/usr/local/bin:/usr/bin:/bin",
                        "HOME",
                        stage.toString(),
                        "KUBECONFIG",
                        own.toString(),
                        "NAMESPACE",
                        namespace,
                        "LC_ALL",
                        "C.UTF-8",
                        "TZ",
                        "UTC"));
        Process process = builder.start();
        boolean ended = process.waitFor(150, TimeUnit.SECONDS);
        if (!ended) process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
        String said = Files.readString(stage.resolve(".said"));
        assertThat(ended).as("ended in time; so far:%n%s", said).isTrue();
        JsonNode cluster = config.at("/clusters/0/cluster/server");
        return withoutChance(
                said, text -> text.replace(namespace, "NAMESPACE").replace(cluster.asText(), "https://SERVER"));
    }

    private static String withoutChance(String said, UnaryOperator<String> names) {
        String text = ENDED_WATCH.matcher(names.apply(said)).replaceAll("");
        for (Map.Entry<Pattern, String> each : CHANCE) {
            text = each.getKey().matcher(text).replaceAll(each.getValue());
        }
        return PADDING.matcher(text).replaceAll("   ");
    }
}
