package dev.vmlet.host;

import dev.vmlet.model.BridgePort;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Route;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The door to interfaces, addresses, routes and forwarding flags of one network namespace. Safe for use by several
 * threads. Every call ends within a few seconds ({@link HostException.TimedOut}); every message names operation and link.
 */
public interface Links {
    /** All links, from one dump that no concurrent change interrupted. */
    List<Link> list() throws HostException;

    /** Unknown when the look itself failed. */
    Seen<Link> find(LinkName name);

    /** IPv4 addresses by link; Missing when there is no such link. */
    Seen<Set<InterfaceAddress>> addresses(LinkName name);

    /** Every IPv4 address of the host by link name. */
    Map<LinkName, Set<InterfaceAddress>> allAddresses() throws HostException;

    /** IPv4 unicast routes of the main table. */
    List<Route> routes() throws HostException;

    /** The interface of the default route with the lowest metric; empty when there is none. */
    Optional<LinkName> uplink() throws HostException;

    /** The address with which this host speaks to the outside, by its default route; Missing without such a route. */
    Seen<Ipv4Address> ownAddress();

    /**
     * Creates a bridge, down. Mark and MTU follow in a second message, because the kernel takes no ifalias at creation.
     * An unmarked bridge of that name with that MAC, down and without ports, is the trace of a crash in between and is
     * adopted. Creating one that already bears that mark succeeds and changes nothing.
     *
     * @throws HostException.Foreign when another link bears the name
     */
    void createBridge(LinkName name, MacAddress mac, int mtu, Mark mark) throws HostException;

    /**
     * Creates a persistent tap with virtio headers, down, that only the user may open. The mark follows in a second
     * message; until then the tap is down and belongs to no bridge. An unmarked tap of that name, owned by that user,
     * down and without a master is the trace of a crash in between and is adopted. Creating one that already bears
     * that mark and belongs to that user succeeds and changes nothing.
     *
     * @throws HostException.Foreign when another link bears the name
     * @throws HostException.NotPermitted without CAP_NET_ADMIN or access to /dev/net/tun
     */
    void createTap(LinkName name, int userId, int mtu, Mark mark) throws HostException;

    void setUp(LinkName name) throws HostException;

    void setMtu(LinkName name, int mtu) throws HostException;

    void setMac(LinkName name, MacAddress mac) throws HostException;

    /** Makes the port a member of the bridge; succeeds when it already is. */
    void attach(LinkName port, LinkName bridge) throws HostException;

    /**
     * Sets the flags of a port.
     *
     * @throws HostException.Refused when the link is a port of no bridge
     */
    void setBridgePort(LinkName port, BridgePort flags) throws HostException;

    /** Ports that processes of the node listen on, those on loopback alone left out. */
    Seen<Set<ServicePort>> listeners();

    /** Whether the port's bridge knows for good that this MAC is behind it. Missing when there is no such link. */
    Seen<Boolean> isBehind(LinkName port, MacAddress mac);

    /** Tells the port's bridge for good that this MAC is behind it; it forgets it when the port leaves. */
    void putBehind(LinkName port, MacAddress mac) throws HostException;

    /**
     * Which of these addresses the node knows for good on this link, and the MAC address of each in colon form; what it
     * learnt by asking is not among them. Missing when there is no such link.
     */
    Seen<Map<Ipv4Address, String>> neighbours(LinkName name, Set<Ipv4Address> addresses);

    /** Tells the node for good which MAC address has that address, whatever it knew; it forgets it when the link goes down. */
    void putNeighbour(LinkName name, Ipv4Address address, MacAddress mac) throws HostException;

    /** Makes the node forget it; succeeds, and changes nothing, where it knows it not for good or with another MAC address. */
    void deleteNeighbour(LinkName name, Ipv4Address address, String mac) throws HostException;

    /** Adds the address; succeeds when it is there. */
    void addAddress(LinkName name, InterfaceAddress address) throws HostException;

    /** Deletes the address; succeeds when it is not there. */
    void deleteAddress(LinkName name, InterfaceAddress address) throws HostException;

    /**
     * Takes a tap out of service for good: down, out of its bridge and into the group of links that wait to be deleted.
     * No packet passes from here on; {@link #reap} deletes it later, with others. Succeeds when there is no such link.
     *
     * @param group {@link dev.vmlet.model.HostNames#reapGroup}
     * @throws HostException.Foreign when the link of that name does not bear the mark
     */
    void retire(LinkName name, Mark mark, int group) throws HostException;

    /**
     * Deletes the retired taps of this installation, at most {@link #REAPED_MAX} of them, in one go: the kernel waits
     * about 16 ms, once. What else is found in the group stays as it is: a link without our mark, one that is up or in a
     * bridge, one that is no tap.
     *
     * @return whose deletion is proved
     */
    List<LinkName> reap(InstallationId installation, int group) throws HostException;

    /** So many are deleted at once: the kernel keeps its table locked meanwhile. */
    int REAPED_MAX = 256;

    /**
     * Deletes the link. Succeeds when there is no such link. The kernel waits about 16 ms for each.
     *
     * @throws HostException.Foreign when the link of that name does not bear the mark
     */
    void delete(LinkName name, Mark mark) throws HostException;

    /** The IPv4 forwarding flag of the interface ({@code conf/<if>/forwarding}). Missing when there is no such link. */
    Seen<Boolean> forwarding(LinkName name);

    /** The global switch ({@code conf/all/forwarding}, the same as {@code ip_forward}); read, and never written. */
    Seen<Boolean> forwardingEverywhere();

    void setForwarding(LinkName name, boolean on) throws HostException;
}
