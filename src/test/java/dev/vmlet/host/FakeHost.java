package dev.vmlet.host;

import dev.vmlet.model.BridgePort;
import dev.vmlet.model.Claim;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
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
import dev.vmlet.model.Speech;
import dev.vmlet.plan.Ruleset;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A host's network stack in memory: what exists, whose it is, what the kernel refuses. No time, no latency, no packet.
 * {@link HostContract} holds it against the kernel. What it can never prove: that a rule drops a packet, that a
 * privilege suffices, what a full bridge or a full disk does, and in which order two processes get through.
 */
public final class FakeHost implements Links, Firewall {
    private static final Ipv4Prefix EVERYWHERE = Ipv4Prefix.parse("0.0.0.0/0");
    private static final Set<String> OPERATIONS = Stream.of(Links.class, Firewall.class)
            .flatMap(door -> Arrays.stream(door.getMethods()))
            .map(Method::getName)
            .collect(Collectors.toUnmodifiableSet());

    private final InstallationId installation;
    private final Map<LinkName, Link> links = new TreeMap<>();
    private final Map<LinkName, Set<InterfaceAddress>> addresses = new HashMap<>();
    private final Map<LinkName, Boolean> forwarding = new HashMap<>();
    private boolean forwardingEverywhere;
    private final List<Route> defaultRoutes = new ArrayList<>();
    private final Map<String, HostException> failures = new HashMap<>();
    private int lastIndex;

    /** Families of our tables that exist: {@code inet}, {@code bridge}. */
    private final Set<String> tables = new HashSet<>();

    /** Owners by set and key. */
    private final Map<FirewallSet, Map<List<String>, String>> sets = new HashMap<>();

    private String tamperedWith = "";

    private final Set<ServicePort> listeners = new HashSet<>();

    /** Who is known for good behind which port. */
    private final Set<String> behind = new HashSet<>();

    /** What ARP told since the tables were made. */
    private final Map<LinkName, List<Speech>> spoken = new HashMap<>();

    private final Map<Ipv4Address, List<Claim>> claims = new HashMap<>();

    private final Map<LinkName, Map<Ipv4Address, String>> neighbours = new HashMap<>();

    public FakeHost(InstallationId installation) {
        this.installation = installation;
        plant("lo", "", "00:00:00:00:00:00", 65536, true, new Mark(""), -1);
    }

    // ---- what others do to the host ----

    /** The next call of the door's method of this name throws, or answers Unknown where it cannot throw. */
    public synchronized void failNext(String operation, HostException failure) {
        if (!OPERATIONS.contains(operation)) {
            throw new IllegalArgumentException("no such operation: " + operation + "; there are " + OPERATIONS);
        }
        failures.put(operation, failure);
    }

    /** Whether a failure is waiting for its call. */
    public synchronized boolean armed() {
        return !failures.isEmpty();
    }

    /** Failures that have not happened yet never will; whether there were any. */
    public synchronized boolean takeBackFailures() {
        boolean pending = !failures.isEmpty();
        failures.clear();
        return pending;
    }

    /** What there is, read by nobody: no failure is spent on it. */
    public synchronized Map<LinkName, Link> everyLink() {
        return new TreeMap<>(links);
    }

    public synchronized Set<FirewallElement> everyElement() {
        Set<FirewallElement> elements = new HashSet<>();
        sets.forEach(
                (set, members) -> members.forEach((key, owner) -> elements.add(new FirewallElement(set, key, owner))));
        return elements;
    }

    public synchronized boolean bothTablesExist() {
        return tables.size() == 2;
    }

    public synchronized boolean rulesAreIntact() {
        return tables.size() == 2 && tamperedWith.isEmpty();
    }

    public synchronized Set<InterfaceAddress> everyAddress(LinkName name) {
        return Set.copyOf(addressesOf(name));
    }

    public synchronized boolean forwards(LinkName name) {
        return forwarding.getOrDefault(name, false);
    }

    /** Somebody makes a link. */
    public synchronized void plant(String name, String kind, String mac, int mtu, boolean up, Mark mark, long tapUid) {
        LinkName linkName = new LinkName(name);
        links.put(linkName, new Link(++lastIndex, linkName, kind, mac, mtu, up, mark, 0, tapUid, 0));
    }

