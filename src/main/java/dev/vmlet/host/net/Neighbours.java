package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Seen;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import jnr.constants.platform.Errno;

/**
 * What the node knows for good of its neighbours: which MAC address has which IPv4 address on a link. The kernel forgets
 * all of a link's when it is set down. Safe for use by several threads.
 */
final class Neighbours {
    private final NetlinkSockets netlink;

    Neighbours(NetlinkSockets netlink) {
        this.netlink = netlink;
    }

    Seen<Map<Ipv4Address, String>> known(LinkName name, Set<Ipv4Address> addresses) {
        try {
            return netlink.exchange(socket -> {
                Optional<Link> link = LinuxLinks.look(socket, name);
                if (link.isEmpty()) {
                    return Seen.missing();
                }
                Map<Ipv4Address, String> known = new HashMap<>();
                for (Ipv4Address address : addresses) {
                    ask(socket, link.get().index(), address).ifPresent(mac -> known.put(address, mac));
                }
                return Seen.present(Map.copyOf(known));
            });
        } catch (KernelRefusal e) {
            return e.errno() == Errno.ENODEV
                    ? Seen.missing()
                    : Seen.unknown("look for neighbours on " + name + ": " + e.getMessage());
        }
    }

    private static Optional<String> ask(NetlinkSocket socket, int index, Ipv4Address address) throws KernelRefusal {
        try {
            for (NetlinkMessage answer : socket.ask(RtNetlink.getNeighbour(index, address))) {
                Optional<String> mac = RtNetlink.permanentNeighbour(answer);
                if (mac.isPresent()) {
                    return mac;
                }
            }
            return Optional.empty();
        } catch (KernelRefusal e) {
            if (e.errno() == Errno.ENOENT) {
                return Optional.empty();
            }
            throw e;
        }
    }

    void put(LinkName name, Ipv4Address address, MacAddress mac) throws HostException {
        String operation = "make " + mac + " the neighbour with " + address + " on link " + name;
        Optional<Link> link = netlink.exchange(operation, socket -> LinuxLinks.look(socket, name));
        if (link.isEmpty()) {
            throw new HostException.Refused(operation + ": no link " + name, null);
        }
        netlink.exchange(
                operation,
                socket -> socket.ask(RtNetlink.putNeighbour(link.get().index(), address, mac)));
    }

    /** The kernel deletes by address alone, so that it is looked at once more right before. */
    void delete(LinkName name, Ipv4Address address, String mac) throws HostException {
        String operation = "forget " + mac + " as the neighbour with " + address + " on link " + name;
        try {
            netlink.exchange(socket -> {
                Optional<Link> link = LinuxLinks.look(socket, name);
                boolean there = link.isPresent()
                        && ask(socket, link.get().index(), address).equals(Optional.of(mac));
                return there
                        ? socket.ask(RtNetlink.deleteNeighbour(link.get().index(), address))
                        : List.<NetlinkMessage>of();
            });
        } catch (KernelRefusal e) {
            if (e.errno() != Errno.ENOENT && e.errno() != Errno.ENODEV) {
                throw e.during(operation);
            }
        }
    }
}
