package dev.vmlet.host.net;

import java.io.IOException;
import java.io.InterruptedIOException;

/**
 * What kube-proxy makes of Services whose only endpoint is a published port of this node: it translates, marks and
 * masquerades as its iptables mode and its nftables mode do (pkg/proxy of Kubernetes). Its chains are named as there.
 */
final class KubeProxy implements AutoCloseable {
    /** Leads on whoever asks as himself. */
    static final String CLUSTER_IP = "10.96.0.10";

    /** Leads on whoever asks with an address of the node, as with {@code --masquerade-all}. */
    static final String MASQUERADING_IP = "10.96.0.12";

    /** Leads on with an address of the node, as with {@code externalTrafficPolicy: Cluster}. */
    static final int NODE_PORT = 30_080;

    /** Leads on whoever asks as himself, as with {@code externalTrafficPolicy: Local}. */
    static final int LOCAL_NODE_PORT = 30_081;

    /** Of all of them; UDP at {@link #CLUSTER_IP} has its own. */
    static final int PORT = 80;

    static final int UDP_PORT = 53;

    enum Mode {
        IPTABLES,
        NFTABLES
    }

    private final String table;

    private KubeProxy(String table) {
        this.table = table;
    }

    /** Until it is closed, Services lead to these ports of that address. */
    static KubeProxy start(Mode mode, String node, int tcp, int udp) throws Exception {
        return switch (mode) {
            case IPTABLES -> iptables(node, tcp, udp);
            case NFTABLES -> nftables(node, tcp, udp);
        };
    }

    private static KubeProxy iptables(String node, int tcp, int udp) throws Exception {
        OwnNamespace.run(
                "sh", "-ec", """
                nat() { iptables-nft -w -t nat "$@"; }
                for chain in SERVICES NODEPORTS POSTROUTING MARK-MASQ SVC-SELF SVC-MASQ SVC-UDP SEP-TCP SEP-UDP; do
                  nat -N KUBE-$chain
                done
                nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
                nat -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
                nat -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
                nat -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
                nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
                nat -A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
                nat -A KUBE-POSTROUTING -j MASQUERADE --random-fully
                nat -A KUBE-SERVICES -d %1$s/32 -p tcp --dport 80 -j KUBE-SVC-SELF
                nat -A KUBE-SERVICES -d %2$s/32 -p tcp --dport 80 -j KUBE-SVC-MASQ
                nat -A KUBE-SERVICES -d %1$s/32 -p udp --dport 53 -j KUBE-SVC-UDP
                nat -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
                nat -A KUBE-NODEPORTS -p tcp --dport %3$d -j KUBE-SVC-MASQ
                nat -A KUBE-NODEPORTS -p tcp --dport %4$d -j KUBE-SVC-SELF
                nat -A KUBE-SVC-MASQ -j KUBE-MARK-MASQ
                nat -A KUBE-SVC-MASQ -j KUBE-SEP-TCP
                nat -A KUBE-SVC-SELF -j KUBE-SEP-TCP
                nat -A KUBE-SVC-UDP -j KUBE-SEP-UDP
                nat -A KUBE-SEP-TCP -s %5$s/32 -j KUBE-MARK-MASQ
                nat -A KUBE-SEP-TCP -p tcp -j DNAT --to-destination %5$s:%6$d
                nat -A KUBE-SEP-UDP -s %5$s/32 -j KUBE-MARK-MASQ
                nat -A KUBE-SEP-UDP -p udp -j DNAT --to-destination %5$s:%7$d
                """.formatted(CLUSTER_IP, MASQUERADING_IP, NODE_PORT, LOCAL_NODE_PORT, node, tcp, udp));
        return new KubeProxy("nat");
    }

    private static KubeProxy nftables(String node, int tcp, int udp) throws Exception {
        OwnNamespace.run("nft", """
                table ip kube-proxy {
                  chain nat-prerouting { type nat hook prerouting priority dstnat; policy accept; jump services
                  }
                  chain nat-output { type nat hook output priority -100; policy accept; jump services
                  }
                  chain nat-postrouting { type nat hook postrouting priority srcnat; policy accept; jump masquerading
                  }
                  chain masquerading {
                    meta mark & 0x4000 == 0 return
                    meta mark set meta mark ^ 0x4000
                    masquerade fully-random
                  }
                  chain mark-for-masquerade { meta mark set meta mark | 0x4000
                  }
                  chain services {
                    ip daddr %1$s tcp dport 80 goto endpoint-tcp
                    ip daddr %2$s tcp dport 80 goto masquerade-tcp
                    ip daddr %1$s udp dport 53 goto endpoint-udp
                    fib daddr type local tcp dport %3$d goto masquerade-tcp
                    fib daddr type local tcp dport %4$d goto endpoint-tcp
                  }
                  chain masquerade-tcp { jump mark-for-masquerade; goto endpoint-tcp
                  }
                  chain endpoint-tcp { ip saddr %5$s jump mark-for-masquerade; meta l4proto tcp dnat to %5$s:%6$d
                  }
                  chain endpoint-udp { ip saddr %5$s jump mark-for-masquerade; meta l4proto udp dnat to %5$s:%7$d
                  }
                }
                """.formatted(CLUSTER_IP, MASQUERADING_IP, NODE_PORT, LOCAL_NODE_PORT, node, tcp, udp));
        return new KubeProxy("kube-proxy");
    }

    @Override
    public void close() throws IOException {
        try {
            OwnNamespace.run("nft", "delete table ip " + table);
        } catch (InterruptedException e) {
            throw new InterruptedIOException("delete table ip " + table);
        }
    }
}
