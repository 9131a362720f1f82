package dev.vmlet.e2e;

import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/**
 * Two nodes of a cluster with a pod on each and a kube-proxy on each; this JVM's namespace is the network between them,
 * and the world outside. Pods keep their addresses from node to node, as with most network plugins.
 */
final class TwoNodes implements AutoCloseable {
    /** Of the pod beside the VM, and of the one on the other node. */
    static final String NEAR_POD = "10.244.1.5";

    static final String FAR_POD = "10.244.2.5";

    final NodeInNamespace near;
    final NodeInNamespace far;
    final OtherNamespace nearPod;
    final OtherNamespace farPod;
    final KubeProxy nearProxy;
    final KubeProxy farProxy;
    private final Deque<Runnable> open = new ArrayDeque<>();

    TwoNodes(Cluster cluster) {
        Path standIn = NodeInNamespace.buildStandIn(cluster);
        near = keep(new NodeInNamespace(cluster, "near", 3, standIn));
        far = keep(new NodeInNamespace(cluster, "far", 4, standIn));
        near.agent().launch();
        far.agent().launch();
        nearPod = keep(podOf(near, NEAR_POD, 3));
        farPod = keep(podOf(far, FAR_POD, 4));
        tellAddress(cluster, near);
        tellAddress(cluster, far);
        nearProxy = keep(new KubeProxy(cluster, near));
        farProxy = keep(new KubeProxy(cluster, far));
    }

    private NodeInNamespace keep(NodeInNamespace node) {
        open.push(node::close);
        return node;
    }

    private OtherNamespace keep(OtherNamespace pod) {
        open.push(pod::close);
        return pod;
    }

    private KubeProxy keep(KubeProxy proxy) {
        open.push(proxy::close);
        return proxy;
    }

    /** Routed there and back, as every node and its network plugin would. */
    private static OtherNamespace podOf(NodeInNamespace node, String address, int number) {
        String net = address.substring(0, address.lastIndexOf('.'));
        OtherNamespace pod = node.pod(address, net + ".1");
        node.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
        here("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/node" + number + "/forwarding");
        here("ip", "route", "add", net + ".0/24", "via", node.address());
        return pod;
    }

    /** As a kubelet would. */
    static void tellAddress(Cluster cluster, NodeInNamespace node) {
        cluster.kubectl(
                "patch",
                "node",
                node.name(),
                "--subresource=status",
                "--type=merge",
                "-p",
                "{\"status\": {\"addresses\": [{\"type\": \"InternalIP\", \"address\": \"" + node.address() + "\"}]}}");
    }

    private static void here(String... command) {
        Command.of(command).run().mustSucceed();
    }

    List<KubeProxy> proxies() {
        return List.of(nearProxy, farProxy);
    }

    @Override
    public void close() {
        while (!open.isEmpty()) {
            open.pop().run();
        }
    }
}
