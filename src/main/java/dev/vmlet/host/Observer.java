package dev.vmlet.host;

import dev.vmlet.model.ArpWitness;
import dev.vmlet.model.Claim;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LanBridge;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Readiness;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Speech;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.Witnesses;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Looks at the host and changes nothing. Every look that fails becomes {@link Seen.Unknown}. */
public final class Observer {
    private final Host host;
    private final HostNames names;
    private final Leases leases = new Leases();

    public Observer(Host host, HostNames names) {
        this.host = host;
        this.names = names;
    }

    /** The address that leads others to this node, as far as anybody can look. */
    public Optional<Ipv4Address> ownAddress() {
        return host.links().ownAddress() instanceof Seen.Present<Ipv4Address>(Ipv4Address own)
                ? Optional.of(own)
                : Optional.empty();
    }

    public NetworkObservation observeNetwork(String networkUid, Optional<DesiredNetwork> desired) {
        LinkName bridge = names.bridge(networkUid);
        Seen<NetworkRecord> record = host.records().network(networkUid);
        List<FirewallElement> candidates = new ArrayList<>();
        desired.ifPresent(d -> candidates.addAll(allElements(d)));
        if (record instanceof Seen.Present<NetworkRecord>(NetworkRecord r)) {
            candidates.addAll(allElements(r.realised()));
        }
        Seen<Link> link = host.links().find(bridge);
        return new NetworkObservation(
                record,
                link,
                host.links().addresses(bridge),
                host.links().forwarding(bridge),
                contained(candidates),
                ports(link));
    }

    /** With the widest egress: what an earlier wish put there must be seen too. */
    private static List<FirewallElement> allElements(DesiredNetwork network) {
        List<FirewallElement> all = new ArrayList<>(network.elements());
        all.addAll(new DesiredNetwork(
                        network.id(),
                        network.bridge(),
                        network.bridgeMac(),
                        network.mark(),
                        network.subnet(),
                        network.mtu(),
                        Egress.MASQUERADE)
                .elements());
        return all;
    }

    private Seen<Set<FirewallElement>> contained(Collection<FirewallElement> candidates) {
        return host.firewall().contained(new HashSet<>(candidates));
    }

    private Seen<Set<LinkName>> ports(Seen<Link> bridge) {
        if (!(bridge instanceof Seen.Present<Link>(Link link))) {
            return Seen.present(Set.of());
        }
        try {
            return Seen.present(host.links().list().stream()
                    .filter(l -> l.masterIndex() == link.index())
                    .map(Link::name)
                    .collect(Collectors.toSet()));
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
    }

    public VmObservation observeVm(VmId vm, Optional<DesiredVm> desired) {
        Seen<VmRecord> recordSeen = host.records().vm(vm.uid());
        Optional<VmRecord> record =
                recordSeen instanceof Seen.Present<VmRecord>(VmRecord r) ? Optional.of(r) : Optional.empty();
        // By Network uid: another Network of the same name is another NIC. Where the record and the wish differ in
        // the address, the elements of both are looked for.
        Map<String, List<DesiredNic>> nics = new LinkedHashMap<>();
        desired.ifPresent(d -> d.nics()
                .forEach(n -> nics.computeIfAbsent(n.network().uid(), _ -> new ArrayList<>())
                        .add(n)));
        record.ifPresent(r -> r.nics()
                .forEach(n -> nics.computeIfAbsent(n.network().uid(), _ -> new ArrayList<>())
                        .add(n)));
        Map<String, NicObservation> nicsSeen = new HashMap<>();
        Set<LinkName> known = new HashSet<>();
        Seen<Set<FirewallElement>> served = nics.isEmpty() ? Seen.missing() : served(vm);
        nics.forEach((network, variants) -> {
            DesiredNic nic = variants.get(0);
            variants.forEach(n -> known.add(n.tap()));
            Set<FirewallElement> candidates = variants.stream()
                    .flatMap(n -> n.elements(vm.uid()).stream())
                    .collect(Collectors.toSet());
            Seen<Set<FirewallElement>> inForce = with(contained(candidates), served, e -> isOf(network, e, nics));
            Seen<Link> bridge = host.links().find(nic.bridge());
            Seen<Link> tap = host.links().find(nic.tap());
            nicsSeen.put(
                    network,
                    new NicObservation(
                            nic.tap(),
                            bridge,
                            tap,
                            inForce,
                            nic.isolated() ? host.links().isBehind(nic.tap(), nic.mac()) : Seen.missing(),
                            publishesAnew(nic, vm, inForce) ? host.links().listeners() : Seen.missing(),
                            nic.ports().isEmpty()
                                    ? Seen.missing()
                                    : host.links().find(NicObservation.CLUSTER_IPS),
                            host.passages().of(network),
                            tap instanceof Seen.Present ? arp(vm, recorded(nic, record), bridge) : Seen.missing(),
                            neighbours(nic, variants)));
        });
        Map<String, DiskState> disks = new TreeMap<>();
        desired.ifPresent(d ->
                d.disks().forEach(disk -> disks.put(disk.name(), host.disks().observe(vm, disk))));
        VmRecord evidence = record.orElseGet(() -> VmRecord.of(vm, 0, List.of(), List.of(), Duration.ZERO));
        Seen<GuestProcess> process = recordSeen instanceof Seen.Unknown<VmRecord>(String cause)
                ? Seen.unknown(cause)
                : host.vmms().process(evidence);
        GuestState guest = process instanceof Seen.Present<GuestProcess>(GuestProcess.Alive alive)
                        && evidence.launch().isPresent()
                ? host.vmms().guest(evidence, alive)
                : GuestState.of(GuestState.Kind.NONE);
        Seen<Tampering> tampering = process instanceof Seen.Present<GuestProcess>(GuestProcess.Alive alive)
                        && evidence.launch().isPresent()
                ? host.vmms().tampering(evidence, alive)
                : Seen.missing();
        return new VmObservation(
                recordSeen,
                nicsSeen,
                desired.isPresent() ? Seen.present(Map.of()) : strayTaps(vm, known),
                disks,
                host.disks().seed(vm),
                process,
                tampering,
                guest,
                reach(vm, desired, record, nicsSeen, guest),
                host.disks().leftovers(vm));
    }

    private Seen<Set<FirewallElement>> served(VmId vm) {
        Seen<Set<FirewallElement>> served = host.firewall().served();
        return served instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> all)
                ? Seen.present(
                        all.stream().filter(e -> e.ownerUid().equals(vm.uid())).collect(Collectors.toSet()))
                : served;
    }