    /** Somebody deletes a link, whosever it is. */
    public synchronized void unplug(LinkName name) {
        Link gone = links.remove(name);
        addresses.remove(name);
        neighbours.remove(name);
        forwarding.remove(name);
        defaultRoutes.removeIf(r -> r.device().equals(name));
        if (gone != null) {
            links.replaceAll((_, l) -> l.masterIndex() == gone.index() ? withMaster(l, 0) : l);
        }
    }

    /** Somebody puts a link into a group. */
    public synchronized void setGroup(LinkName name, int group) {
        links.computeIfPresent(
                name,
                (_, l) -> new Link(
                        l.index(),
                        name,
                        l.kind(),
                        l.mac(),
                        l.mtu(),
                        l.up(),
                        l.mark(),
                        l.masterIndex(),
                        l.tapUid(),
                        group,
                        l.port()));
    }

    /** Somebody gives a link another MAC address. */
    public synchronized void changeMac(LinkName name, String mac) {
        links.computeIfPresent(
                name,
                (_, l) -> new Link(
                        l.index(),
                        name,
                        l.kind(),
                        mac,
                        l.mtu(),
                        l.up(),
                        l.mark(),
                        l.masterIndex(),
                        l.tapUid(),
                        l.group(),
                        l.port()));
    }

    /** Somebody gives a link an address. */
    public synchronized void plantAddress(LinkName name, InterfaceAddress address) {
        addresses.computeIfAbsent(name, _ -> new HashSet<>()).add(address);
    }

    /** Somebody sets a default route. */
    public synchronized void routeEverythingBy(LinkName device, long metric) {
        defaultRoutes.add(new Route(EVERYWHERE, device, metric));
    }

    /** Somebody deletes or changes a rule of ours. */
    public synchronized void tamperWithRules() {
        tamperedWith = "bridge rule in chain prerouting is missing";
    }

    /** A guest speaks from behind its tap as what it is not. */
    public synchronized void speak(LinkName tap, MacAddress mac, String ip) {
        Speech speech = new Speech(mac.value(), Ipv4Address.parse(ip));
        List<Speech> heard = spoken.computeIfAbsent(tap, _ -> new ArrayList<>());
        heard.remove(speech);
        heard.addFirst(speech);
    }

    /** Somebody behind another port says that a guest's address is his. */
    public synchronized void claim(String ip, LinkName port, String mac) {
        Link by = Objects.requireNonNull(links.get(port));
        claims.computeIfAbsent(Ipv4Address.parse(ip), _ -> new ArrayList<>()).addFirst(new Claim(by.index(), mac));
    }

    /** Minutes pass in which nobody says anything. */
    public synchronized void silence() {
        spoken.clear();
        claims.clear();
    }

    /** Somebody deletes one of our tables. */
    public synchronized void deleteTable(String family) {
        tables.remove(family);
        if (family.equals("bridge")) {
            silence();
        }
        sets.keySet().removeIf(set -> set.family().equals(family));
    }

    /** Everything the kernel keeps in memory is gone; physical links are back, down. */
    public synchronized void reboot() {
        List.copyOf(links.values()).stream().filter(l -> !l.kind().isEmpty()).forEach(l -> unplug(l.name()));
        links.replaceAll((_, l) -> withUp(l, l.name().value().equals("lo")));
        addresses.clear();
        neighbours.clear();
        forwarding.clear();
        forwardingEverywhere = false;
        defaultRoutes.clear();
        deleteTable("inet");
        deleteTable("bridge");
        tamperedWith = "";
    }

    // ---- Links ----

    @Override
    public synchronized List<Link> list() throws HostException {
        fail("list");
        return List.copyOf(links.values());
    }

    @Override
    public synchronized Seen<Link> find(LinkName name) {
        return seen("find", links.get(name));
    }

    @Override
    public synchronized Seen<Set<InterfaceAddress>> addresses(LinkName name) {
        return seen("addresses", links.containsKey(name) ? Set.copyOf(addressesOf(name)) : null);
    }

