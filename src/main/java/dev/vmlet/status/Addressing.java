package dev.vmlet.status;

import dev.vmlet.model.ArpWitness;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import java.time.Duration;
import java.util.Comparator;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What was heard of a guest's address, held against the one it has. */
final class Addressing {
    private Addressing() {}

    record Trouble(Reason reason, String message) {}

    /** An address that the guest was heard with and does not have. Of several always the same: none is written in turn. */
    static Optional<Ipv4Address> observed(DesiredNic nic, @Nullable NicObservation look) {
        return witness(look).spoken().stream()
                .filter(ip -> !nic.usesDhcp() && !ip.equals(nic.ip()))
                .min(Comparator.naturalOrder());
    }

    /** The guest's address as far as it is known: that of a guest whose address we do not choose has to be heard. */
    static Optional<Ipv4Address> address(DesiredNic nic, @Nullable NicObservation look) {
        return nic.usesDhcp() ? witness(look).address() : Optional.of(nic.ip());
    }

    /** @param late whether it had its time */
    static String unheard(String network, boolean late, Duration timeout) {
        return "The guest was not heard with an address on Network " + network
                + (late
                        ? " within " + timeout.toSeconds()
                                + " s; look for a DHCP server on its LAN, and at the guest's serial console"
                        : " yet; the DHCP of its LAN is to give it one.");
    }

    /** A rival first: the guest can do nothing about him, and loses packets that it has every right to. */
    static Optional<Trouble> trouble(DesiredNic nic, @Nullable NicObservation look) {
        ArpWitness witness = witness(look);
        String network = nic.network().name();
        if (witness.rival().isPresent()) {
            return Optional.of(new Trouble(
                    Reason.AddressInUse,
                    nic.ip() + " is this VM's address on Network " + network + ", and "
                            + witness.rival().get()
                            + " on the same segment says it has it too: answers reach the one or the other. Find that"
                            + " machine, or give one of the two another address"));
        }
        if (nic.usesDhcp()) {
            return witness.trespass()
                    .map(of -> new Trouble(
                            Reason.AddressInUse,
                            "The guest speaks as " + of.ip() + " on Network " + network + ", and VM " + of.holder()
                                    + " of this node asked for that address: what it sends as " + of.ip()
                                    + " is dropped. A node tells its guests apart by address, also where they are on"
                                    + " different LANs: keep " + of.ip() + " out of the range that the LAN's DHCP gives"
                                    + " out, or give VM " + of.holder() + " another address or another node"));
        }
        Optional<Ipv4Address> other = observed(nic, look);
        if (other.isPresent()) {
            return Optional.of(new Trouble(
                    Reason.AddressDiffers,
                    "The guest speaks as " + other.get() + " on Network " + network + ", but its address is " + nic.ip()
                            + ": what it sends as " + other.get() + " is dropped. Let it take its address from"
                            + " cloud-init's network config, or ask for that one by spec.networks[" + network
                            + "].address and restart it"));
        }
        return witness.spoken().isEmpty()
                ? Optional.empty()
                : Optional.of(new Trouble(
                        Reason.AddressDiffers,
                        "The guest speaks as " + nic.ip() + " on Network " + network
                                + ", but not from its MAC address, which is " + nic.mac()
                                + ": what it sends so is dropped. Let it keep the MAC address that its interface has, or"
                                + " ask for that one by spec.networks[" + network + "].macAddress and restart it"));
    }

    private static ArpWitness witness(@Nullable NicObservation look) {
        return look != null && look.arp() instanceof Seen.Present<ArpWitness>(ArpWitness witness)
                ? witness
                : ArpWitness.NOTHING;
    }
}
