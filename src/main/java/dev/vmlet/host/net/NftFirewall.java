package dev.vmlet.host.net;

import dev.vmlet.host.Firewall;
import dev.vmlet.host.net.NftTable.NftObject;
import dev.vmlet.model.Claim;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Speech;
import dev.vmlet.plan.Ruleset;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.stream.Collectors;

/** Our two tables in the network namespace this process runs in, through libnftables. */
public final class NftFirewall implements Firewall, AutoCloseable {
    private final InstallationId installation;
    private final String table;
    private final Baseline baseline;
    private final NftElements single;
    private final Flows flows = new Flows();
    private final Nftables nft = new Nftables();

    /** Held from the look at what leads Services to the change that follows from it. */
    private final Lock leads = new ReentrantLock();

    /** Written: the tables as a whole. Read: their elements, and looks, which must not fall into a replacement. */
    private final ReentrantReadWriteLock tables = new ReentrantReadWriteLock();

    /**
     * @param baseline file that remembers across restarts what was installed; under the state directory. Without it
     *     the tables count as not intact, and installing them again is harmless.
     */
    public NftFirewall(InstallationId installation, Path baseline) {
        this.installation = installation;
        this.table = new Ruleset(installation, Set.of()).table();
        this.baseline = new Baseline(baseline);
        this.single = new NftElements(table);
    }

    /** The one way to libnftables of this process, for what else needs it here. */
    Nftables nft() {
        return nft;
    }

    @Override
    public Seen<FirewallState> observe() {
        Lock lock = tables.readLock();
        lock.lock();
        try {
            Optional<NftTable> inet = list("inet");
            Optional<NftTable> bridge = list("bridge");
            if (inet.isEmpty() && bridge.isEmpty()) {
                return Seen.missing();
            }
            Set<FirewallElement> elements = new HashSet<>();
            inet.ifPresent(t -> elements.addAll(t.elements()));
            bridge.ifPresent(t -> elements.addAll(t.elements()));
            String difference = difference(inet, bridge, new Ruleset(installation, Set.of()));
            if (difference.isEmpty()) {
                difference = baseline.difference(objects(inet, bridge));
            }
            return Seen.present(new FirewallState(difference.isEmpty(), difference, elements));
        } catch (HostException | IOException e) {
            return Seen.unknown("look at firewall " + table + ": " + e.getMessage());
        } finally {
            lock.unlock();
        }
    }

    private Optional<NftTable> list(String family) throws HostException {
        String operation = "list table " + family + " " + table;
        try {
            return Optional.of(NftTable.parse(nft.run(operation, operation)));
        } catch (NftRefusal e) {
            if (e.isNotThere()) {
                return Optional.empty();
            }
            throw e.during(operation);
        }
    }

    private String difference(Optional<NftTable> inet, Optional<NftTable> bridge, Ruleset ruleset) {
        if (inet.isEmpty()) {
            return "inet table " + table + " is missing";
        }
        if (bridge.isEmpty()) {
            return "bridge table " + table + " is missing";
        }
        for (NftTable each : List.of(inet.get(), bridge.get())) {
            if (!each.mark().equals(ruleset.mark())) {
                return "mark is \"" + each.mark() + "\", expected \"" + ruleset.mark() + "\"";
            }
        }
        Map<String, Integer> seen = inet.get().shape();
        seen.putAll(bridge.get().shape());
        return RulesetShape.difference(RulesetShape.of(ruleset.text()), seen);
    }

    private static List<NftObject> objects(Optional<NftTable> inet, Optional<NftTable> bridge) {
        List<NftObject> objects = new ArrayList<>();
        inet.ifPresent(t -> objects.addAll(t.objects()));
        bridge.ifPresent(t -> objects.addAll(t.objects()));
        return objects;
    }

    @Override
    public Seen<Set<FirewallElement>> contained(Collection<FirewallElement> candidates) {
        Lock lock = tables.readLock();
        lock.lock();
        try {
            if (!single.tableExists("inet") || !single.tableExists("bridge")) {
                return Seen.missing();
            }
            Set<FirewallElement> found = new HashSet<>();
            Map<FirewallSet, Set<FirewallElement>> listed = new EnumMap<>(FirewallSet.class);
            for (FirewallElement candidate : candidates) {
                if (candidate.set().hasIntervals() && !listed.containsKey(candidate.set())) {
                    listed.put(candidate.set(), members(candidate.set()));
                }
                if (isContained(candidate, listed)) {
                    found.add(candidate);
                } else if (!single.setExists(candidate.set())) {
                    // Tables of an older revision, about to be replaced: nothing can be added to them.
                    return Seen.missing();
                }
            }
            return Seen.present(Set.copyOf(found));
        } catch (HostException | KernelRefusal e) {
            return Seen.unknown("look for elements in firewall " + table + ": " + e.getMessage());
        } finally {
            lock.unlock();
        }
    }

