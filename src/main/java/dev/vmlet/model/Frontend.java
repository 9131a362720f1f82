package dev.vmlet.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Where clients ask for a Service, and who of this node is behind it.
 *
 * @param service its namespace and name, for people
 * @param address empty: each of the node's own addresses
 * @param port there
 * @param clientAffinity whether a client stays with the VM that it was led to first
 * @param notReadyToo whether VMs count that are not ready
 * @param backends the port of the node by which a VM publishes what the Service leads to, by the VM's uid
 */
public record Frontend(
        String service,
        Optional<Ipv4Address> address,
        ServicePort port,
        boolean clientAffinity,
        boolean notReadyToo,
        Map<String, Integer> backends) {
    /** Clients are dealt out to so many places, and these to the VMs. */
    public static final int SLOTS = 16;

    public Frontend {
        backends = Map.copyOf(backends);
    }

    /** Whether the VM can be behind it now. */
    public boolean isFit(String vmUid, Map<String, Fitness> fit) {
        Integer hostPort = backends.get(vmUid);
        Fitness now = fit.get(vmUid);
        return hostPort != null
                && now != null
                && (now.ready() || notReadyToo)
                && now.published().contains(new ServicePort(port.protocol(), hostPort));
    }

    /** Where it is asked for, and how its clients are dealt out. */
    public List<String> place() {
        return place(element(0, Ipv4Address.UNSPECIFIED, 1, ""));
    }

    /** The {@link #place()} of the frontend that the member is of. */
    public static List<String> place(FirewallElement element) {
        List<String> key = element.key();
        List<String> place = new ArrayList<>(key.subList(1, element.set().keyParts(key.size())));
        place.add(isOfThoseWhoStay(key.getFirst()) ? "stay" : "any");
        return place;
    }

    private static boolean isOfThoseWhoStay(String slot) {
        return Long.parseLong(slot) >= SLOTS;
    }

    /**
     * The member by which one place leads to a guest.
     *
     * @param slot from 0 to {@link #SLOTS}, exclusive
     */
    public FirewallElement element(int slot, Ipv4Address guest, int guestPort, String vmUid) {
        String place = String.valueOf(clientAffinity ? SLOTS + slot : slot);
        List<String> key = Stream.of(
                        Stream.of(place),
                        address.map(Ipv4Address::toString).stream(),
                        Stream.of(port.protocol().text(), String.valueOf(port.port())),
                        Stream.of(guest.toString(), String.valueOf(guestPort)))
                .flatMap(part -> part)
                .toList();
        return new FirewallElement(address.isPresent() ? FirewallSet.SERVED : FirewallSet.SERVED_PORTS, key, vmUid);
    }
}
