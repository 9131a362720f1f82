package dev.vmlet.e2e;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Calico in the test's cluster, as far as it says what becomes of packets: its kinds of objects, its pods, and whoever
 * changes its policies. {@link Felix} is its agent on a node.
 */
final class Calico implements AutoCloseable {
    /** Names a directory with {@code calico-felix}, {@code calicoctl} and, in {@code crd/}, the CRDs of one release. */
    private static final String FILES = "VMLET_CALICO";

    /** Of all pods; what they send out of it gets their node's address, as Calico's own manifest has it. */
    private static final String PODS = "10.244.0.0/16";

    private static final String NAMESPACE = "calico-pods";

    /** Of each pod, by Calico's plugin: nobody has it, and the node answers for it. */
    private static final String POD_GATEWAY = "169.254.1.1";

    private static final String POD_GATEWAY_MAC = "ee:ee:ee:ee:ee:ee";
    private static final int LINK_NAME_LENGTH = 11;

    private final Cluster cluster;
    private final Path files;

    /** Where {@link #require} let the test go on. */
    Calico(Cluster cluster) {
        this.cluster = cluster;
        files = files().orElseThrow().toAbsolutePath();
        cluster.kubectl("apply", "--server-side", "-f", crds());
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", crds());
        cluster.namespace(NAMESPACE);
        cluster.apply("""
                apiVersion: crd.projectcalico.org/v1
                kind: ClusterInformation
                metadata: {name: default}
                spec: {datastoreReady: true}
                """);
        apply("""
                apiVersion: projectcalico.org/v3
                kind: IPPool
                metadata: {name: pods}
                spec: {cidr: %s, ipipMode: Never, vxlanMode: Never, natOutgoing: true}
                """.formatted(PODS));
    }

    /** Skips the test, saying why, where Calico is not to be had: nothing here fetches it. */
    static void require() {
        Optional<Path> files = files();
        assumeTrue(
                files.isPresent()
                        && Stream.of("calico-felix", "calicoctl")
                                .allMatch(it -> Files.isExecutable(files.get().resolve(it)))
                        && Files.isDirectory(files.get().resolve("crd")),
                "SKIPPED: the real Calico was not tried: " + FILES + " names no directory with calico-felix, calicoctl"
                        + " and crd/ of one of its releases");
    }

    private static Optional<Path> files() {
        return Optional.ofNullable(System.getenv(FILES)).map(Path::of);
    }

    private String crds() {
        return files.resolve("crd").toString();
    }

    Path felix() {
        return files.resolve("calico-felix");
    }

    void apply(String yaml) {
        calicoctl("apply", "-f", "-").reading(yaml).run().mustSucceed();
    }

    /** @param names as {@code kind/name}; what is not there is passed over */
    void delete(String... names) {
        for (String name : names) {
            String[] parts = name.split("/");
            calicoctl("delete", parts[0], parts[1], "--skip-not-exists").run().mustSucceed();
        }
    }

    private Command calicoctl(String... arguments) {
        return asOperator(Stream.concat(Stream.of(files.resolve("calicoctl").toString()), Stream.of(arguments))
                .toArray(String[]::new));
    }

    /** What an operator types, who has calicoctl. */
    void shell(String commands) {
        asOperator("bash", "-ec", commands).run().mustSucceed();
    }

    private Command asOperator(String... command) {
        return Command.of(command)
                .with("DATASTORE_TYPE", "kubernetes")
                .with("KUBECONFIG", cluster.kubeconfig().toString())
                .with("PATH", files + ":" + System.getenv("PATH"));
    }

    /** A pod as Calico's plugin makes it: its link on the node bears the name by which Felix knows it. */
    OtherNamespace pod(NodeInNamespace node, String name, String address) {
        cluster.apply("""
                apiVersion: v1
                kind: Pod
                metadata: {name: %s, namespace: %s, annotations: {cni.projectcalico.org/podIP: %s/32}}
                spec:
                  nodeName: %s
                  containers: [{name: it, image: none}]
                """.formatted(name, NAMESPACE, address, node.name()));
        OtherNamespace pod = new OtherNamespace("pod " + name);
        String link = link(name);
        node.run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pod.pid());
        node.run("ip", "link", "set", link, "address", POD_GATEWAY_MAC);
        node.run("ip", "link", "set", link, "up");
        pod.run("ip", "addr", "add", address + "/32", "dev", "eth0");
        pod.run("ip", "link", "set", "eth0", "up");
        pod.run("ip", "neigh", "add", POD_GATEWAY, "lladdr", POD_GATEWAY_MAC, "dev", "eth0");
        pod.run("ip", "route", "add", POD_GATEWAY, "dev", "eth0");
        pod.run("ip", "route", "add", "default", "via", POD_GATEWAY);
        return pod;
    }

    static String link(String pod) {
        try {
            byte[] hash =
                    MessageDigest.getInstance("SHA-1").digest((NAMESPACE + "." + pod).getBytes(StandardCharsets.UTF_8));
            return "cali" + HexFormat.of().formatHex(hash).substring(0, LINK_NAME_LENGTH);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** With its CRDs go all of its objects. */
    @Override
    public void close() {
        cluster.kubectl("delete", "pod", "--all", "-n", NAMESPACE, "--grace-period=0", "--force");
        cluster.kubectl("delete", "-f", crds(), "--wait=false");
    }
}