    @Override
    public synchronized Map<LinkName, Set<InterfaceAddress>> allAddresses() throws HostException {
        fail("allAddresses");
        Map<LinkName, Set<InterfaceAddress>> all = new HashMap<>();
        addresses.forEach((name, set) -> {
            if (!set.isEmpty()) {
                all.put(name, Set.copyOf(set));
            }
        });
        return Map.copyOf(all);
    }

    @Override
    public synchronized List<Route> routes() throws HostException {
        fail("routes");
        List<Route> routes = new ArrayList<>(defaultRoutes);
        for (Link link : links.values()) {
            for (InterfaceAddress address : addressesOf(link.name())) {
                if (link.up() && address.length() < 32) {
                    routes.add(new Route(address.prefix(), link.name(), 0));
                }
            }
        }
        return List.copyOf(routes);
    }

    @Override
    public synchronized Optional<LinkName> uplink() throws HostException {
        fail("uplink");
        return defaultRoutes.stream()
                .min(Comparator.comparingLong(Route::metric))
                .map(Route::device);
    }

    @Override
    public synchronized Seen<Ipv4Address> ownAddress() {
        return defaultRoutes.stream()
                .min(Comparator.comparingLong(Route::metric))
                .flatMap(route -> addresses.getOrDefault(route.device(), Set.of()).stream()
                        .map(InterfaceAddress::address)
                        .min(Comparator.comparing(Ipv4Address::toString)))
                .<Seen<Ipv4Address>>map(Seen::present)
                .orElseGet(Seen::missing);
    }

    @Override
    public synchronized void createBridge(LinkName name, MacAddress mac, int mtu, Mark mark) throws HostException {
        fail("createBridge");
        String operation = "create bridge " + name;
        Link there = links.get(name);
        if (there != null) {
            if (there.kind().equals("bridge") && there.mark().equals(mark)) {
                return;
            }
            boolean crashTrace = there.kind().equals("bridge")
                    && there.mark().text().isEmpty()
                    && !there.up()
                    && there.mac().equals(mac.value())
                    && links.values().stream().noneMatch(l -> l.masterIndex() == there.index());
            if (!crashTrace) {
                throw foreign(operation, there);
            }
        }
        checkMtu(operation, mtu);
        int index = there == null ? ++lastIndex : there.index();
        links.put(name, new Link(index, name, "bridge", mac.value(), mtu, false, mark, 0, -1, 0));
    }

    @Override
    public synchronized void createTap(LinkName name, int userId, int mtu, Mark mark) throws HostException {
        fail("createTap");
        String operation = "create tap " + name;
        Link there = links.get(name);
        if (there != null) {
            boolean oursToOpen = there.kind().equals("tun") && there.tapUid() == userId;
            if (oursToOpen && there.mark().equals(mark)) {
                return;
            }
            boolean crashTrace = oursToOpen && there.mark().text().isEmpty() && !there.up() && there.masterIndex() == 0;
            if (!crashTrace) {
                throw foreign(operation, there);
            }
        }
        checkMtu(operation, mtu);
        int index = there == null ? ++lastIndex : there.index();
        String mac = "fe:00:00:00:%02x:%02x".formatted(index >> 8 & 0xff, index & 0xff);
        links.put(name, new Link(index, name, "tun", mac, mtu, false, mark, 0, userId, 0));
    }

    @Override
    public synchronized void setUp(LinkName name) throws HostException {
        fail("setUp");
        links.put(name, withUp(existing("set up link " + name, name), true));
    }

    @Override
    public synchronized void setMtu(LinkName name, int mtu) throws HostException {
        fail("setMtu");
        String operation = "set MTU of link " + name;
        Link l = existing(operation, name);
        checkMtu(operation, mtu);
        links.put(
                name,
                new Link(
                        l.index(),
                        name,
                        l.kind(),
                        l.mac(),
                        mtu,
                        l.up(),
                        l.mark(),
                        l.masterIndex(),
                        l.tapUid(),
                        l.group(),
                        l.port()));
    }

    @Override
    public synchronized void setMac(LinkName name, MacAddress mac) throws HostException {
        fail("setMac");
        Link l = existing("set MAC address of link " + name, name);
        changeMac(l.name(), mac.value());
    }

