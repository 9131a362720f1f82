package dev.vmlet;

import static java.util.stream.Collectors.joining;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/**
 * The house plan as a test: which package may know which, what the pure zone may not touch, what nobody may do. It reads
 * the sources without their comments and texts, so a javadoc may speak of what the code must not do.
 */
class TidyTest {
    private static final Path MAIN = Path.of("src/main/java");
    private static final Path README = Path.of("README.md");
    private static final String HOUSE = "dev.vmlet";
    private static final int LINES_MAX = 600;

    /** Package, relative to the house, and the packages that it may import. A new room gets a row here. */
    private static final Map<String, Set<String>> ARROWS = Map.ofEntries(
            Map.entry("api", Set.of()),
            Map.entry("model", Set.of()),
            Map.entry("resolve", Set.of("api", "model")),
            Map.entry("plan", Set.of("model")),
            Map.entry("status", Set.of("api", "model", "plan")),
            Map.entry("doctor", Set.of("model")),
            Map.entry("host", Set.of("model", "plan")),
            Map.entry("host.net", Set.of("model", "host", "plan", "doctor")),
            Map.entry("host.console", Set.of("model")),
            Map.entry("host.vmm", Set.of("model", "host", "plan", "host.console", "host.files", "doctor")),
            Map.entry("host.vmm.cloudhypervisor", Set.of("model", "host", "plan", "host.vmm")),
            Map.entry("host.vmm.qemu", Set.of("model", "host", "plan", "host.vmm")),
            Map.entry("host.files", Set.of("model", "host", "plan")),
            Map.entry("host.disk", Set.of("model", "host", "plan", "host.files")),
            Map.entry("host.docker", Set.of("model", "host", "host.disk", "host.files")),
            Map.entry("host.login", Set.of()),
            Map.entry("host.probe", Set.of("model", "host")),
            Map.entry(
                    "host.survey",
                    Set.of("model", "host", "doctor", "host.net", "host.vmm", "host.files", "host.disk")),
            Map.entry("health", Set.of()),
            Map.entry("metrics", Set.of("api", "model", "plan", "host")),
            Map.entry("controller", Set.of("api", "model", "resolve", "plan", "status", "host", "health", "metrics")),
            Map.entry("manifests", Set.of()),
            Map.entry("apiserver", Set.of("api", "model", "apiserver.schema", "apiserver.store")),
            Map.entry("apiserver.schema", Set.of()),
            Map.entry("apiserver.store", Set.of()));

    /** The rooms where everything meets: commands, and the wiring in the root. */
    private static final Set<String> KNOW_EVERYTHING = Set.of("", "cli");

    /** No input, output, clock, chance or framework: same values in, same values out. */
    private static final Set<String> PURE = Set.of("model", "resolve", "plan", "status", "doctor");

    private static final List<String> IMPURE = List.of(
            "java.io.",
            "java.net.",
            "java.nio.file.",
            "java.security.SecureRandom",
            "java.time.Clock",
            "java.util.Random",
            "java.util.concurrent.ThreadLocalRandom",
            "java.util.random.",
            "java.util.logging.",
            "org.slf4j.",
            "io.fabric8.",
            "io.javaoperatorsdk.");
    private static final Set<String> PURE_ALL_THE_SAME = Set.of("java.net.URI");

    /** Where objects of the API are read, the words of Kubernetes are needed, but never its client. */
    private static final Set<String> SPEAK_KUBERNETES = Set.of("resolve", "status");

    private static final String KUBERNETES_WORDS = "io.fabric8.kubernetes.api.model.";

    private static final Pattern IMPURE_CALL = Pattern.compile(
            "\\b(?:(?:Instant|LocalDate|LocalTime|LocalDateTime|OffsetDateTime|ZonedDateTime)\\.now|Math\\.random"
                    + "|System\\.(?:currentTimeMillis|nanoTime|getenv|getProperty)|UUID\\.randomUUID)\\s*\\(");
    private static final Pattern SLEEP = Pattern.compile("\\bThread\\s*\\.\\s*sleep\\s*\\(");
    private static final Pattern PROCESS =
            Pattern.compile("\\bProcessBuilder\\b|\\bRuntime\\s*\\.\\s*getRuntime\\s*\\(\\s*\\)\\s*\\.\\s*exec\\b");
    private static final Pattern QUALIFIED = Pattern.compile("\\b(?:dev|java|javax|org|io|com)(?:\\.\\w+)+(?:\\.\\*)?");
    private static final Pattern NOT_CODE = Pattern.compile(
            "//[^\\n]*|/\\*.*?\\*/|\"\"\".*?(?<!\\\\)\"\"\"|\"(?:[^\"\\\\\\n]|\\\\.)*\"|'(?:[^'\\\\\\n]|\\\\.)+'",
            Pattern.DOTALL);

    private static final Pattern IN_BACKTICKS = Pattern.compile("`(?:\\./)?([A-Za-z0-9._/-]+)[^`\\n]*`");
    private static final Pattern REPOSITORY_PATH = Pattern.compile(
            "(?:src|bench|bin|crd|examples|hack|helm|docs|\\.github|\\.mvn)(?:/.*)?|[\\w.-]+\\.(?:md|xml|yaml|java)|mvnw|LICENSE");

