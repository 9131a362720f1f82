package dev.vmlet.e2e;

import static java.util.Objects.requireNonNull;

import dev.vmlet.api.Condition;
import dev.vmlet.api.Network;
import dev.vmlet.api.Serialization;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.jspecify.annotations.Nullable;

/**
 * An API server with the chart installed, the controller role, an outside world behind a default route, and agents on
 * request; one for all classes of a JVM. Agents and controller have the identities and the rights that the chart gives
 * them, and no others. What it needs and where it is told: {@link EndToEnd}.
 */
public final class Cluster implements AutoCloseable {
    /** For what a guest must boot for: guests are emulated, on a machine that does other things besides. */
    public static final Duration BOOT = Duration.ofMinutes(5);
    /** For what the agent does by itself, at the latest on its next full pass. */
    public static final Duration SOON = Duration.ofSeconds(90);

    private final Path dir;
    private final Path kubeconfig;
    private final Path assets;
    private final Path helm;
    private final Identities identities = new Identities(this);
    private final Set<String> secretNamespaces = new TreeSet<>();
    private final List<String> java;
    private final Outside outside;
    private final KubernetesClient client;
    private final Deque<Runnable> open = new ArrayDeque<>();
    private final List<AgentProcess> agents = new ArrayList<>();
    private @Nullable AgentProcess agent;
    private final AgentProcess controller;

