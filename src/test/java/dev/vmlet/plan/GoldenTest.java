package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.Network;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.Given;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Reason;
import dev.vmlet.resolve.VmResolver;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * Whole cases as text: a Network and a VM go in; the plans of each round, the firewall and the VM's status at the end come
 * out. {@code -Dgolden=update} writes what comes out; a review of the difference is then the test.
 */
class GoldenTest {
    private static final Path FOLDER = Path.of("src/test/resources/golden");
    private static final boolean UPDATE = "update".equals(System.getProperty("golden"));

    private interface Scene {
        /** Brings the host where the case begins, tells from there on, and goes to where the case ends. */
        void play(World world, VirtualMachine vm);
    }

    private static final Map<String, Scene> SCENES = new TreeMap<>(Map.of(
            "first-start", GoldenTest::firstStart,
            "running-steady", GoldenTest::runningSteady,
            "foreign-tap", GoldenTest::foreignTap,
            "halted", GoldenTest::halted,
            "deleted", GoldenTest::deleted,
            "image-failing", GoldenTest::imageFailing));

    private static void firstStart(World world, VirtualMachine vm) {
        world.tell = true;
        world.vms.put("vm-1", vm);
        rounds(world, 6);
    }

    private static void runningSteady(World world, VirtualMachine vm) {
        world.vms.put("vm-1", vm);
        rounds(world, 6);
        world.tell = true;
        rounds(world, 2);
    }

    private static void foreignTap(World world, VirtualMachine vm) {
        LinkName name = Given.NAMES.tap("vm-1", "net");
        world.links.plant(name.value(), "tun", "02:00:00:00:00:07", 1500, true, new Mark("mine"), 0);
        world.vms.put("vm-1", vm);
        world.tell = true;
        rounds(world, 4);
    }

    private static void halted(World world, VirtualMachine vm) {
        VirtualMachineSpec wish = World.spec(vm);
        world.vms.put("vm-1", vm);
        vm.setSpec(World.spec(RunStrategy.Always, 30, World.nics(vm), false));
        rounds(world, 6);
        vm.setSpec(wish);
        vm.getMetadata().setGeneration(2L);
        world.tell = true;
        rounds(world, 6);
    }

    private static void deleted(World world, VirtualMachine vm) {
        String deletion = vm.getMetadata().getDeletionTimestamp();
        vm.getMetadata().setDeletionTimestamp(null);
        world.vms.put("vm-1", vm);
        rounds(world, 6);
        vm.getMetadata().setDeletionTimestamp(deletion);
        world.tell = true;
        rounds(world, 5);
    }

    private static void imageFailing(World world, VirtualMachine vm) {
        world.vms.put("vm-1", vm);
        world.tell = true;
        for (int i = 0; i < 3; i++) {
            world.round();
        }
        world.disks.fail(
                VmResolver.idOf(vm),
                "root",
                new DiskState.Failed(
                        Reason.ImageChecksumMismatch, "disk root: sha256 is 00…, declared is 01…", false, world.now));
        world.round();
    }

    private static void rounds(World world, int count) {
        for (int i = 0; i < count; i++) {
            world.round();
            world.pass(Duration.ofSeconds(1));
        }
    }

    @TestFactory
    Stream<DynamicTest> cases() {
        return SCENES.entrySet().stream()
                .map(e -> DynamicTest.dynamicTest(e.getKey(), () -> play(e.getKey(), e.getValue())));
    }

    private static void play(String name, Scene scene) throws IOException {
        Path folder = FOLDER.resolve(name);
        Network network = Serialization.unmarshal(Files.readString(folder.resolve("network.yaml")), Network.class);
        VirtualMachine vm = Serialization.unmarshal(Files.readString(folder.resolve("vm.yaml")), VirtualMachine.class);
        World world = new World(new SplittableRandom(1));
        world.plansOnly = true;
        world.networks.put("net-1", network);
        world.slices.put("net-1", Given.slice(network, "10.77.4.0/24"));
        scene.play(world, vm);

        Map<String, String> out = new TreeMap<>();
        out.put("plan.txt", world.story.isEmpty() ? "nothing to do\n" : world.story.toString());
        out.put("ruleset.nft", new Ruleset(Given.INSTALLATION, world.links.everyElement()).text());
        out.put("status.yaml", Serialization.asYaml(Objects.requireNonNull(vm.getStatus())));
        for (Map.Entry<String, String> file : out.entrySet()) {
            Path path = folder.resolve(file.getKey());
            if (UPDATE) {
                Files.writeString(path, file.getValue());
            }
            assertThat(file.getValue())
                    .as(path + " (-Dgolden=update rewrites it)")
                    .isEqualTo(Files.readString(path));
        }
    }

    @Test
    void noFileIsUnused() throws IOException {
        List<String> expected = new ArrayList<>();
        for (String name : SCENES.keySet()) {
            for (String file : List.of("network.yaml", "plan.txt", "ruleset.nft", "status.yaml", "vm.yaml")) {
                expected.add(name + "/" + file);
            }
        }
        try (Stream<Path> files = Files.walk(FOLDER)) {
            assertThat(new TreeSet<>(files.filter(Files::isRegularFile)
                            .map(f -> FOLDER.relativize(f).toString())
                            .toList()))
                    .isEqualTo(new TreeSet<>(expected));
        }
    }
}