    private record Source(String path, String text) {
        /** The text with comments and string literals blanked; line ends stay, so that line numbers hold. */
        String code() {
            return NOT_CODE.matcher(text)
                    .replaceAll(found -> Matcher.quoteReplacement(found.group().replaceAll("[^\\n]", " ")));
        }

        /** Relative to the house; empty for the root. */
        String room() {
            String directory = path.substring(path.indexOf("dev/vmlet") + "dev/vmlet".length(), path.lastIndexOf('/'));
            return directory.isEmpty() ? "" : directory.substring(1).replace('/', '.');
        }
    }

    @Test
    void importsFollowTheHousePlan() throws IOException {
        assertThat(violations(sources(), TidyTest::arrows)).isEmpty();
    }

    @Test
    void thePureZoneIsPure() throws IOException {
        assertThat(violations(sources(), TidyTest::impurities)).isEmpty();
    }

    @Test
    void nobodySleepsAndOnlyTheHostStartsProcesses() throws IOException {
        assertThat(violations(sources(), TidyTest::bannedCalls)).isEmpty();
    }

    @Test
    void filesFitAHead() throws IOException {
        assertThat(violations(sources(), TidyTest::length)).isEmpty();
    }

    @Test
    void theReadmeNamesFilesThatExist() throws IOException {
        if (!Files.exists(README)) return;
        assertThat(missingPaths(Files.readString(README))).isEmpty();
    }

    // The rules themselves: each must find what it is there for, and nothing else.

    @Test
    void findsAWrongArrow() {
        assertThat(arrows(source("plan/Planner", """
                package dev.vmlet.plan;

                import dev.vmlet.api.VirtualMachineSpec.Cpu;
                import static dev.vmlet.model.VmId.of;
                /** Not {@link dev.vmlet.host.Applier}. */
                class Planner { String s = "dev.vmlet.host"; dev.vmlet.host.net.Links links; }
                """)))
                .containsExactly(
                        "src/main/java/dev/vmlet/plan/Planner.java:3: plan may not know api, only [model]",
                        "src/main/java/dev/vmlet/plan/Planner.java:6: plan may not know host.net, only [model]");
    }

    @Test
    void letsTheRootAndTheCommandsKnowEverything() {
        assertThat(arrows(source("Main", "import dev.vmlet.host.net.Links;"))).isEmpty();
        assertThat(arrows(source("cli/Plan", "import dev.vmlet.host.vmm.qemu.Qemu;")))
                .isEmpty();
    }

    @Test
    void asksForARowForANewRoom() {
        assertThat(arrows(source("util/Things", "package dev.vmlet.util;")))
                .containsExactly("src/main/java/dev/vmlet/util/Things.java:1: no row in TidyTest for package util");
    }

    @Test
    void findsImpurities() {
        assertThat(impurities(source("resolve/Resolver", """
                import java.net.URI;
                import java.net.Socket;
                import io.fabric8.kubernetes.api.model.Quantity;
                import io.fabric8.kubernetes.client.KubernetesClient;
                import java.time.Instant;
                class Resolver { // Instant.now() comes in as an argument
                    Instant t = Instant.now();
                    long n = System.nanoTime();
                }
                """)))
                .containsExactly(
                        "src/main/java/dev/vmlet/resolve/Resolver.java:2: java.net.Socket in the pure zone",
                        "src/main/java/dev/vmlet/resolve/Resolver.java:4: io.fabric8.kubernetes.client.KubernetesClient"
                                + " in the pure zone",
                        "src/main/java/dev/vmlet/resolve/Resolver.java:7: Instant.now( in the pure zone",
                        "src/main/java/dev/vmlet/resolve/Resolver.java:8: System.nanoTime( in the pure zone");
        assertThat(impurities(source("plan/Planner", "import io.fabric8.kubernetes.api.model.Quantity;")))
                .hasSize(1);
        assertThat(impurities(source("host/Applier", "import java.io.File;"))).isEmpty();
    }

    @Test
    void findsSleepsAndProcesses() {
        String acts = """
                class Acts {
                    void sleep() { Thread.sleep(5); }
                    void run() { new ProcessBuilder("true"); }
                }
                """;
        assertThat(bannedCalls(source("controller/Acts", acts)))
                .containsExactly(
                        "src/main/java/dev/vmlet/controller/Acts.java:2: Thread.sleep( anywhere: wait for an event or a"
                                + " deadline instead",
                        "src/main/java/dev/vmlet/controller/Acts.java:3: ProcessBuilder outside host");
        assertThat(bannedCalls(source("host/disk/Acts", acts))).hasSize(1);
    }

    @Test
    void findsLongFiles() {
        assertThat(length(source("plan/Long", "\n".repeat(LINES_MAX)))).isEmpty();
        assertThat(length(source("plan/Long", "\n".repeat(LINES_MAX + 1))))
                .containsExactly("src/main/java/dev/vmlet/plan/Long.java:601: 601 lines, at most 600: look for a second"
                        + " noun inside");
    }

