package dev.vmlet.host.net;

import dev.vmlet.host.Links;
import dev.vmlet.model.BridgePort;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Route;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.nio.channels.DatagramChannel;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import jnr.constants.platform.Errno;

/** Interfaces of the network namespace this process runs in, over rtnetlink, {@code /dev/net/tun} and {@code /proc}. */
public final class LinuxLinks implements Links, AutoCloseable {
    private static final Ipv4Prefix EVERYWHERE = Ipv4Prefix.parse("0.0.0.0/0");

    /** A root name server, 198.41.0.4: the same for decades, and no address of a node. Nothing is sent there. */
    private static final byte[] SOMEBODY_OUTSIDE = {(byte) 198, 41, 0, 4};

    private final SecureRandom chance = new SecureRandom();
    private final NetlinkSockets netlink;
    private final Neighbours neighbours;
    private final Taps taps;
    private final Listeners listeners = new Listeners(Path.of("/proc/net"));
    private final ForwardingFlags forwarding = new ForwardingFlags(Path.of("/proc/sys/net/ipv4/conf"));

    public LinuxLinks() {
        Kernel kernel = new Kernel();
        this.netlink = new NetlinkSockets(kernel, Kernel.NETLINK_ROUTE);
        this.neighbours = new Neighbours(netlink);
        this.taps = new Taps(kernel);
    }

    /** Whether the kernel makes bridges; it is asked for one that it must refuse, so none is made. */
    public Seen<Boolean> bridges() {
        try {
            List<NetlinkMessage> _ = netlink.exchange(socket -> socket.ask(RtNetlink.impossibleBridge()));
            return Seen.unknown("it made one that it should have refused");
        } catch (KernelRefusal e) {
            return switch (e.errno()) {
                case EINVAL, ERANGE -> Seen.present(true);
                case EOPNOTSUPP -> Seen.present(false);
                default -> Seen.unknown(String.valueOf(e.getMessage()));
            };
        }
    }

    @Override
    public List<Link> list() throws HostException {
        return netlink.exchange("list links", this::links);
    }

    private List<Link> links(NetlinkSocket socket) throws KernelRefusal {
        List<Link> links = new ArrayList<>();
        for (NetlinkMessage message : socket.dump(RtNetlink.getLinks())) {
            RtNetlink.link(message).ifPresent(links::add);
        }
        links.sort(Comparator.comparing(Link::name));
        return List.copyOf(links);
    }

    @Override
    public Seen<Link> find(LinkName name) {
        try {
            return netlink.exchange(socket -> look(socket, name))
                    .map(Seen::present)
                    .orElseGet(Seen::missing);
        } catch (KernelRefusal e) {
            return Seen.unknown("find link " + name + ": " + e.getMessage());
        }
    }

    static Optional<Link> look(NetlinkSocket socket, LinkName name) throws KernelRefusal {
        try {
            for (NetlinkMessage message : socket.ask(RtNetlink.getLink(name))) {
                Optional<Link> link = RtNetlink.link(message);
                if (link.isPresent()) {
                    return link;
                }
            }
            throw NetlinkMessage.malformed("link " + name + " acknowledged but not described");
        } catch (KernelRefusal e) {
            if (e.errno() == Errno.ENODEV) {
                return Optional.empty();
            }
            throw e;
        }
    }

    @Override
    public Seen<Set<InterfaceAddress>> addresses(LinkName name) {
        try {
            return netlink.exchange(socket -> {
                Optional<Link> link = look(socket, name);
                if (link.isEmpty()) {
                    return Seen.missing();
                }
                Set<InterfaceAddress> found = new HashSet<>();
                for (RtNetlink.AddressAt at : addressesAt(socket, link.get().index())) {
                    found.add(at.address());
                }
                return Seen.present(Set.copyOf(found));
            });
        } catch (KernelRefusal e) {
            // The filter names an index, so a link that went away meanwhile answers ENODEV.
            return e.errno() == Errno.ENODEV
                    ? Seen.missing()
                    : Seen.unknown("list addresses of " + name + ": " + e.getMessage());
        }
    }

