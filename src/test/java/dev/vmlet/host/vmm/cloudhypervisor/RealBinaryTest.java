package dev.vmlet.host.vmm.cloudhypervisor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.vmlet.host.vmm.Hosts;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.VmmKind;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Holds our command line against a real cloud-hypervisor's own help, which names every option and key it knows. Needs
 * no KVM. The binary is the one that {@code VMLET_CLOUD_HYPERVISOR} names, or the first on PATH.
 */
class RealBinaryTest {
    private static final Pattern OPTION = Pattern.compile("^ +(?:-\\w, )?(--[a-z-]+)\\b.*");
    private static final Pattern KEY = Pattern.compile("(?:^|,)([a-z_]+)=");

    private static Optional<Path> binary() {
        String named = System.getenv("VMLET_CLOUD_HYPERVISOR");
        Stream<Path> candidates = named != null && !named.isBlank()
                ? Stream.of(Path.of(named))
                : Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
                        .map(dir -> Path.of(dir, "cloud-hypervisor"));
        return candidates.filter(Files::isExecutable).findFirst();
    }

    @Test
    void knowsEveryOptionAndKeyOfOurs() throws Exception {
        Optional<Path> binary = binary();
        assumeTrue(
                binary.isPresent(),
                "SKIPPED: no cloud-hypervisor on PATH or in VMLET_CLOUD_HYPERVISOR; only the stand-in was asked");
        Map<String, String> help = help(binary.get());
        LaunchSpec launch = Hosts.launch(VmmKind.CLOUD_HYPERVISOR);
        List<LaunchSpec.Drive> drives = new java.util.ArrayList<>(launch.drives());
        drives.add(Hosts.drive("firmware", dev.vmlet.model.DesiredDisk.Role.FIRMWARE, "/fw", true));
        List<String> args =
                CommandLine.of(binary.get(), true, Hosts.with(launch, drives, ""), Hosts.files(Path.of("/x")));
        TreeSet<String> unknown = new TreeSet<>();
        String option = "";
        for (String arg : args.subList(1, args.size())) {
            if (arg.startsWith("--")) {
                option = arg;
                if (!help.containsKey(option)) {
                    unknown.add(option);
                }
                continue;
            }
            String known = help.getOrDefault(option, "");
            KEY.matcher(arg)
                    .results()
                    .map(m -> m.group(1))
                    .filter(key -> !known.contains(key + "="))
                    .forEach(new OptionKeys(option, unknown)::add);
        }
        assertThat(unknown).isEmpty();
    }

    private record OptionKeys(String option, TreeSet<String> unknown) {
        void add(String key) {
            unknown.add(option + " " + key + "=");
        }
    }

    /** Option and the text that describes it. */
    private static Map<String, String> help(Path binary) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(binary.toString(), "--help")
                .redirectErrorStream(true)
                .start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).as("--help ends").isTrue();
        Map<String, String> help = new HashMap<>();
        String option = "";
        for (String line : text.lines().toList()) {
            var matcher = OPTION.matcher(line);
            if (matcher.matches()) {
                option = matcher.group(1);
            }
            help.merge(option, line, (a, b) -> a + "\n" + b);
        }
        return help;
    }
}
