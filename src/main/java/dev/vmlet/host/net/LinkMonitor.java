package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;

/**
 * Says which links changed, appeared or went, or had an IPv4 address added or taken. A hint, our own changes included:
 * look for yourself. Both callbacks run on the monitor's thread and must be quick.
 */
public final class LinkMonitor implements AutoCloseable {
    private final NetlinkMonitor monitor;

    /**
     * @param changed called with the link's name
     * @param everything called when events were lost: any link may have changed
     */
    public LinkMonitor(Consumer<LinkName> changed, Runnable everything) throws HostException {
        this.monitor = NetlinkMonitor.start(
                "link-monitor",
                Kernel.NETLINK_ROUTE,
                List.of(RtNetlink.GROUP_LINK, RtNetlink.GROUP_IPV4_IFADDR),
                new NetlinkMonitor.Listener() {
                    @Override
                    public void heard(NetlinkMessage message) throws KernelRefusal {
                        Optional<Link> link = RtNetlink.link(message);
                        link.ifPresent(l -> changed.accept(l.name()));
                        RtNetlink.address(message).ifPresent(at -> linkOf(at).ifPresentOrElse(changed, everything));
                    }

                    @Override
                    public void missed() {
                        everything.run();
                    }
                });
    }

    /** An address carries its link's index, which may be gone, and its label, which begins with the link's name. */
    private static Optional<LinkName> linkOf(RtNetlink.AddressAt at) {
        String name = at.label().replaceFirst(":.*", "");
        try {
            return Optional.of(new LinkName(name));
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    @Override
    public void close() {
        monitor.close();
    }
}