    @Test
    void findsPathsThatAreGone() {
        assertThat(missingPaths("""
                See `pom.xml`, `src/main/java`, `./mvnw -q verify` and `kubectl get vm`, not `src/nowhere/Gone.java`.
                Or `hack/gone --help`, but never `crd/<name>.yaml`.
                """))
                .containsExactly(
                        "README.md:1: src/nowhere/Gone.java does not exist", "README.md:2: hack/gone does not exist");
    }

    private static List<String> arrows(Source source) {
        String room = source.room();
        if (KNOW_EVERYTHING.contains(room)) return List.of();
        Set<String> allowed = ARROWS.get(room);
        if (allowed == null) return List.of(source.path() + ":1: no row in TidyTest for package " + room);
        return find(QUALIFIED, source, name -> {
            if (!name.startsWith(HOUSE + ".")) return null;
            String known = roomOf(name);
            boolean mayKnow = known.equals(room) || allowed.contains(known);
            return mayKnow
                    ? null
                    : room + " may not know " + (known.isEmpty() ? "the root" : known) + ", only "
                            + new TreeSet<>(allowed);
        });
    }

    private static List<String> impurities(Source source) {
        if (!PURE.contains(source.room())) return List.of();
        List<String> found = new ArrayList<>(find(QUALIFIED, source, name -> {
            boolean spoken = SPEAK_KUBERNETES.contains(source.room()) && name.startsWith(KUBERNETES_WORDS);
            boolean impure = IMPURE.stream().anyMatch((name + ".")::startsWith) && !spoken;
            return impure && !PURE_ALL_THE_SAME.contains(name) ? name + " in the pure zone" : null;
        }));
        found.addAll(find(IMPURE_CALL, source, call -> call + " in the pure zone"));
        return found;
    }

    private static List<String> bannedCalls(Source source) {
        List<String> found = new ArrayList<>(
                find(SLEEP, source, call -> call + " anywhere: wait for an event or a deadline instead"));
        boolean host = source.room().equals("host") || source.room().startsWith("host.");
        if (!host) found.addAll(find(PROCESS, source, call -> call + " outside host"));
        return found;
    }

    private static List<String> length(Source source) {
        long lines = source.text().lines().count();
        if (lines <= LINES_MAX) return List.of();
        return List.of(source.path() + ":" + lines + ": " + lines + " lines, at most " + LINES_MAX
                + ": look for a second noun inside");
    }

    private static List<String> missingPaths(String readme) {
        List<String> missing = new ArrayList<>();
        Matcher quoted = IN_BACKTICKS.matcher(readme);
        while (quoted.find()) {
            String path = quoted.group(1);
            // What goes on with a placeholder, as in `crd/<name>.yaml`, names a form, not a file.
            boolean form = "<*{$…".indexOf(readme.charAt(quoted.end(1))) >= 0;
            if (!form && REPOSITORY_PATH.matcher(path).matches() && !Files.exists(Path.of(path))) {
                missing.add(README + ":" + lineOf(readme, quoted.start()) + ": " + path + " does not exist");
            }
        }
        return missing;
    }

    private interface Rule {
        List<String> violations(Source source);
    }

    private interface Verdict {
        /** What is wrong with this find, or null. */
        @Nullable
        String on(String find);
    }

    private static List<String> find(Pattern pattern, Source source, Verdict verdict) {
        List<String> found = new ArrayList<>();
        String code = source.code();
        Matcher matcher = pattern.matcher(code);
        while (matcher.find()) {
            // The package line says where the file is, not what it knows.
            if (code.startsWith("package ", code.lastIndexOf('\n', matcher.start()) + 1)) continue;
            String wrong = verdict.on(matcher.group());
            if (wrong != null) found.add(source.path() + ":" + lineOf(code, matcher.start()) + ": " + wrong);
        }
        return found;
    }

    private static List<String> violations(List<Source> sources, Rule rule) {
        return sources.stream()
                .flatMap(source -> rule.violations(source).stream())
                .toList();
    }

    /** {@code dev.vmlet.host.net.Links.open} is in room {@code host.net}: class names begin with a capital. */
    private static String roomOf(String name) {
        return Stream.of(name.substring(HOUSE.length() + 1).split("\\.", -1))
                .takeWhile(part -> Character.isLowerCase(part.charAt(0)))
                .collect(joining("."));
    }

    private static long lineOf(String text, int offset) {
        return text.substring(0, offset).chars().filter(c -> c == '\n').count() + 1;
    }

    private static Source source(String name, String text) {
        return new Source("src/main/java/dev/vmlet/" + name + ".java", text);
    }

    private static List<Source> sources() throws IOException {
        try (Stream<Path> paths = Files.walk(MAIN)) {
            List<Source> sources = new ArrayList<>();
            for (Path path : paths.filter(each -> each.toString().endsWith(".java"))
                    .sorted()
                    .toList()) {
                sources.add(new Source(path.toString(), Files.readString(path)));
            }
            assertThat(sources).as("sources under " + MAIN).isNotEmpty();
            return sources;
        }
    }
}