    @Override
    public synchronized void attach(LinkName port, LinkName bridge) throws HostException {
        fail("attach");
        String operation = "attach link " + port + " to bridge " + bridge;
        Link master = existing(operation, bridge);
        Link link = existing(operation, port);
        if (!master.kind().equals("bridge")) {
            throw new HostException.Refused(operation + ": " + bridge + " is no bridge", null);
        }
        links.put(port, withMaster(link, master.index()));
    }

    @Override
    public synchronized void setBridgePort(LinkName port, BridgePort flags) throws HostException {
        fail("setBridgePort");
        Link l = existing("set the flags of bridge port " + port, port);
        if (l.masterIndex() == 0) {
            throw new HostException.Refused("set the flags of bridge port " + port + ": it is in no bridge", null);
        }
        links.put(
                port,
                new Link(
                        l.index(),
                        port,
                        l.kind(),
                        l.mac(),
                        l.mtu(),
                        l.up(),
                        l.mark(),
                        l.masterIndex(),
                        l.tapUid(),
                        l.group(),
                        flags));
    }

    @Override
    public synchronized Seen<Set<ServicePort>> listeners() {
        return seen("listeners", Set.copyOf(listeners));
    }

    /** A process of the node listens. */
    public synchronized void listen(ServicePort port) {
        listeners.add(port);
    }

    @Override
    public synchronized Seen<Boolean> isBehind(LinkName port, MacAddress mac) {
        Link link = links.get(port);
        return seen("isBehind", link == null ? null : link.masterIndex() != 0 && behind.contains(behind(link, mac)));
    }

    @Override
    public synchronized void putBehind(LinkName port, MacAddress mac) throws HostException {
        fail("putBehind");
        Link link = existing("put " + mac + " behind " + port, port);
        if (link.masterIndex() == 0) {
            throw new HostException.Refused("put " + mac + " behind " + port + ": it is in no bridge", null);
        }
        behind.add(behind(link, mac));
    }

    private static String behind(Link link, MacAddress mac) {
        return link.index() + " " + mac;
    }

    @Override
    public synchronized Seen<Map<Ipv4Address, String>> neighbours(LinkName name, Set<Ipv4Address> asked) {
        Map<Ipv4Address, String> known = new HashMap<>(neighbours.getOrDefault(name, Map.of()));
        known.keySet().retainAll(asked);
        return seen("neighbours", links.containsKey(name) ? Map.copyOf(known) : null);
    }

    @Override
    public synchronized void putNeighbour(LinkName name, Ipv4Address address, MacAddress mac) throws HostException {
        fail("putNeighbour");
        existing("make " + mac + " the neighbour with " + address + " on link " + name, name);
        neighbours.computeIfAbsent(name, _ -> new HashMap<>()).put(address, mac.value());
    }

    @Override
    public synchronized void deleteNeighbour(LinkName name, Ipv4Address address, String mac) throws HostException {
        fail("deleteNeighbour");
        neighbours.getOrDefault(name, new HashMap<>()).remove(address, mac);
    }

    /** What the node knows for good, by link. */
    public synchronized Map<LinkName, Map<Ipv4Address, String>> everyNeighbour() {
        Map<LinkName, Map<Ipv4Address, String>> all = new HashMap<>();
        neighbours.forEach((name, known) -> {
            if (!known.isEmpty()) {
                all.put(name, Map.copyOf(known));
            }
        });
        return all;
    }

    /** Somebody makes the node forget its neighbours. */
    public synchronized void forgetNeighbours() {
        neighbours.clear();
    }

    /** Somebody takes what the bridge knew. */
    public synchronized void forgetWhoIsBehind() {
        behind.clear();
    }

    @Override
    public synchronized void addAddress(LinkName name, InterfaceAddress address) throws HostException {
        fail("addAddress");
        existing("add address " + address + " to link " + name, name);
        addresses.computeIfAbsent(name, _ -> new HashSet<>()).add(address);
    }

    @Override
    public synchronized void deleteAddress(LinkName name, InterfaceAddress address) throws HostException {
        fail("deleteAddress");
        addressesOf(name).remove(address);
    }

    @Override
    public synchronized void retire(LinkName name, Mark mark, int group) throws HostException {
        fail("retire");
        Link link = links.get(name);
        if (link != null) {
            requireMark("retire link " + name, link, mark);
            links.put(name, withUp(withMaster(link, 0), false));
            setGroup(name, group);
        }
    }

