package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Who agents and the controller are to the API server: the service accounts of the chart, with the tokens that a kubelet
 * would mount into their pods. There is no kubelet here, so Node and Pod are objects made by hand; what the API server
 * writes into a token that is bound to them is its own.
 */
final class Identities {
    static final String NAMESPACE = "vmlet-system";

    private final Cluster cluster;

    Identities(Cluster cluster) {
        this.cluster = cluster;
    }

    /** A kubeconfig with the token of the agent's pod on that node. */
    Path agent(String node) {
        cluster.apply("{apiVersion: v1, kind: Node, metadata: {name: " + node + "}}");
        String pod = "vmlet-agent-" + node;
        cluster.apply(pod(pod, "vmlet-agent", node));
        return write(
                "agent-" + node,
                token(NAMESPACE, "vmlet-agent", "--bound-object-kind=Pod", "--bound-object-name=" + pod));
    }

    /** The same with a token that is bound to nothing, as somebody gets who may ask for tokens of the account. */
    Path agentOfNoNode() {
        return write("agent-of-no-node", token(NAMESPACE, "vmlet-agent"));
    }

    Path controller() {
        return write("controller", token(NAMESPACE, "vmlet-controller"));
    }

    /** The identity and the rights that kubeadm gives to kube-proxy: a role that every API server comes with. */
    Path kubeProxy(String node) {
        cluster.apply("""
                apiVersion: v1
                kind: ServiceAccount
                metadata: {name: kube-proxy, namespace: kube-system}
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: ClusterRoleBinding
                metadata: {name: kube-proxy}
                roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:node-proxier}
                subjects: [{kind: ServiceAccount, name: kube-proxy, namespace: kube-system}]
                """);
        return write("kube-proxy-" + node, token("kube-system", "kube-proxy"));
    }

    /** For Calico's agent, which reads much, and has nothing to write where no status is asked of it. */
    Path felix(String node) {
        cluster.apply("""
                apiVersion: v1
                kind: ServiceAccount
                metadata: {name: felix, namespace: kube-system}
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: ClusterRole
                metadata: {name: felix}
                rules:
                - {verbs: [get, list, watch], resources: ["*"], apiGroups: ["*"]}
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: ClusterRoleBinding
                metadata: {name: felix}
                roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: felix}
                subjects: [{kind: ServiceAccount, name: felix, namespace: kube-system}]
                """);
        return write("felix-" + node, token("kube-system", "felix"));
    }

    private static String pod(String name, String account, String node) {
        return """
                apiVersion: v1
                kind: Pod
                metadata: {name: %s, namespace: %s}
                spec:
                  nodeName: %s
                  serviceAccountName: %s
                  containers: [{name: agent, image: none}]
                """.formatted(name, NAMESPACE, node, account);
    }

    private String token(String namespace, String account, String... bound) {
        List<String> command = new ArrayList<>(List.of("create", "token", account, "-n", namespace, "--duration=24h"));
        command.addAll(List.of(bound));
        return cluster.kubectl(command.toArray(String[]::new));
    }

    private Path write(String who, String token) {
        Path file = cluster.dir().resolve(who + ".kubeconfig");
        try {
            String admin = Files.readString(cluster.kubeconfig());
            Files.writeString(file, admin.replaceFirst("(?m)^    token: .*$", "    token: " + token));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return file;
    }
}