    private static List<RtNetlink.AddressAt> addressesAt(NetlinkSocket socket, int index) throws KernelRefusal {
        List<RtNetlink.AddressAt> found = new ArrayList<>();
        for (NetlinkMessage message : socket.dump(RtNetlink.getAddresses(index))) {
            RtNetlink.address(message)
                    .filter(at -> index == 0 || at.index() == index)
                    .ifPresent(found::add);
        }
        return found;
    }

    @Override
    public Map<LinkName, Set<InterfaceAddress>> allAddresses() throws HostException {
        return netlink.exchange("list addresses", socket -> {
            // Addresses first: what appears between the two dumps then has no address yet, rather than no name.
            List<RtNetlink.AddressAt> addresses = addressesAt(socket, 0);
            Map<Integer, LinkName> names = names(socket);
            Map<LinkName, Set<InterfaceAddress>> byLink = new TreeMap<>();
            for (RtNetlink.AddressAt at : addresses) {
                LinkName name = names.get(at.index());
                if (name != null) {
                    byLink.computeIfAbsent(name, _ -> new HashSet<>()).add(at.address());
                }
            }
            byLink.replaceAll((_, set) -> Set.copyOf(set));
            return Map.copyOf(byLink);
        });
    }

    private Map<Integer, LinkName> names(NetlinkSocket socket) throws KernelRefusal {
        Map<Integer, LinkName> names = new HashMap<>();
        for (Link link : links(socket)) {
            names.put(link.index(), link.name());
        }
        return names;
    }

    @Override
    public List<Route> routes() throws HostException {
        return netlink.exchange("list routes", socket -> {
            List<NetlinkMessage> answers;
            try {
                answers = socket.dump(RtNetlink.getMainRoutes());
            } catch (KernelRefusal e) {
                // A namespace that never had a route has no main table yet.
                if (e.errno() == Errno.ENOENT) {
                    return List.of();
                }
                throw e;
            }
            Map<Integer, LinkName> names = names(socket);
            List<Route> routes = new ArrayList<>();
            for (NetlinkMessage message : answers) {
                for (RtNetlink.RouteBy route : RtNetlink.routes(message)) {
                    LinkName device = names.get(route.index());
                    if (device != null) {
                        routes.add(new Route(route.destination(), device, route.metric()));
                    }
                }
            }
            return List.copyOf(routes);
        });
    }

    @Override
    public Optional<LinkName> uplink() throws HostException {
        return routes().stream()
                .filter(r -> r.destination().equals(EVERYWHERE))
                .min(Comparator.comparingLong(Route::metric))
                .map(Route::device);
    }

