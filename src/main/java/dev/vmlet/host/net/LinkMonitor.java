package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import java.util.List;
import java.util.Optional;

/**
 * Says which links changed, appeared or went, had an IPv4 address added or taken, or their IPv4 forwarding flag written,
 * behind which ports of bridges somebody was heard, and which neighbours the node has forgotten. A hint, our own changes included: look for yourself. Callbacks run on the monitor's thread and must be quick.
 */
public final class LinkMonitor implements AutoCloseable {
    private final NetlinkMonitor monitor;

    /** What wants to know of links. */
    public interface Listener extends MonitorHealth {
        void changed(LinkName link);

        /** The flag was written, with whatever value; or the link is new. */
        void forwardingWritten(LinkName link);

        /** A bridge has learnt who is behind this port of it, which therefore has just sent a frame. */
        void heardBehind(LinkName port);

        /** The node knows no longer who has this address, on whatever link. */
        void neighbourForgotten(Ipv4Address address);

        /** Events were lost: any link may have changed. */
        void everything();
    }

    public LinkMonitor(Listener listener) throws HostException {
        this.monitor = NetlinkMonitor.start(
                "link-monitor",
                Kernel.NETLINK_ROUTE,
                List.of(
                        RtNetlink.GROUP_LINK,
                        RtNetlink.GROUP_NEIGH,
                        RtNetlink.GROUP_IPV4_IFADDR,
                        RtNetlink.GROUP_IPV4_NETCONF),
                new NetlinkMonitor.Listener() {
                    private final Kernel kernel = new Kernel();

                    @Override
                    public void heard(NetlinkMessage message) throws KernelRefusal {
                        Optional<Link> link = RtNetlink.link(message);
                        link.ifPresent(l -> listener.changed(l.name()));
                        RtNetlink.address(message)
                                .ifPresent(at -> linkOf(at).ifPresentOrElse(listener::changed, listener::everything));
                        // A link that is gone by now has told so itself.
                        RtNetlink.forwardingWritten(message)
                                .flatMap(kernel::linkName)
                                .flatMap(LinkMonitor::named)
                                .ifPresent(listener::forwardingWritten);
                        RtNetlink.learntBehind(message)
                                .flatMap(kernel::linkName)
                                .flatMap(LinkMonitor::named)
                                .ifPresent(listener::heardBehind);
                        RtNetlink.forgottenNeighbour(message).ifPresent(listener::neighbourForgotten);
                    }

                    @Override
                    public void missed() {
                        listener.everything();
                    }
                },
                listener);
    }

    /** An address carries its link's index, which may be gone, and its label, which begins with the link's name. */
    private static Optional<LinkName> linkOf(RtNetlink.AddressAt at) {
        return named(at.label().replaceFirst(":.*", ""));
    }

    private static Optional<LinkName> named(String name) {
        try {
            return Optional.of(new LinkName(name));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    NetlinkMonitor monitor() {
        return monitor;
    }

    @Override
    public void close() {
        monitor.close();
    }
}
