package dev.vmlet.host;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.ArpWitness;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Given;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Ruleset;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What is taken for the address of a guest that its LAN's DHCP serves: what it says of itself, and nobody else's. */
class LeasedAddressTest {
    private static final VmId TILL = new VmId("shop", "till", "vm-2");
    private static final DesiredNic NIC = Given.lanNic("vm-1", "0.0.0.0", 1500);
    private static final Ipv4Address TAKEN = Ipv4Address.parse("192.168.1.50");
    private static final Ipv4Address FREE = Ipv4Address.parse("192.168.1.77");

    private final FakeHost links = new FakeHost(Given.INSTALLATION);
    private final FakeRecords records = new FakeRecords();
    private final Observer observer = new Observer(
            new Host(links, links, new FakeVmms("boot-1"), new FakeDisks(), records, new FakeProbes()), Given.NAMES);

    @BeforeEach
    void twoGuestsOnOneLan() throws Exception {
        links.install(new Ruleset(Given.INSTALLATION, Set.of()));
        links.plant("br0", "bridge", "02:00:00:00:00:05", 1500, true, new Mark("the office"), -1);
        links.createTap(NIC.tap(), 200_000, 1500, NIC.mark());
        links.attach(NIC.tap(), new LinkName("br0"));
        records.write(VmRecord.of(Given.WEB, 200_000, List.of(NIC), List.of(), Duration.ZERO));
    }

    private void theOtherHasItsAddress(boolean runs) throws Exception {
        VmRecord till = VmRecord.of(
                TILL, 200_001, List.of(Given.lanNic("vm-2", TAKEN.toString(), 1500)), List.of(), Duration.ZERO);
        records.write(runs ? till.withLaunch(Given.launch(), 0) : till);
    }

    private ArpWitness heard() {
        NicObservation look = Objects.requireNonNull(
                observer.observeVm(Given.WEB, Optional.empty()).nics().get("lan-1"));
        return ((Seen.Present<ArpWitness>) look.arp()).value();
    }

    @Test
    void theAddressOfAnotherGuestIsNotItsOwnAndIsTold() throws Exception {
        theOtherHasItsAddress(true);
        links.speak(NIC.tap(), NIC.mac(), TAKEN.toString());
        Optional<ArpWitness.Trespass> trespass = Optional.of(new ArpWitness.Trespass(TAKEN, TILL));
        assertThat(heard()).isEqualTo(new ArpWitness(List.of(TAKEN), Optional.empty(), Optional.empty(), trespass));
        links.speak(NIC.tap(), NIC.mac(), FREE.toString());
        assertThat(heard())
                .isEqualTo(new ArpWitness(List.of(FREE, TAKEN), Optional.empty(), Optional.of(FREE), trespass));
    }

    @Test
    void theAddressOfAVmThatIsStoppedIsNobodysYet() throws Exception {
        theOtherHasItsAddress(false);
        links.speak(NIC.tap(), NIC.mac(), TAKEN.toString());
        assertThat(heard())
                .isEqualTo(new ArpWitness(List.of(TAKEN), Optional.empty(), Optional.of(TAKEN), Optional.empty()));
    }
}