    Cluster() throws IOException {
        Path hack = Path.of("hack").toAbsolutePath();
        assets = Path.of(requireNonNull(System.getenv("KUBEBUILDER_ASSETS"))).toAbsolutePath();
        helm = Path.of(requireNonNull(System.getenv("VMLET_HELM"))).toAbsolutePath();
        // Short, for unix sockets lie beneath it, and passable for the guests' users.
        dir = Files.createTempDirectory(
                "ve2e", PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwxr-xr-x")));
        // Agents run from copies: rebuilding a jar under a running JVM breaks it.
        Command.of("cp", "-r", "target/vmlet.jar", "target/lib", dir.toString())
                .run()
                .mustSucceed();
        java = List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Xmx192m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-jar",
                dir.resolve("vmlet.jar").toString());
        Path guests = Path.of(requireNonNull(System.getenv("VMLET_GUESTS"))).toAbsolutePath();
        Command.of(
                        "cp",
                        "-r",
                        "--sparse=always",
                        "--reflink=auto",
                        guests.toString(),
                        imageDir().toString())
                .within(SOON)
                .run()
                .mustSucceed();
        Command.of("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key().toString())
                .run()
                .mustSucceed();
        outside = new Outside();
        open.push(outside::close);
        open.push(() ->
                Command.of(hack.resolve("envtest/down").toString(), api()).run().mustSucceed());
        kubeconfig = Path.of(Command.of(hack.resolve("envtest/up").toString(), api(), "--bind", "0.0.0.0", "--audit")
                .within(Duration.ofMinutes(3))
                .run()
                .mustSucceed());
        client = new KubernetesClientBuilder()
                .withConfig(Config.fromKubeconfig(kubeconfig.toFile()))
                .withKubernetesSerialization(Serialization.lenient())
                .build();
        open.push(client::close);
        kubectl("create", "namespace", Identities.NAMESPACE);
        helm("install", "vmlet", "helm/vmlet");
        kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", "crd/");
        controller = AgentProcess.controller(this, "first");
        open.push(controller::close);
        controller.start();
    }

    /** helm with a command and what belongs to it, which must succeed. */
    String helm(String... arguments) {
        List<String> command = new ArrayList<>(List.of(helm.toString()));
        command.addAll(List.of(arguments));
        command.addAll(List.of("--kubeconfig", kubeconfig.toString(), "--namespace", Identities.NAMESPACE));
        return Command.of(command).within(SOON).run().mustSucceed();
    }

    /** Lets agents read the Secrets of a namespace, as an operator does. */
    void allowSecrets(String namespace) {
        secretNamespaces.add(namespace);
        set("secretNamespaces={" + String.join(",", secretNamespaces) + "}");
    }

    /** Values of the chart that differ from now on. */
    void set(String... values) {
        List<String> upgrade = new ArrayList<>(List.of("upgrade", "vmlet", "helm/vmlet", "--reuse-values"));
        for (String value : values) {
            upgrade.addAll(List.of("--set", value));
        }
        helm(upgrade.toArray(String[]::new));
    }

    /** One of those that hack/envtest/install provides. */
    Path program(String name) {
        return assets.resolve(name);
    }

    Identities identities() {
        return identities;
    }

    /** Every call of a service account until now, a JSON object a line. */
    List<String> audited() {
        try {
            return Files.readAllLines(Path.of(api(), "audit.log"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private String api() {
        return dir.resolve("api").toString();
    }

    /** The work directory. */
    public Path dir() {
        return dir;
    }

    public Path kubeconfig() {
        return kubeconfig;
    }

    /** {@code --image-dir} of every agent; holds {@code tiny/} and {@code cloud/}. A test may put its own files there. */
    public Path imageDir() {
        return dir.resolve("img");
    }

    public boolean hasCloudGuest() {
        return Files.exists(imageDir().resolve("cloud/SHA256SUMS"));
    }

    List<String> java() {
        return java;
    }

    public Outside outside() {
        return outside;
    }

    public KubernetesClient client() {
        return client;
    }

    private Path key() {
        return dir.resolve("key");
    }

    /** The suite's public key, for cloudInit.sshAuthorizedKeys. */
    public String publicKey() {
        try {
            return Files.readString(dir.resolve("key.pub")).strip();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The port of the API server, which listens on every address of the node. */
    public int apiPort() {
        return client.getMasterUrl().getPort();
    }

    /** The agent of node {@code a}: started at the first call, and again when somebody ended it. */
    public AgentProcess agent() {
        if (agent == null) {
            agent = newAgent("a");
        }
        if (!agent.isAlive()) {
            agent.start();
        }
        return agent;
    }

    /** Ends the agent of node {@code a}, if it runs, until somebody asks for it. */
    public void rest() {
        if (agent != null && agent.isAlive()) {
            agent.terminate();
        }
    }

    /** Another node on this host, with directories of its own; not started. */
    public AgentProcess newAgent(String nodeName, String... options) {
        AgentProcess made = AgentProcess.agent(this, nodeName, List.of(options));
        agents.add(made);
        open.push(made::close);
        return made;
    }

    public AgentProcess controller() {
        return controller;
    }

    /** Another controller, which stands for election as the first does; not started. */
    AgentProcess newController(String identity) {
        AgentProcess made = AgentProcess.controller(this, identity);
        open.push(made::close);
        return made;
    }

    Command.Ended tryKubectl(String... arguments) {
        return kubectlAt(kubeconfig, arguments).run();
    }

    /** kubectl with another kubeconfig. */
    Command kubectlAt(Path other, String... arguments) {
        List<String> command =
                new ArrayList<>(List.of(program("kubectl").toString(), "--kubeconfig", other.toString()));
        command.addAll(List.of(arguments));
        return Command.of(command).within(BOOT.plusSeconds(30));
    }

    /** Runs kubectl, which must succeed; returns what it printed. */
    public String kubectl(String... arguments) {
        return tryKubectl(arguments).mustSucceed();
    }

    /** {@code kubectl apply} of objects in the given text, which must be accepted. */
    public void apply(String yaml) {
        if (controller.endedByItself()) {
            // On a starved machine it loses its election, and ends as it should; in a Deployment it would be restarted.
            System.out.println("the controller had ended by itself and is started again; its last words: "
                    + controller.logTail(3));
            controller.start();
        }
        Command.Ended ended = tryApply(yaml);
        if (!ended.succeeded()) {
            throw new AssertionError("kubectl apply: " + ended.output() + "\nof\n" + yaml);
        }
    }

    Command.Ended tryApply(String yaml) {
        return Command.of(program("kubectl").toString(), "--kubeconfig", kubeconfig.toString(), "apply", "-f", "-")
                .reading(yaml)
                .run();
    }

    public void namespace(String name) {
        apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}");
    }

    /** A Network with everything defaulted. */
    public static String network(String namespace, String name) {
        return """
                ---
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {namespace: %s, name: %s}
                spec: {}
                """.formatted(namespace, name);
    }

    /**
     * A tiny guest with one NIC, under the emulator, with the suite's key for root. Its kernel does not count the timer's
     * interrupts at the start: where the emulator waits for a processor, it counts too few of them and gives up.
     */
    public String tiny(String namespace, String name, String node, String network) {
        return """
                ---
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {namespace: %s, name: %s}
                spec:
                  nodeName: %s
                  memory: {size: 256Mi}
                  disks: [{name: root, size: 64Mi, image: {path: tiny/root.raw}}]
                  networks: [{name: %s}]
                  boot:
                    kernel:
                      path: tiny/vmlinuz
                      initramfs: {path: tiny/initramfs.img}
                      cmdline: console=ttyS0 quiet no_timer_check
                  cloudInit: {sshAuthorizedKeys: ["%s"]}
                  terminationGracePeriodSeconds: 20
                """.formatted(namespace, name, node, network, publicKey());
    }

    /** The Debian with cloud-init, on a disk larger than its image. */
    public String cloud(String namespace, String name, String node, String network) {
        return """
                ---
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {namespace: %s, name: %s}
                spec:
                  nodeName: %s
                  memory: {size: 1Gi}
                  disks: [{name: root, size: 4Gi, image: {path: cloud/disk.raw}}]
                  networks: [{name: %s}]
                  boot:
                    kernel:
                      path: cloud/vmlinuz
                      initramfs: {path: cloud/initrd.img}
                      cmdline: console=ttyS0 root=LABEL=root ro quiet mitigations=off
                  cloudInit: {sshAuthorizedKeys: ["%s"]}
                  terminationGracePeriodSeconds: 60
                """.formatted(namespace, name, node, network, publicKey());
    }

    /** The object, or empty when there is none. */
    public Optional<VirtualMachine> findVm(String namespace, String name) {
        return Optional.ofNullable(client.resources(VirtualMachine.class)
                .inNamespace(namespace)
                .withName(name)
                .get());
    }

    public VirtualMachine vm(String namespace, String name) {
        return findVm(namespace, name).orElseThrow(() -> new AssertionError("no VM " + namespace + "/" + name));
    }

    public Network networkObject(String namespace, String name) {
        return requireNonNull(client.resources(Network.class)
                .inNamespace(namespace)
                .withName(name)
                .get());
    }

    /** The condition of that type, or empty when the object has none yet. */
    public Optional<Condition> condition(String namespace, String vm, String type) {
        return findVm(namespace, vm)
                .map(VirtualMachine::getStatus)
                .map(VirtualMachineStatus::conditions)
                .flatMap(all -> all.stream().filter(c -> type.equals(c.type())).findFirst());
    }

    /** pid, address and start time of a running guest, for comparison. */
    public record Life(@Nullable Integer pid, String address, String startedAt) {}

    public Life life(String namespace, String name) {
        VirtualMachineStatus status = requireNonNull(vm(namespace, name).getStatus());
        return new Life(
                status.vmm() == null ? null : status.vmm().pid(),
                address(namespace, name),
                String.valueOf(status.startedAt()));
    }

    /** The first address that status shows. */
    public String address(String namespace, String name) {
        VirtualMachineStatus status = requireNonNull(vm(namespace, name).getStatus());
        return requireNonNull(requireNonNull(status.addresses()).getFirst().ip());
    }

    /** A tiny guest at an address. */
    Guest guestAt(String address) {
        return new Guest("root", address, key());
    }

    public Guest guest(String namespace, String name) {
        return new Guest(name.startsWith("cloud") ? "debian" : "root", address(namespace, name), key());
    }

    /** The uid of an object, as {@code kubectl get <kind> <name>} shows it. */
    public String uid(String namespace, String kind, String name) {
        return kubectl("get", kind, name, "-n", namespace, "-o", "jsonpath={.metadata.uid}");
    }

    /** As a user waits. */
    public void awaitReady(String namespace, String... names) {
        List<String> arguments = new ArrayList<>(
                List.of("wait", "--for=condition=Ready", "--timeout=" + BOOT.toSeconds() + "s", "-n", namespace));
        for (String name : names) {
            arguments.add("vm/" + name);
        }
        kubectl(arguments.toArray(String[]::new));
    }

    public void awaitGone(String namespace, String name) {
        await(
                "VM " + namespace + "/" + name + " is gone",
                SOON,
                () -> findVm(namespace, name).isEmpty());
    }

    /** Waits until it is so; an assertion that fails or an exception of the API server counts as "not yet". */
    public static void await(String what, Duration patience, Callable<Boolean> isSo) {
        Awaitility.await(what)
                .atMost(patience)
                .pollInterval(Duration.ofMillis(250))
                .ignoreExceptions()
                .until(isSo);
    }

    /** Events about the object, oldest first, as {@code Type Reason: message}. */
    public List<String> events(String namespace, String kind, String name) {
        return client.v1().events().inNamespace(namespace).list().getItems().stream()
                .filter(e -> kind.equals(e.getInvolvedObject().getKind())
                        && name.equals(e.getInvolvedObject().getName()))
                .map((Event e) -> e.getType() + " " + e.getReason() + ": " + e.getMessage())
                .toList();
    }

    /** What a person would look at after a failure. */
    String report() {
        StringBuilder text = new StringBuilder();
        text.append(tryKubectl("get", "vm,vmnet,vmnode,networkslice", "-A", "-o", "wide")
                .output());
        text.append(tryKubectl("describe", "vm", "-A").output());
        text.append(tryKubectl("describe", "vmnet,vmnode", "-A").output());
        for (AgentProcess each : agents) {
            text.append("--- the end of the log of ").append(each.name()).append('\n');
            text.append(each.logTail(60)).append('\n');
            for (Path console : consoles(each)) {
                text.append("--- the end of ").append(console).append('\n');
                text.append(
                        Command.of("tail", "-n", "15", console.toString()).run().output());
            }
        }
        text.append("--- the end of the log of the controller\n").append(controller.logTail(20));
        text.append('\n')
                .append(Leftovers.now(
                        // Of one that was never started there is nothing.
                        agents.stream().filter(AgentProcess::hasInstalled).toArray(AgentProcess[]::new)));
        return text.toString();
    }

    private static List<Path> consoles(AgentProcess agent) {
        try (Stream<Path> files = Files.walk(agent.stateDir().resolve("vms"))) {
            return files.filter(f -> f.endsWith("serial.log") || f.endsWith("vmm.log"))
                    .toList();
        } catch (IOException | UncheckedIOException e) {
            return List.of();
        }
    }

    /** Ends what it started. Guests that a failed test left end with this JVM's process namespace. */
    @Override
    public void close() {
        while (!open.isEmpty()) {
            open.pop().run();
        }
        for (AgentProcess each : agents) {
            removeCgroups(each);
        }
        Command.of("rm", "-rf", dir.toString()).run().mustSucceed();
    }

    /** An installation keeps its empty cgroup for the next guest; here none will come. */
    private static void removeCgroups(AgentProcess agent) {
        if (!agent.hasInstalled()) {
            return;
        }
        Command.of("sh", "-c", """
                        for top in $(find /sys/fs/cgroup -maxdepth 2 -type d -name "vmlet-$1"); do
                          for pid in $(cat "$top"/*/cgroup.procs); do kill -9 "$pid"; done
                          for try in 1 2 3 4 5 6 7 8 9 10; do rmdir "$top"/* "$top" 2>/dev/null && break; sleep 0.2; done
                        done""", "sh", agent.installation()).run();
    }
}
