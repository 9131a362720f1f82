package dev.vmlet.model;

import java.util.List;
import java.util.Optional;

/**
 * What ARP on the host told of a guest's address in the last minutes.
 *
 * @param spoken IPv4 addresses that the guest gave as its own and may not send from as it did, the latest first; its own
 *     address is among them where it came from, or with, a MAC address that is not its own. Of a guest whose address we do
 *     not choose, all that it gave
 * @param rival MAC address of somebody else on its segment who gave the guest's address as his
 * @param address what a guest uses whose address we do not choose; empty for every other, and before it was heard
 * @param trespass an address that such a guest gave as its own and that another VM of this node asked for; what it sends
 *     from there is dropped
 */
public record ArpWitness(
        List<Ipv4Address> spoken, Optional<String> rival, Optional<Ipv4Address> address, Optional<Trespass> trespass) {
    public static final ArpWitness NOTHING = new ArpWitness(List.of(), Optional.empty());

    /** Whose address it is. */
    public record Trespass(Ipv4Address ip, VmId holder) {}

    /** Of a guest whose address we chose. */
    public ArpWitness(List<Ipv4Address> spoken, Optional<String> rival) {
        this(spoken, rival, Optional.empty(), Optional.empty());
    }

    public ArpWitness {
        spoken = List.copyOf(spoken);
    }
}