    /** What leads a Service to the VM belongs to the NIC with the address, or to its first one. */
    private static boolean isOf(String network, FirewallElement element, Map<String, List<DesiredNic>> nics) {
        String address = element.key().get(element.set().keyParts(element.key().size()));
        return nics.entrySet().stream()
                .filter(e -> e.getValue().stream()
                        .anyMatch(nic -> nic.ip().toString().equals(address)))
                .map(Map.Entry::getKey)
                .findFirst()
                .orElseGet(() -> nics.keySet().iterator().next())
                .equals(network);
    }

    private static Seen<Set<FirewallElement>> with(
            Seen<Set<FirewallElement>> own, Seen<Set<FirewallElement>> served, Predicate<FirewallElement> isOfNic) {
        if (!(own instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> members))) {
            return own;
        }
        return switch (served) {
            case Seen.Unknown<Set<FirewallElement>> unknown -> unknown;
            case Seen.Missing<Set<FirewallElement>> _ -> own;
            case Seen.Present<Set<FirewallElement>>(Set<FirewallElement> leading) ->
                Seen.present(Stream.concat(members.stream(), leading.stream().filter(isOfNic))
                        .collect(Collectors.toUnmodifiableSet()));
        };
    }

    /** What runs has the address that its record names. */
    private static DesiredNic recorded(DesiredNic nic, Optional<VmRecord> record) {
        return record.flatMap(r -> r.nics().stream()
                        .filter(n -> n.network().uid().equals(nic.network().uid()))
                        .findFirst())
                .orElse(nic);
    }

    /** On a bridge of the operator's nobody's neighbours are ours to know. */
    private Seen<Map<Ipv4Address, String>> neighbours(DesiredNic nic, List<DesiredNic> variants) {
        return nic.isOnExistingBridge()
                ? Seen.missing()
                : host.links()
                        .neighbours(
                                nic.bridge(),
                                variants.stream().map(DesiredNic::ip).collect(Collectors.toSet()));
    }

    private Seen<ArpWitness> arp(VmId vm, DesiredNic nic, Seen<Link> bridge) {
        Seen<List<Speech>> spoken = host.firewall().spoken(nic.tap());
        Seen<List<Claim>> claims = host.firewall().claims(nic.ip());
        if (spoken instanceof Seen.Unknown<List<Speech>>(String cause)) {
            return Seen.unknown(cause);
        }
        if (claims instanceof Seen.Unknown<List<Claim>>(String cause)) {
            return Seen.unknown(cause);
        }
        if (!(spoken instanceof Seen.Present<List<Speech>>(List<Speech> speech))
                || !(claims instanceof Seen.Present<List<Claim>>(List<Claim> said))) {
            return Seen.missing();
        }
        List<Ipv4Address> addresses = speech.stream()
                .filter(one -> tells(one, nic))
                .map(Speech::ip)
                .distinct()
                .toList();
        try {
            Optional<String> rival = rival(nic, said, bridge);
            if (!nic.usesDhcp()) {
                return Seen.present(new ArpWitness(addresses, rival));
            }
            Map<Ipv4Address, VmId> held = addresses.isEmpty() ? Map.of() : heldByOthers(vm);
            List<Ipv4Address> free =
                    addresses.stream().filter(ip -> !held.containsKey(ip)).toList();
            return Seen.present(new ArpWitness(
                    addresses,
                    rival,
                    leases.of(vm.uid(), nic.network().uid(), free),
                    addresses.stream()
                            .filter(held::containsKey)
                            .min(Comparator.naturalOrder())
                            .map(ip -> new ArpWitness.Trespass(ip, Objects.requireNonNull(held.get(ip))))));
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
    }

    /** What other guests of this node have: nobody else is let through from there, or asked there in their place. */
    private Map<Ipv4Address, VmId> heldByOthers(VmId vm) {
        Map<Ipv4Address, VmId> held = new HashMap<>();
        host.records().vms().stream()
                .filter(other ->
                        !other.id().uid().equals(vm.uid()) && other.launch().isPresent())
                .forEach(other -> other.nics().stream()
                        .filter(nic -> !nic.usesDhcp())
                        .forEach(nic -> held.put(nic.ip(), other.id())));
        return held;
    }

    /** Its own address from its own MAC address was not let through only while somebody had taken its place in the set. */
    private static boolean tells(Speech speech, DesiredNic nic) {
        boolean ownMac = speech.mac().equals(nic.mac().value());
        return nic.usesDhcp() ? ownMac : !ownMac || !speech.ip().equals(nic.ip());
    }

    /** On the NIC's own bridge: other segments may have the same addresses. A frame of its own that came back is no rival. */
    private Optional<String> rival(DesiredNic nic, List<Claim> claims, Seen<Link> bridge) throws HostException {
        if (!(bridge instanceof Seen.Present<Link>(Link segment))) {
            return Optional.empty();
        }
        // What the node itself says leaves by the bridge and is not heard.
        if (nic.isOnExistingBridge() && isNodes(nic)) {
            return Optional.of(segment.mac());
        }
        if (claims.isEmpty()) {
            return Optional.empty();
        }
        Set<Integer> ports = host.links().list().stream()
                .filter(link -> link.masterIndex() == segment.index())
                .map(Link::index)
                .collect(Collectors.toSet());
        return claims.stream()
                .filter(claim -> ports.contains(claim.port())
                        && !claim.mac().equals(nic.mac().value()))
                .map(Claim::mac)
                // Of several always the same: none is written into the status in turn.
                .min(Comparator.naturalOrder());
    }

    /** Whether the node itself has the NIC's address on its bridge. */
    private boolean isNodes(DesiredNic nic) throws HostException {
        return switch (host.links().addresses(nic.bridge())) {
            case Seen.Present<Set<InterfaceAddress>>(Set<InterfaceAddress> nodes) ->
                nodes.stream().anyMatch(a -> a.address().equals(nic.ip()));
            case Seen.Missing<Set<InterfaceAddress>> _ -> false;
            case Seen.Unknown<Set<InterfaceAddress>>(String cause) -> throw new HostException.Refused(cause, null);
        };
    }

    private static boolean publishesAnew(DesiredNic nic, VmId vm, Seen<Set<FirewallElement>> inForce) {
        return !nic.ports().isEmpty()
                && inForce instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> there)
                && !there.containsAll(nic.elements(vm.uid()));
    }

    /** Every other link that bears the VM's mark: what a lost record would hide. Retired taps are gone as far as the VM goes. */
    private Seen<Map<LinkName, Mark>> strayTaps(VmId vm, Set<LinkName> known) {
        Map<LinkName, Mark> stray = new TreeMap<>();
        try {
            for (Link link : host.links().list()) {
                if (!known.contains(link.name())
                        && !link.isRetired(names.reapGroup())
                        && link.mark().owner(names.installation()) instanceof Owner.OfVm(String uid, var _)
                        && uid.equals(vm.uid())) {
                    stray.put(link.name(), link.mark());
                }
            }
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
        return Seen.present(stray);
    }

    /** What is left to tell of a VM whose record was damaged; empty for every other. */
    public Optional<Witnesses> witnesses(VmId vm) {
        return host.records().reservations().stream()
                .filter(kept -> kept.damaged() && kept.vmUid().equals(vm.uid()))
                .findFirst()
                .map(kept -> witnesses(vm, kept));
    }

    /**
     * What is left to tell of a VM that is to go, where no record tells it: it was damaged, or is gone while a process of
     * the VM lives. Empty for a record that can be read, and for one that can be read again one day.
     */
    public Optional<Witnesses> survivors(VmId vm) {
        Optional<Witnesses> damaged = witnesses(vm);
        if (damaged.isPresent() || !(host.records().vm(vm.uid()) instanceof Seen.Missing)) {
            return damaged;
        }
        Reservation nothing = new Reservation(
                vm.uid(), "", "VM uid " + vm.uid() + " has no record", OptionalInt.empty(), List.of(), true, true);
        return Optional.of(witnesses(vm, nothing))
                .filter(left -> left.process() instanceof Seen.Present<Testimony>(Testimony testimony)
                        && testimony.process() instanceof GuestProcess.Alive);
    }

    private Witnesses witnesses(VmId vm, Reservation kept) {
        return new Witnesses(
                kept, host.vmms().testimony(vm), taps(vm), host.disks().leftovers(vm));
    }

    /** Names of the disks that the VM has on this host. */
    public Seen<List<String>> disks(VmId vm) {
        return host.disks().names(vm);
    }

    /** Tap, MAC and address that an element lets a guest send from. */
    private static Optional<List<String>> place(FirewallElement element) {
        return switch (element.set()) {
            case OK4 -> Optional.of(element.key());
            case FREE4 ->
                Optional.of(List.of(element.key().get(0), element.key().get(1), Ipv4Address.UNSPECIFIED.toString()));
            default -> Optional.empty();
        };
    }

    private Seen<List<Witnesses.Tap>> taps(VmId vm) {
        Map<String, List<String>> places = new HashMap<>();
        switch (host.firewall().observe()) {
            case Seen.Present<FirewallState>(FirewallState state) ->
                state.elements().stream()
                        .filter(e -> e.ownerUid().equals(vm.uid()))
                        .forEach(e -> place(e).ifPresent(key -> places.put(key.get(0), key)));
            case Seen.Missing<FirewallState> _ -> {}
            case Seen.Unknown<FirewallState>(String cause) -> {
                return Seen.unknown(cause);
            }
        }
        List<Witnesses.Tap> taps = new ArrayList<>();
        try {
            for (Link link : host.links().list()) {
                if (!link.isRetired(names.reapGroup())
                        && link.mark().owner(names.installation()) instanceof Owner.OfVm(String uid, String network)
                        && uid.equals(vm.uid())) {
                    Optional<List<String>> place =
                            Optional.ofNullable(places.get(link.name().value()));
                    taps.add(new Witnesses.Tap(
                            link.name(),
                            network,
                            link.tapUid(),
                            place.map(key -> key.get(1)),
                            place.map(key -> key.get(2))));
                }
            }
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
        return Seen.present(taps);
    }

    /** The probe follows the guest: it begins when the guest runs and ends with it. */
    private Reach reach(
            VmId vm,
            Optional<DesiredVm> desired,
            Optional<VmRecord> record,
            Map<String, NicObservation> nics,
            GuestState guest) {
        boolean up = guest.kind() == GuestState.Kind.RUNNING || guest.kind() == GuestState.Kind.BUSY;
        if (!up || record.isEmpty() || record.get().nics().isEmpty()) {
            if (!up) {
                host.probes().forget(vm.uid());
                leases.forget(vm.uid());
            }
            return Reach.NOT_PROBED;
        }
        desired.map(DesiredVm::readiness).ifPresent(readiness -> {
            switch (readiness) {
                case Readiness.TcpPort(int port, var _) ->
                    address(record.get().nics().get(0), nics)
                            .ifPresent(ip -> host.probes().watch(vm.uid(), ip, port));
                case Readiness.None _ -> host.probes().forget(vm.uid());
            }
        });
        return host.probes().state(vm.uid());
    }

    private static Optional<Ipv4Address> address(DesiredNic nic, Map<String, NicObservation> nics) {
        if (!nic.usesDhcp()) {
            return Optional.of(nic.ip());
        }
        NicObservation look = nics.get(nic.network().uid());
        return look != null && look.arp() instanceof Seen.Present<ArpWitness>(ArpWitness witness)
                ? witness.address()
                : Optional.empty();
    }

    /** A bridge of the operator's, by the name that a Network gives. */
    public Seen<LanBridge> observeLan(LinkName name) {
        try {
            List<Link> links = host.links().list();
            Optional<Link> bridge =
                    links.stream().filter(l -> l.name().equals(name)).findFirst();
            return bridge.map(b -> Seen.present(new LanBridge(
                            b,
                            links.stream()
                                    .filter(l -> l.masterIndex() == b.index()
                                            && !(l.mark().owner(names.installation()) instanceof Owner.OfVm))
                                    .mapToInt(Link::mtu)
                                    .min()
                                    .orElse(b.mtu()))))
                    .orElseGet(Seen::missing);
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
    }

    public HostObservation observeHost() {
        Optional<LinkName> uplink;
        Seen<Boolean> uplinkForwarding;
        try {
            uplink = host.links().uplink();
            uplinkForwarding = uplink.isPresent() ? host.links().forwarding(uplink.get()) : Seen.missing();
        } catch (HostException e) {
            uplink = Optional.empty();
            uplinkForwarding = Seen.unknown(String.valueOf(e.getMessage()));
        }
        Map<LinkName, Boolean> kept = new HashMap<>();
        try {
            for (String link : host.records().forwardingOriginals()) {
                if (host.records().keptForwarding(link) instanceof Seen.Present<Boolean>(Boolean original)) {
                    kept.put(new LinkName(link), original);
                }
            }
        } catch (HostException e) {
            uplinkForwarding = Seen.unknown(String.valueOf(e.getMessage()));
        }
        Seen<FirewallState> firewall = host.firewall().observe();
        List<NetworkRecord> networks = host.records().networks();
        List<VmRecord> vms = host.records().vms();
        host.passages().follow(uplink, networks, vms);
        Set<String> unread = host.records().unread();
        return new HostObservation(
                firewall,
                uplink,
                uplinkForwarding,
                kept,
                kept.isEmpty() ? Seen.present(List.of()) : Reliance.of(host.links(), names.installation()),
                networks,
                vms,
                host.records().unreadable(),
                unread,
                stands(firewall) && unread.isEmpty() ? Seen.present(Map.of()) : marked(),
                host.docker().look(uplink));
    }

    private static boolean stands(Seen<FirewallState> firewall) {
        return firewall instanceof Seen.Present<FirewallState>(FirewallState state) && state.intact();
    }

    private Seen<Map<LinkName, Owner>> marked() {
        Map<LinkName, Owner> marked = new TreeMap<>();
        try {
            for (Link link : host.links().list()) {
                Owner owner = link.mark().owner(names.installation());
                if (!(owner instanceof Owner.Foreign) && !link.isRetired(names.reapGroup())) {
                    marked.put(link.name(), owner);
                }
            }
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        }
        return Seen.present(marked);
    }

    /** Everything on this host that bears our mark or lies in our directories. */
    public Inventory inventory() throws HostException {
        List<Link> ours = host.links().list().stream()
                .filter(l -> !(l.mark().owner(names.installation()) instanceof Owner.Foreign))
                .toList();
        Set<FirewallElement> elements = switch (host.firewall().observe()) {
            case Seen.Present<FirewallState>(FirewallState state) -> state.elements();
            case Seen.Missing<FirewallState> _ -> Set.of();
            case Seen.Unknown<FirewallState>(String cause) ->
                throw new HostException.Refused("inventory: " + cause, null);
        };
        return new Inventory(
                ours,
                elements,
                host.records().vms(),
                host.records().networks(),
                host.vmms().traces(),
                host.disks().traces(),
                Stream.concat(host.records().unreadable().stream(), host.records().lostFlags().stream())
                        .toList());
    }
}