    @Override
    public synchronized List<LinkName> reap(InstallationId of, int group) throws HostException {
        fail("reap");
        List<LinkName> reaped = links.values().stream()
                .filter(link -> link.isRetired(group) && link.mark().owner(of) instanceof Owner.OfVm)
                .map(Link::name)
                .limit(REAPED_MAX)
                .toList();
        reaped.forEach(this::unplug);
        return reaped;
    }

    @Override
    public synchronized void delete(LinkName name, Mark mark) throws HostException {
        fail("delete");
        Link link = links.get(name);
        if (link != null) {
            requireMark("delete link " + name, link, mark);
            unplug(name);
        }
    }

    @Override
    public synchronized Seen<Boolean> forwarding(LinkName name) {
        return seen("forwarding", links.containsKey(name) ? forwarding.getOrDefault(name, false) : null);
    }

    @Override
    public synchronized Seen<Boolean> forwardingEverywhere() {
        return Seen.present(forwardingEverywhere);
    }

    /** Somebody writes {@code ip_forward}: every interface's flag follows. */
    public synchronized void turnForwarding(boolean on) {
        forwardingEverywhere = on;
        links.keySet().forEach(name -> forwarding.put(name, on));
    }

    @Override
    public synchronized void setForwarding(LinkName name, boolean on) throws HostException {
        fail("setForwarding");
        existing("set forwarding flag of " + name, name);
        forwarding.put(name, on);
    }

    // ---- Firewall ----

    @Override
    public synchronized Seen<FirewallState> observe() {
        HostException failure = failures.remove("observe");
        if (failure != null) {
            return Seen.unknown(message(failure));
        }
        if (tables.isEmpty()) {
            return Seen.missing();
        }
        String difference =
                tables.size() == 2 ? tamperedWith : (tables.contains("inet") ? "bridge" : "inet") + " table is missing";
        Set<FirewallElement> elements = new HashSet<>();
        sets.forEach(
                (set, members) -> members.forEach((key, owner) -> elements.add(new FirewallElement(set, key, owner))));
        return Seen.present(new FirewallState(difference.isEmpty(), difference, elements));
    }

    @Override
    public synchronized Seen<Set<FirewallElement>> contained(Collection<FirewallElement> candidates) {
        HostException failure = failures.remove("contained");
        if (failure != null) {
            return Seen.unknown(message(failure));
        }
        if (tables.size() < 2) {
            return Seen.missing();
        }
        return Seen.present(candidates.stream()
                .filter(e -> e.ownerUid().equals(members(e.set()).get(e.key())))
                .collect(Collectors.toUnmodifiableSet()));
    }

    @Override
    public synchronized Seen<Set<FirewallElement>> served() {
        Set<FirewallElement> all = everyElement();
        all.removeIf(e -> !e.set().isOfServices());
        return seen("served", tables.contains("inet") ? Set.copyOf(all) : null);
    }

    @Override
    public synchronized Seen<List<Speech>> spoken(LinkName tap) {
        return seen("spoken", tables.contains("bridge") ? List.copyOf(spoken.getOrDefault(tap, List.of())) : null);
    }

    @Override
    public synchronized Seen<List<Claim>> claims(Ipv4Address ip) {
        return seen("claims", tables.contains("bridge") ? List.copyOf(claims.getOrDefault(ip, List.of())) : null);
    }

    @Override
    public synchronized void install(Ruleset ruleset) throws HostException {
        fail("install");
        if (!ruleset.installation().equals(installation)) {
            throw new IllegalStateException("ruleset of installation " + ruleset.installation());
        }
        Map<FirewallSet, Map<List<String>, String>> fresh = new HashMap<>();
        put(fresh, ruleset.elements(), "install firewall " + ruleset.table());
        silence();
        sets.clear();
        sets.putAll(fresh);
        tables.addAll(Set.of("inet", "bridge"));
        tamperedWith = "";
    }

    @Override
    public synchronized void add(Collection<FirewallElement> elements) throws HostException {
        fail("add");
        for (FirewallElement element : elements) {
            if (!tables.contains(element.set().family())) {
                throw new HostException.Refused("add " + element + ": no table", null);
            }
        }
        Map<FirewallSet, Map<List<String>, String>> copy = new HashMap<>();
        sets.forEach((set, members) -> copy.put(set, new LinkedHashMap<>(members)));
        put(copy, elements, "add elements");
        sets.clear();
        sets.putAll(copy);
    }

