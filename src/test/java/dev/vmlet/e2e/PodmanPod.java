package dev.vmlet.e2e;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * What a kubelet would make of the chart's DaemonSet on this node, by podman: its image, command, mounts, environment and
 * privileges as the API server has them, with the token of the pod's service account where every pod finds it. The
 * container has mount and cgroup namespaces of its own; the pod asks for the node's pid and network namespaces.
 */
final class PodmanPod implements AutoCloseable {
    private static final JsonMapper JSON = new JsonMapper();
    private static final Duration PATIENCE = Duration.ofMinutes(3);

    private final Cluster cluster;
    private final Path store;
    private final String node;
    private final String name;
    private boolean mounted;

    PodmanPod(Cluster cluster, String node) {
        this.cluster = cluster;
        this.node = node;
        this.name = "vmlet-" + node;
        this.store = cluster.dir().resolve("podman");
        if (!Files.exists(Path.of("/sys/fs/cgroup/cgroup.controllers"))) {
            // crun finds its cgroups where a machine with nothing but cgroup v2 has them; in the mounts of this JVM
            // only.
            Command.of("mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
                    .run()
                    .mustSucceed();
            mounted = true;
        }
    }

    /** podman with a store of its own. */
    Command podman(String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                "podman",
                "--root",
                store.resolve("root").toString(),
                "--runroot",
                store.resolve("run").toString(),
                "--storage-driver",
                "vfs",
                "--cgroup-manager",
                "cgroupfs",
                "--runtime",
                "crun"));
        command.addAll(List.of(arguments));
        return Command.of(command).within(PATIENCE);
    }

    void load(Path image) {
        podman("load", "--quiet", "-i", image.toString()).run().mustSucceed();
    }

    /** Starts the one container of the DaemonSet. */
    void start() throws JsonProcessingException {
        JsonNode pod = JSON.readTree(
                        cluster.kubectl("get", "daemonset", "vmlet-agent", "-n", Identities.NAMESPACE, "-o", "json"))
                .at("/spec/template/spec");
        JsonNode container = pod.path("containers").path(0);
        List<String> run = new ArrayList<>(List.of("run", "--detach", "--name", name));
        // Limits of processes and files that this machine lets its root set.
        run.addAll(List.of("--pids-limit=0", "--ulimit", "nofile=1024:2048", "--ulimit", "nproc=4000:4000"));
        if (pod.path("hostPID").asBoolean()) run.add("--pid=host");
        if (pod.path("hostNetwork").asBoolean()) run.add("--network=host");
        run.add("--cgroupns=private");
        if (container.at("/securityContext/privileged").asBoolean()) run.add("--privileged");
        if (container.at("/securityContext/readOnlyRootFilesystem").asBoolean())
            run.addAll(List.of("--read-only", "--read-only-tmpfs=false"));
        for (JsonNode mount : container.path("volumeMounts")) {
            run.addAll(volume(pod, mount));
        }
        for (JsonNode variable : container.path("env")) {
            if (!variable.at("/valueFrom/fieldRef/fieldPath").asText().equals("spec.nodeName")) {
                throw new AssertionError("a kubelet knows more than this one: " + variable);
            }
            run.addAll(List.of("--env", variable.path("name").asText() + "=" + node));
        }
        URI api = URI.create(cluster.client().getMasterUrl().toString());
        run.addAll(List.of("--env", "KUBERNETES_SERVICE_HOST=" + api.getHost()));
        run.addAll(List.of("--env", "KUBERNETES_SERVICE_PORT=" + api.getPort()));
        run.addAll(List.of("-v", account() + ":/var/run/secrets/kubernetes.io/serviceaccount:ro"));
        List<String> words = new ArrayList<>();
        container.path("command").forEach(word -> words.add(word.asText()));
        container.path("args").forEach(word -> words.add(word.asText()));
        run.addAll(List.of(
                "--entrypoint", words.getFirst(), container.path("image").asText()));
        run.addAll(words.subList(1, words.size()));
        podman(run.toArray(String[]::new)).run().mustSucceed();
    }

    private static List<String> volume(JsonNode pod, JsonNode mount) {
        for (JsonNode volume : pod.path("volumes")) {
            if (volume.path("name").equals(mount.path("name"))) {
                String inside = mount.path("mountPath").asText();
                String outside = volume.at("/hostPath/path").asText();
                if (outside.isEmpty()) {
                    return List.of("--tmpfs", inside);
                }
                if (volume.at("/hostPath/type").asText().equals("DirectoryOrCreate")) {
                    mkdirs(Path.of(outside));
                }
                return List.of(
                        "-v", outside + ":" + inside + (mount.path("readOnly").asBoolean() ? ":ro" : ""));
            }
        }
        throw new AssertionError("no volume for " + mount);
    }

    private static void mkdirs(Path directory) {
        try {
            Files.createDirectories(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The directory that a kubelet projects into the pod. */
    private Path account() {
        Path directory = cluster.dir().resolve(name + "-account");
        mkdirs(directory);
        try {
            String kubeconfig = Files.readString(cluster.identities().agent(node));
            Files.writeString(directory.resolve("token"), value(kubeconfig, "token"));
            Files.write(
                    directory.resolve("ca.crt"),
                    java.util.Base64.getDecoder().decode(value(kubeconfig, "certificate-authority-data")));
            Files.writeString(directory.resolve("namespace"), Identities.NAMESPACE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return directory;
    }

    private static String value(String kubeconfig, String key) {
        return kubeconfig
                .lines()
                .filter(line -> line.strip().startsWith(key + ": "))
                .map(line -> line.strip().substring(key.length() + 2))
                .findFirst()
                .orElseThrow(() -> new AssertionError("no " + key));
    }

    /** As the node numbers it. */
    long pid() {
        return Long.parseLong(
                podman("inspect", "--format", "{{.State.Pid}}", name).run().mustSucceed());
    }

    String logs() {
        return podman("logs", name).run().output();
    }

    /** SIGTERM, SIGKILL, and nothing left of it. */
    void remove() {
        podman("rm", "--force", "--time", "30", name).run().mustSucceed();
    }

    void removeImages() {
        podman("rmi", "--all", "--force").run().mustSucceed();
    }

    @Override
    public void close() {
        podman("rm", "--force", "--all", "--time", "5").run();
        podman("rmi", "--all", "--force").run();
        if (mounted) {
            Command.of("umount", "--lazy", "/sys/fs/cgroup").run().mustSucceed();
        }
    }
}