    @Override
    public Seen<Set<FirewallElement>> served() {
        Lock lock = tables.readLock();
        lock.lock();
        try {
            return standing().map(Seen::present).orElseGet(Seen::missing);
        } catch (KernelRefusal e) {
            return Seen.unknown("look for what leads Services in firewall " + table + ": " + e.getMessage());
        } finally {
            lock.unlock();
        }
    }

    private Optional<Set<FirewallElement>> standing() throws KernelRefusal {
        Set<FirewallElement> all = new HashSet<>();
        for (FirewallSet map : List.of(FirewallSet.SERVED, FirewallSet.SERVED_PORTS)) {
            Optional<List<FirewallElement>> members = single.served(map);
            if (members.isEmpty()) {
                return Optional.empty();
            }
            all.addAll(members.get());
        }
        return Optional.of(Set.copyOf(all));
    }

    private boolean isContained(FirewallElement candidate, Map<FirewallSet, Set<FirewallElement>> listed)
            throws KernelRefusal {
        Set<FirewallElement> members = listed.get(candidate.set());
        return members == null
                ? single.owner(candidate).equals(Optional.of(candidate.ownerUid()))
                : members.contains(candidate);
    }

    /** Of a set with intervals: for one the kernel answers with the interval around it. They belong to Networks: few. */
    private Set<FirewallElement> members(FirewallSet set) throws HostException {
        String listing = "list set " + set.family() + " " + table + " " + set.nftName();
        try {
            return NftTable.parse(nft.run(listing, listing)).elements();
        } catch (NftRefusal e) {
            if (e.isNotThere()) {
                return Set.of();
            }
            throw e.during(listing);
        }
    }

    @Override
    public Seen<List<Speech>> spoken(LinkName tap) {
        return heard("look for what is spoken behind " + tap, () -> single.spoken(tap));
    }

    @Override
    public Seen<List<Claim>> claims(Ipv4Address ip) {
        return heard("look for who claims " + ip, () -> single.claims(ip));
    }

    private interface Hearing<T> {
        Optional<List<T>> listen() throws KernelRefusal;
    }