    /** An element that is there keeps its owner, as in nft, but where it leads a Service's clients; a subnet that overlaps another is refused. */
    private static void put(
            Map<FirewallSet, Map<List<String>, String>> into, Collection<FirewallElement> elements, String operation)
            throws HostException {
        for (FirewallElement element : elements) {
            Map<List<String>, String> members = into.computeIfAbsent(element.set(), _ -> new LinkedHashMap<>());
            if (element.set() == FirewallSet.SUBNETS && !members.containsKey(element.key())) {
                Ipv4Prefix prefix = Ipv4Prefix.parse(element.key().getFirst());
                for (List<String> other : members.keySet()) {
                    if (prefix.overlaps(Ipv4Prefix.parse(other.getFirst()))) {
                        throw new HostException.Refused(operation + ": " + element + " overlaps " + other, null);
                    }
                }
            }
            if (element.set().isOfServices()) {
                int parts = element.set().keyParts(element.key().size());
                List<String> place = element.key().subList(0, parts);
                members.keySet().removeIf(key -> key.subList(0, parts).equals(place));
            }
            members.putIfAbsent(element.key(), element.ownerUid());
        }
    }

    @Override
    public synchronized void delete(Collection<FirewallElement> elements) throws HostException {
        // Both doors have a delete; a failure set for it hits whichever is called next.
        fail("delete");
        elements.forEach(e -> {
            if (!e.set().isOfServices() || e.ownerUid().equals(members(e.set()).get(e.key()))) {
                members(e.set()).remove(e.key());
            }
        });
    }

    @Override
    public synchronized void remove() throws HostException {
        fail("remove");
        deleteTable("inet");
        deleteTable("bridge");
        tamperedWith = "";
    }

    // ---- helpers ----

    private Map<List<String>, String> members(FirewallSet set) {
        return sets.getOrDefault(set, new HashMap<>());
    }

    private Set<InterfaceAddress> addressesOf(LinkName name) {
        return addresses.getOrDefault(name, new HashSet<>());
    }

    private void fail(String operation) throws HostException {
        HostException failure = failures.remove(operation);
        if (failure != null) {
            throw failure;
        }
    }

    private <T> Seen<T> seen(String operation, @Nullable T value) {
        HostException failure = failures.remove(operation);
        if (failure != null) {
            return Seen.unknown(message(failure));
        }
        return value == null ? Seen.missing() : Seen.present(value);
    }

    private static String message(HostException failure) {
        return Objects.requireNonNullElse(failure.getMessage(), failure.toString());
    }

    private Link existing(String operation, LinkName name) throws HostException {
        Link link = links.get(name);
        if (link == null) {
            throw new HostException.Refused(operation + ": no link " + name, null);
        }
        return link;
    }

    private static void requireMark(String operation, Link link, Mark mark) throws HostException {
        if (!link.mark().equals(mark)) {
            throw foreign(operation, link);
        }
    }

    private static HostException foreign(String operation, Link there) {
        return new HostException.Foreign(operation + ": " + there + " is in the way", null);
    }

    private static void checkMtu(String operation, int mtu) throws HostException {
        if (mtu < 68 || mtu > 65535) {
            throw new HostException.Refused(operation + ": MTU " + mtu + ", 68 to 65535 expected", null);
        }
    }

    private static Link withUp(Link l, boolean up) {
        return new Link(
                l.index(),
                l.name(),
                l.kind(),
                l.mac(),
                l.mtu(),
                up,
                l.mark(),
                l.masterIndex(),
                l.tapUid(),
                l.group(),
                l.port());
    }

    /** With the flags of a port that has just joined. */
    private Link withMaster(Link l, int masterIndex) {
        if (masterIndex == l.masterIndex()) {
            return l;
        }
        behind.removeIf(b -> b.startsWith(l.index() + " "));
        return new Link(
                l.index(), l.name(), l.kind(), l.mac(), l.mtu(), l.up(), l.mark(), masterIndex, l.tapUid(), l.group());
    }
}
