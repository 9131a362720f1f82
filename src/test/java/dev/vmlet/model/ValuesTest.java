package dev.vmlet.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The border posts of the vocabulary. */
class ValuesTest {
    @Test
    void aPrefixKnowsItsAddresses() {
        Ipv4Prefix prefix = Ipv4Prefix.parse("10.77.4.0/24");
        assertThat(prefix.last()).isEqualTo(Ipv4Address.parse("10.77.4.255"));
        assertThat(prefix.size()).isEqualTo(256);
        assertThat(prefix.contains(Ipv4Address.parse("10.77.4.9"))).isTrue();
        assertThat(prefix.contains(Ipv4Address.parse("10.77.5.9"))).isFalse();
        assertThat(prefix.overlaps(Ipv4Prefix.parse("10.0.0.0/8"))).isTrue();
        assertThat(prefix.overlaps(Ipv4Prefix.parse("10.77.5.0/24"))).isFalse();
        assertThat(Ipv4Prefix.parse("0.0.0.0/0").contains(prefix)).isTrue();
    }

    @Test
    void aPrefixIsCutIntoSlices() {
        Ipv4Prefix prefix = Ipv4Prefix.parse("200.77.0.0/16");
        assertThat(prefix.count(24)).isEqualTo(256);
        assertThat(prefix.count(15)).isZero();
        assertThat(prefix.slice(24, 255)).isEqualTo(Ipv4Prefix.parse("200.77.255.0/24"));
        assertThatIllegalArgumentException().isThrownBy(() -> prefix.slice(24, 256));
    }

    @Test
    void aPrefixWithHostBitsSaysWhatToWrite() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Ipv4Prefix.parse("10.77.4.1/24"))
                .withMessage("prefix 10.77.4.1/24 has host bits set; write 10.77.4.0/24");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "10.0.0.0",
                "10.0.0.0/",
                "10.0.0.0/33",
                "10.0.0.0/-1",
                "10.0.0/8",
                "010.0.0.0/8",
                "a/8",
                "10.0.0.0/008"
            })
    void refusesWhatIsNoPrefix(String text) {
        assertThatIllegalArgumentException().isThrownBy(() -> Ipv4Prefix.parse(text));
    }

    /** Golden: a name that changes orphans everything on every host. */
    @Test
    void hostNamesNeverChange() {
        assertThat(List.of(
                        Given.NAMES.bridge("net-1").value(),
                        Given.NAMES.tap("vm-1", "net").value(),
                        Given.NAMES.table(),
                        Given.NAMES.cgroup(),
                        Given.NAMES.bridgeMac("net-1").value(),
                        HostNames.nicMac("vm-1", "net").value()))
                .isEqualTo(List.of(GOLDEN));
        assertThat(Given.NAMES.tap("vm-1", "n").value())
                .isNotEqualTo(Given.NAMES.tap("vm-", "1n").value());
    }

    @Test
    void aMarkTellsItsOwnerToItsInstallationOnly() {
        Mark net = Mark.ofNetwork(Given.INSTALLATION, "net-1");
        Mark nic = Mark.ofNic(Given.INSTALLATION, "vm-1", "net-1");
        assertThat(net.text()).isEqualTo("vmlet:inst2345:net:net-1");
        assertThat(nic.text()).isEqualTo("vmlet:inst2345:vm:vm-1:net-1");
        assertThat(net.owner(Given.INSTALLATION)).isEqualTo(new Owner.OfNetwork("net-1"));
        assertThat(nic.owner(Given.INSTALLATION)).isEqualTo(new Owner.OfVm("vm-1", "net-1"));
        assertThat(nic.owner(new InstallationId("zzzzzzzz"))).isInstanceOf(Owner.Foreign.class);
    }

    @Test
    void aMarkOfAProbeIsNobodys() {
        Mark probe = Mark.ofProbe("inst2345");
        assertThat(probe.owner(Given.INSTALLATION)).isInstanceOf(Owner.Foreign.class);
        assertThat(List.of(probe, Mark.ofNetwork(Given.INSTALLATION, "probe"), new Mark("my:probe")))
                .filteredOn(Mark::isProbe)
                .containsExactly(probe);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "uplink",
                "vmlet:inst2345:net:",
                "vmlet:inst2345:net:net-1 ",
                "vmlet:inst2345:net:net-1:x",
                "vmlet:inst2345:vm:vm-1",
                "vmlet:inst234:net:net-1",
                "VMLET:inst2345:net:net-1"
            })
    void whatItCannotReadIsForeign(String text) {
        assertThat(new Mark(text).owner(Given.INSTALLATION)).isInstanceOf(Owner.Foreign.class);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "../x", "a/b", "a\"b", "a b", "a:b", "a\nb"})
    void aUidThatIsNoFileNameIsRefused(String uid) {
        assertThatIllegalArgumentException().isThrownBy(() -> new VmId("n", "v", uid));
        assertThatIllegalArgumentException().isThrownBy(() -> new NetworkId("n", "v", uid));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "a/b", "with space", "a:b", "sixteen-letters-", "..", "ü"})
    void refusesWhatIsNoLinkName(String name) {
        assertThatIllegalArgumentException().isThrownBy(() -> new LinkName(name));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "01:00:00:00:00:01", "00:00:00:00:00:00", "52:00:00:00:00", "52-00-00-00-00-01"})
    void refusesWhatIsNoUnicastMac(String mac) {
        assertThatIllegalArgumentException().isThrownBy(() -> new MacAddress(mac));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "..", "a/b", ".hidden", "a.b", "boot.", "a b"})
    void aDiskNameIsNoPath(String name) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new DesiredDisk(name, DesiredDisk.Role.DISK, java.util.Optional.empty(), 1, false));
    }

    @Test
    void secretsDoNotPrintThemselves() {
        assertThat(new Seed("m", "hunter2", "n") + " " + new UserData.Found("hunter2"))
                .doesNotContain("hunter2");
    }

    private static final String[] GOLDEN = {
        "vmb-4zjbqn3fl6", "vmt-5j6vnkzq5p", "vmlet_inst2345", "vmlet-inst2345", "52:22:e4:07:8b:ee", "52:42:f7:16:05:c6"
    };
}