    @Override
    public Seen<Ipv4Address> ownAddress() {
        try {
            if (uplink().isEmpty()) {
                return Seen.missing();
            }
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
        // The kernel chooses the source when a UDP socket is given its peer; no packet is sent.
        try (DatagramChannel socket = DatagramChannel.open(StandardProtocolFamily.INET)) {
            socket.connect(new InetSocketAddress(InetAddress.getByAddress(SOMEBODY_OUTSIDE), 9));
            return socket.getLocalAddress() instanceof InetSocketAddress local
                            && !local.getAddress().isAnyLocalAddress()
                    ? Seen.present(Ipv4Address.of(local.getAddress().getAddress()))
                    : Seen.missing();
        } catch (IOException e) {
            return Seen.unknown("look up the node's own address: " + e.getMessage());
        }
    }

    @Override
    public void createBridge(LinkName name, MacAddress mac, int mtu, Mark mark) throws HostException {
        String operation = "create bridge " + name;
        try {
            netlink.exchange(socket -> socket.ask(RtNetlink.createBridge(name, mac)));
        } catch (KernelRefusal e) {
            if (e.errno() == Errno.EOPNOTSUPP) {
                throw new HostException.Unsupported(operation + ": " + e.getMessage() + "; load the bridge module", e);
            }
            if (e.errno() != Errno.EEXIST) {
                throw e.during(operation);
            }
            Link there = existing(operation, name);
            requireKind(operation, there, "bridge");
            if (there.mark().equals(mark)) {
                return;
            }
            if (!isCrashTrace(there, mac)) {
                throw foreign(operation, there);
            }
        }
        // MTU in the second message on purpose: one given at creation does not count as chosen by somebody, and the
        // kernel resets it to 1500 when the last port leaves (br_mtu_auto_adjust in net/bridge/br_if.c).
        markLink(operation, name, mtu, mark);
    }

    private boolean isCrashTrace(Link bridge, MacAddress mac) throws HostException {
        return bridge.mark().text().isEmpty()
                && !bridge.up()
                && bridge.mac().equals(mac.value())
                && list().stream().noneMatch(l -> l.masterIndex() == bridge.index());
    }

    void markLink(String operation, LinkName name, int mtu, Mark mark) throws HostException {
        Link made = existing(operation, name);
        netlink.exchange(operation, socket -> socket.ask(RtNetlink.markLink(made.index(), mtu, mark)));
    }

    @Override
    public void createTap(LinkName name, int userId, int mtu, Mark mark) throws HostException {
        String operation = "create tap " + name;
        try {
            taps.create(name, userId);
        } catch (HostException.Busy e) {
            Link there = existing(operation, name);
            requireKind(operation, there, "tun");
            if (there.mark().equals(mark) && there.tapUid() == userId) {
                return;
            }
            if (!isCrashTrace(there, userId)) {
                throw foreign(operation, there);
            }
            taps.adopt(name, userId);
        }
        markLink(operation, name, mtu, mark);
    }

    private static boolean isCrashTrace(Link tap, int userId) {
        return tap.mark().text().isEmpty() && tap.tapUid() == userId && !tap.up() && tap.masterIndex() == 0;
    }

    @Override
    public void setUp(LinkName name) throws HostException {
        String operation = "set up link " + name;
        Link link = existing(operation, name);
        netlink.exchange(operation, socket -> socket.ask(RtNetlink.setUp(link.index())));
    }

    @Override
    public void setMtu(LinkName name, int mtu) throws HostException {
        String operation = "set MTU of link " + name + " to " + mtu;
        Link link = existing(operation, name);
        netlink.exchange(operation, socket -> socket.ask(RtNetlink.setMtu(link.index(), mtu)));
    }

    @Override
    public void setMac(LinkName name, MacAddress mac) throws HostException {
        String operation = "set MAC address of link " + name + " to " + mac;
        Link link = existing(operation, name);
        netlink.exchange(operation, socket -> socket.ask(RtNetlink.setMac(link.index(), mac)));
    }

    @Override
    public void attach(LinkName port, LinkName bridge) throws HostException {
        String operation = "attach link " + port + " to bridge " + bridge;
        Link master = existing(operation, bridge);
        if (!master.kind().equals("bridge")) {
            throw new HostException.Refused(operation + ": " + bridge + " is no bridge", null);
        }
        Link link = existing(operation, port);
        if (link.masterIndex() != master.index()) {
            netlink.exchange(operation, socket -> socket.ask(RtNetlink.setMaster(link.index(), master.index())));
        }
    }

    @Override
    public void setBridgePort(LinkName port, BridgePort flags) throws HostException {
        String operation = "set the flags of bridge port " + port;
        Link link = existingPort(operation, port);
        netlink.exchange(operation, socket -> socket.ask(RtNetlink.setBridgePort(link.index(), flags)));
    }

    private Link existingPort(String operation, LinkName port) throws HostException {
        Link link = existing(operation, port);
        if (link.masterIndex() == 0) {
            throw new HostException.Refused(operation + ": it is in no bridge", null);
        }
        return link;
    }

    @Override
    public Seen<Set<ServicePort>> listeners() {
        try {
            return Seen.present(listeners.ports());
        } catch (IOException e) {
            return Seen.unknown("look for what listens on this node: " + e);
        }
    }

    @Override
    public Seen<Boolean> isBehind(LinkName port, MacAddress mac) {
        String operation = "look for " + mac + " behind " + port;
        try {
            Optional<Link> link = maybe(operation, port);
            if (link.isEmpty()) {
                return Seen.missing();
            }
            if (link.get().masterIndex() == 0) {
                return Seen.present(false);
            }
            int index = link.get().index();
            return Seen.present(netlink.exchange(socket -> socket.ask(RtNetlink.getBehind(index, mac)).stream()
                    .anyMatch(answer -> RtNetlink.isBehind(answer, index))));
        } catch (KernelRefusal e) {
            // ENOENT: no such address. The others: the port left the bridge, or was deleted, since it was looked at.
            return e.errno() == Errno.ENOENT || e.errno() == Errno.EINVAL || e.errno() == Errno.ENODEV
                    ? Seen.present(false)
                    : Seen.unknown(operation + ": " + e.getMessage());
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public void putBehind(LinkName port, MacAddress mac) throws HostException {
        String operation = "put " + mac + " behind " + port;
        Link link = existingPort(operation, port);
        netlink.exchange(operation, socket -> socket.ask(RtNetlink.putBehind(link.index(), mac)));
    }

    @Override
    public Seen<Map<Ipv4Address, String>> neighbours(LinkName name, Set<Ipv4Address> addresses) {
        return neighbours.known(name, addresses);
    }

    @Override
    public void putNeighbour(LinkName name, Ipv4Address address, MacAddress mac) throws HostException {
        neighbours.put(name, address, mac);
    }

    @Override
    public void deleteNeighbour(LinkName name, Ipv4Address address, String mac) throws HostException {
        neighbours.delete(name, address, mac);
    }

    @Override
    public void addAddress(LinkName name, InterfaceAddress address) throws HostException {
        String operation = "add address " + address + " to link " + name;
        Link link = existing(operation, name);
        try {
            netlink.exchange(socket -> socket.ask(RtNetlink.addAddress(link.index(), address)));
        } catch (KernelRefusal e) {
            if (e.errno() != Errno.EEXIST) {
                throw e.during(operation);
            }
        }
    }

    @Override
    public void deleteAddress(LinkName name, InterfaceAddress address) throws HostException {
        String operation = "delete address " + address + " from link " + name;
        Optional<Link> link = maybe(operation, name);
        if (link.isEmpty()) {
            return;
        }
        try {
            netlink.exchange(
                    socket -> socket.ask(RtNetlink.deleteAddress(link.get().index(), address)));
        } catch (KernelRefusal e) {
            if (e.errno() != Errno.EADDRNOTAVAIL && e.errno() != Errno.ENODEV) {
                throw e.during(operation);
            }
        }
    }

    @Override
    public void retire(LinkName name, Mark mark, int group) throws HostException {
        changeOurs("retire link " + name, name, mark, index -> RtNetlink.retire(index, group));
    }

    /**
     * The kernel deletes by group whatever is in the group, and anybody may put a link into any group. So the waiting
     * group, whose number is lasting and can be read, is never deleted: what is proved ours is moved, by index, into a
     * group of a number drawn by chance that no link has, looked at there once more, and deleted from there. A link of
     * somebody else could be hit only by being put into a group of that number in the fraction of a millisecond that it
     * exists. One message for each tap would be safe as well, but the kernel then waits for each (sent in one datagram,
     * too: rtnetlink_rcv_msg lets go of its lock, and waits, after each message).
     */
    @Override
    public List<LinkName> reap(InstallationId installation, int group) throws HostException {
        return netlink.exchange("delete the retired taps", socket -> {
            List<Link> all = links(socket);
            List<Link> waiting = all.stream()
                    .filter(link -> isRetired(link, installation, group))
                    .limit(REAPED_MAX)
                    .toList();
            if (waiting.isEmpty()) {
                return List.of();
            }
            if (waiting.size() == 1) {
                unlessGone(socket, RtNetlink.deleteLink(waiting.getFirst().index()));
                return List.of(waiting.getFirst().name());
            }
            int chosen = unusedGroup(all);
            for (Link link : waiting) {
                unlessGone(socket, RtNetlink.setGroup(link.index(), chosen));
            }
            List<Link> members = links(socket).stream()
                    .filter(link -> link.group() == chosen)
                    .toList();
            if (members.stream().allMatch(link -> isRetired(link, installation, chosen))) {
                unlessGone(socket, RtNetlink.deleteGroup(chosen));
            } else {
                for (Link link : members) {
                    if (isRetired(link, installation, chosen)) {
                        unlessGone(socket, RtNetlink.deleteLink(link.index()));
                    }
                }
            }
            return members.stream()
                    .filter(link -> isRetired(link, installation, chosen))
                    .map(Link::name)
                    .toList();
        });
    }

    private static boolean isRetired(Link link, InstallationId installation, int group) {
        return link.isRetired(group) && link.mark().owner(installation) instanceof Owner.OfVm;
    }

    private int unusedGroup(List<Link> links) {
        while (true) {
            int group = chance.nextInt(Link.DELETION_GROUP_FIRST, Integer.MAX_VALUE);
            if (links.stream().noneMatch(link -> link.group() == group)) {
                return group;
            }
        }
    }

    /** Somebody else may have been quicker: ENODEV is no failure. */
    private static void unlessGone(NetlinkSocket socket, NetlinkRequest request) throws KernelRefusal {
        try {
            socket.ask(request);
        } catch (KernelRefusal e) {
            if (e.errno() != Errno.ENODEV) {
                throw e;
            }
        }
    }

    @Override
    public void delete(LinkName name, Mark mark) throws HostException {
        changeOurs("delete link " + name, name, mark, RtNetlink::deleteLink);
    }

    private interface Change {
        NetlinkRequest of(int index);
    }

    /** By index, not by name: what is changed is the very link whose mark was read. */
    private void changeOurs(String operation, LinkName name, Mark mark, Change change) throws HostException {
        Optional<Link> link = maybe(operation, name);
        if (link.isEmpty()) {
            return;
        }
        requireMark(operation, link.get(), mark);
        try {
            netlink.exchange(socket -> socket.ask(change.of(link.get().index())));
        } catch (KernelRefusal e) {
            if (e.errno() != Errno.ENODEV) {
                throw e.during(operation);
            }
        }
    }

    @Override
    public Seen<Boolean> forwarding(LinkName name) {
        return forwarding.read(name);
    }

    @Override
    public Seen<Boolean> forwardingEverywhere() {
        return forwarding.readGlobal();
    }

    @Override
    public void setForwarding(LinkName name, boolean on) throws HostException {
        forwarding.write(name, on);
    }

    private Optional<Link> maybe(String operation, LinkName name) throws HostException {
        return netlink.exchange(operation, socket -> look(socket, name));
    }

    private Link existing(String operation, LinkName name) throws HostException {
        Optional<Link> link = maybe(operation, name);
        if (link.isEmpty()) {
            throw new HostException.Refused(operation + ": no link " + name, null);
        }
        return link.get();
    }

    private static void requireKind(String operation, Link there, String kind) throws HostException {
        if (!there.kind().equals(kind)) {
            throw foreign(operation, there);
        }
    }

    private static void requireMark(String operation, Link there, Mark mark) throws HostException {
        if (!there.mark().equals(mark)) {
            throw foreign(operation, there);
        }
    }

    private static HostException.Foreign foreign(String operation, Link there) {
        String kind = there.kind().isEmpty() ? "physical" : there.kind();
        String mark = there.mark().text().isEmpty() ? "no mark" : "mark \"" + there.mark() + "\"";
        return new HostException.Foreign(
                operation + ": a " + kind + " link " + there.name() + " with " + mark + " is in the way", null);
    }

    @Override
    public void close() {
        netlink.close();
    }
}