    private <T> Seen<List<T>> heard(String operation, Hearing<T> hearing) {
        Lock lock = tables.readLock();
        lock.lock();
        try {
            return hearing.listen().map(Seen::present).orElseGet(Seen::missing);
        } catch (KernelRefusal e) {
            return Seen.unknown(operation + " in firewall " + table + ": " + e.getMessage());
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void install(Ruleset ruleset) throws HostException {
        if (!ruleset.installation().equals(installation)) {
            throw new IllegalStateException("ruleset of installation " + ruleset.installation());
        }
        String operation = "install firewall " + table;
        Lock lock = tables.writeLock();
        lock.lock();
        try {
            commit(operation, ruleset.text());
            Optional<NftTable> inet = list("inet");
            Optional<NftTable> bridge = list("bridge");
            String difference = difference(inet, bridge, ruleset);
            if (difference.isEmpty()) {
                difference = absent(ruleset.elements(), inet, bridge);
            }
            if (!difference.isEmpty()) {
                baseline.delete();
                throw new HostException.Refused(operation + ": read back something else: " + difference, null);
            }
            baseline.write(objects(inet, bridge));
        } catch (IOException e) {
            throw new HostException.Refused(
                    operation + ": installed, but what was installed cannot be written to " + baseline.file() + ": "
                            + e.getMessage() + "; make that file system writable, or free some space on it",
                    e);
        } finally {
            lock.unlock();
        }
    }

    private static String absent(Set<FirewallElement> expected, Optional<NftTable> inet, Optional<NftTable> bridge) {
        Set<String> absent = new TreeSet<>();
        for (FirewallElement element : expected) {
            Optional<NftTable> holder = element.set().family().equals("inet") ? inet : bridge;
            if (holder.isEmpty() || !holder.get().elements().contains(element)) {
                absent.add(element.toString());
            }
        }
        return absent.isEmpty() ? "" : "missing " + String.join(", ", absent);
    }

    @Override
    public void add(Collection<FirewallElement> elements) throws HostException {
        if (elements.isEmpty()) {
            return;
        }
        Lock lock = tables.readLock();
        lock.lock();
        try {
            String operation = "add " + names(elements) + " to firewall " + table;
            if (elements.stream().anyMatch(e -> e.set().isOfServices())) {
                replace(operation, elements);
            } else {
                commit(operation, Ruleset.add(installation, elements));
            }
            flows.published(elements);
        } finally {
            lock.unlock();
        }
    }

    /** With those in whose place they come, in one transaction. */
    private void replace(String operation, Collection<FirewallElement> elements) throws HostException {
        leads.lock();
        try {
            commit(operation, Ruleset.delete(installation, inPlaceOf(elements)) + Ruleset.add(installation, elements));
        } catch (KernelRefusal e) {
            throw new HostException.Refused(operation + ": " + e.getMessage(), e);
        } finally {
            leads.unlock();
        }
    }

    /** Those that are there as they are given: nft deletes by the key alone, and its place may lead elsewhere by now. */
    private void withdraw(String operation, Collection<FirewallElement> elements) throws HostException {
        leads.lock();
        try {
            Set<FirewallElement> there = new HashSet<>(elements);
            there.retainAll(standing().orElse(Set.of()));
            if (!there.isEmpty()) {
                commit(operation, Ruleset.delete(installation, there));
            }
        } catch (KernelRefusal e) {
            throw new HostException.Refused(operation + ": " + e.getMessage(), e);
        } finally {
            leads.unlock();
        }
    }

    /** Members of the same maps with the same keys that lead elsewhere, or in another's name. */
    private List<FirewallElement> inPlaceOf(Collection<FirewallElement> elements) throws KernelRefusal {
        Set<Place> places = elements.stream().map(Place::of).collect(Collectors.toSet());
        return standing().orElse(Set.of()).stream()
                .filter(there -> places.contains(Place.of(there)) && !elements.contains(there))
                .toList();
    }

    private record Place(FirewallSet map, List<String> key) {
        static Place of(FirewallElement element) {
            int parts = element.set().keyParts(element.key().size());
            return new Place(element.set(), element.key().subList(0, parts));
        }
    }

    @Override
    public void delete(Collection<FirewallElement> elements) throws HostException {
        if (elements.isEmpty()) {
            return;
        }
        String operation = "delete " + names(elements) + " from firewall " + table;
        Lock lock = tables.readLock();
        lock.lock();
        try {
            Map<Boolean, List<FirewallElement>> ofServices = elements.stream()
                    .collect(Collectors.partitioningBy(e -> e.set().isOfServices()));
            List<FirewallElement> leading = ofServices.getOrDefault(true, List.of());
            List<FirewallElement> others = ofServices.getOrDefault(false, List.of());
            if (!leading.isEmpty()) {
                withdraw(operation, leading);
            }
            if (!others.isEmpty() && !deleted(operation, others)) {
                // One of them is not there, and the transaction took none; nft before 1.0.7 has no "destroy".
                for (FirewallElement element : others) {
                    deleted(operation, List.of(element));
                }
            }
            flows.deleted(elements);
        } finally {
            lock.unlock();
        }
    }

    /** False when an element, its set or its table is not there; nothing has changed then. */
    private boolean deleted(String operation, Collection<FirewallElement> elements) throws HostException {
        try {
            nft.run(operation, Ruleset.delete(installation, elements));
            return true;
        } catch (NftRefusal e) {
            if (e.isNotThere()) {
                return false;
            }
            throw e.during(operation);
        }
    }

    private static String names(Collection<FirewallElement> elements) {
        return elements.size() == 1 ? elements.iterator().next().toString() : elements.size() + " elements";
    }

    @Override
    public void remove() throws HostException {
        String operation = "remove firewall " + table;
        Lock lock = tables.writeLock();
        lock.lock();
        try {
            commit(operation, Ruleset.remove(installation));
            baseline.delete();
        } catch (IOException e) {
            throw new HostException.Refused(operation + ": removed, but its record was not: " + e, e);
        } finally {
            lock.unlock();
        }
    }

    private void commit(String operation, String transaction) throws HostException {
        try {
            nft.run(operation, transaction);
        } catch (NftRefusal e) {
            throw e.during(operation);
        }
    }

    @Override
    public void close() {
        nft.close();
        single.close();
        flows.close();
    }
}
