package dev.vmlet.resolve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Given;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seed;
import dev.vmlet.model.UserData;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/** The documents that cloud-init reads, word by word; where their meaning counts, read by YAML 1.1 as cloud-init does. */
class SeedTextTest {
    private static NicResolver.Nic nic(String network, String ip, String mac, String... servers) {
        return nic(network, ip, mac, 1500, servers);
    }

    private static NicResolver.Nic nic(String network, String ip, String mac, int mtu, String... servers) {
        DesiredNic base = Given.nic(new NetworkId("lab", network, "net-1"), "vm-1", ip);
        Ipv4Prefix slice = Ipv4Prefix.around(Ipv4Address.parse(ip), 24);
        return new NicResolver.Nic(
                new DesiredNic(
                        base.network(),
                        base.bridge(),
                        base.bridgeMark(),
                        base.tap(),
                        base.mark(),
                        new MacAddress(mac),
                        base.ip(),
                        mtu),
                Optional.of(slice),
                Optional.of(slice.network().plus(1)),
                List.of(servers));
    }

    private static final NicResolver.Nic RED = nic("red", "10.77.4.2", "52:00:00:00:00:01", "9.9.9.9");
    private static final NicResolver.Nic BLUE = nic("blue", "10.78.4.2", "12:34:56:12:34:56");

    private static VirtualMachineSpec spec(@Nullable String userData, String... keys) {
        VirtualMachineSpec base = Given.spec();
        return new VirtualMachineSpec(
                base.nodeName(),
                base.runStrategy(),
                base.cpu(),
                base.memory(),
                base.disks(),
                base.networks(),
                new CloudInit(List.of(keys), userData, null),
                null,
                null,
                30);
    }

    private static Seed seed(@Nullable String userData, List<NicResolver.Nic> nics, String... keys) throws Refusal {
        return SeedText.seed(Given.WEB, spec(userData, keys), nics, new UserData.NotAsked());
    }

    private static Map<String, Object> read(String text) {
        return new Yaml(new SafeConstructor(new LoaderOptions())).load(text);
    }

    @Test
    void writesTheNetworkConfigWordByWord() throws Refusal {
        assertThat(seed(null, List.of(RED, BLUE)).networkConfig()).isEqualTo("""
                version: 2
                ethernets:
                  red:
                    match:
                      macaddress: "52:00:00:00:00:01"
                    dhcp4: false
                    addresses:
                    - "10.77.4.2/24"
                    routes:
                    - to: "0.0.0.0/0"
                      via: "10.77.4.1"
                    nameservers:
                      addresses:
                      - "9.9.9.9"
                    mtu: 1500
                  blue:
                    match:
                      macaddress: "12:34:56:12:34:56"
                    dhcp4: false
                    addresses:
                    - "10.78.4.2/24"
                    mtu: 1500
                """);
    }

    @Test
    void ofThreeNicsTheFirstAloneLeadsOutAndEachHasItsOwnAddressAndMtu() throws Refusal {
        NicResolver.Nic jumbo = nic("jumbo", "10.79.4.2", "52:00:00:00:00:03", 9000, "10.79.4.53");
        NicResolver.Nic narrow = nic("narrow", "10.80.4.2", "52:00:00:00:00:04", 1400);
        Map<String, Object> config =
                read(seed(null, List.of(jumbo, RED, narrow)).networkConfig());
        assertThat(config.get("ethernets"))
                .isEqualTo(Map.of(
                        "jumbo",
                        Map.of(
                                "match",
                                Map.of("macaddress", "52:00:00:00:00:03"),
                                "dhcp4",
                                false,
                                "addresses",
                                List.of("10.79.4.2/24"),
                                "routes",
                                List.of(Map.of("to", "0.0.0.0/0", "via", "10.79.4.1")),
                                "nameservers",
                                Map.of("addresses", List.of("10.79.4.53")),
                                "mtu",
                                9000),
                        "red",
                        Map.of(
                                "match",
                                Map.of("macaddress", "52:00:00:00:00:01"),
                                "dhcp4",
                                false,
                                "addresses",
                                List.of("10.77.4.2/24"),
                                "nameservers",
                                Map.of("addresses", List.of("9.9.9.9")),
                                "mtu",
                                1500),
                        "narrow",
                        Map.of(
                                "match",
                                Map.of("macaddress", "52:00:00:00:00:04"),
                                "dhcp4",
                                false,
                                "addresses",
                                List.of("10.80.4.2/24"),
                                "mtu",
                                1400)));
    }

    @Test
    void aMacOfDigitsStaysAString() throws Refusal {
        Map<?, ?> ethernets = java.util.Objects.requireNonNull(
                (Map<?, ?>) read(seed(null, List.of(BLUE)).networkConfig()).get("ethernets"));
        assertThat(String.valueOf(ethernets.get("blue"))).contains("{macaddress=12:34:56:12:34:56}");
    }

    @Test
    void aNetworkNamedLikeANumberOrABooleanStaysAString() throws Refusal {
        for (String name : List.of("123", "1e3", "010", "no", "on", "y", "null", "0x1f")) {
            Map<?, ?> ethernets = java.util.Objects.requireNonNull((Map<?, ?>)
                    read(seed(null, List.of(nic(name, "10.77.4.2", "52:00:00:00:00:01")))
                                    .networkConfig())
                            .get("ethernets"));
            assertThat(ethernets.keySet()).as(name).isEqualTo(java.util.Set.of(name));
        }
    }

    @Test
    void theInstanceIdChangesExactlyWhenAnAddressDoes() throws Refusal {
        String id = seed(null, List.of(RED)).metaData();
        assertThat(id).matches("instance-id: \"vmlet-vm-1-[0-9a-f]{8}\"\nlocal-hostname: \"web\"\n");
        assertThat(seed("#!/bin/sh\n", List.of(RED), "key").metaData()).isEqualTo(id);
        assertThat(seed(null, List.of(nic("red", "10.77.4.2", "52:00:00:00:00:01")))
                        .metaData())
                .isEqualTo(id);
        assertThat(seed(null, List.of(nic("red", "10.77.4.3", "52:00:00:00:00:01", "9.9.9.9")))
                        .metaData())
                .isNotEqualTo(id);
        assertThat(seed(null, List.of(RED, BLUE)).metaData()).isNotEqualTo(id);
    }

    @Test
    void withoutUserDataOnlyNameAndKeysAreSet() throws Refusal {
        assertThat(seed(null, List.of(), "ssh-ed25519 AAAA me").userData()).isEqualTo("""
                #cloud-config
                hostname: "web"
                preserve_hostname: false
                growpart:
                  mode: "auto"
                  devices:
                  - "/"
                resize_rootfs: true
                ssh_authorized_keys:
                - "ssh-ed25519 AAAA me"
                """);
    }

    @Test
    void theUsersWordsWinAndKeysAddUp() throws Refusal {
        String own = "#cloud-config\nhostname: other\nssh_authorized_keys: [a, b]\npackage_update: yes\n";
        Map<String, Object> merged = read(seed(own, List.of(), "b", "c").userData());
        assertThat(merged)
                .containsEntry("hostname", "other")
                .containsEntry("package_update", true)
                .containsEntry("ssh_authorized_keys", List.of("b", "c", "a"))
                .containsEntry("preserve_hostname", false);
    }

    @Test
    void aScriptComesBesideOurOwnPart() throws Refusal {
        String text = seed("#!/bin/sh\necho hello", List.of()).userData();
        assertThat(text)
                .startsWith("Content-Type: multipart/mixed; boundary=\"==vmlet-user-data==\"\nMIME-Version: 1.0\n\n");
        assertThat(text)
                .contains("Content-Type: text/cloud-config; charset=\"utf-8\"\nMIME-Version: 1.0\n\n#cloud-config\n");
        assertThat(text)
                .endsWith("Content-Type: text/x-shellscript; charset=\"utf-8\"\nMIME-Version: 1.0\n\n"
                        + "#!/bin/sh\necho hello\n--==vmlet-user-data==--\n");
    }

    private static void refused(String userData, String message) {
        assertThatThrownBy(() -> seed(userData, List.of())).isInstanceOfSatisfying(Refusal.class, refusal -> {
            assertThat(refusal.reason()).isEqualTo(Reason.UserDataInvalid);
            assertThat(refusal.getMessage()).isEqualTo(message).doesNotContain("hunter2");
        });
    }

    @Test
    void malformedYamlIsRefusedByPlaceAndNotByWord() {
        refused(
                "#cloud-config\npassword: hunter2\n  x: [\n",
                "the user data is not valid YAML at line 3, column 4; correct it");
    }

    @Test
    void aListOrAWordIsNoCloudConfig() {
        String message = "the user data must be a mapping of cloud-config keys, such as 'packages: [...]'";
        refused("#cloud-config\n- hunter2\n", message);
        refused("#cloud-config\nhunter2\n", message);
    }

    @Test
    void anchorsAreRefusedBecauseTheyWouldBeLost() {
        refused(
                "#cloud-config\na: &x hunter2\nb: *x\n",
                "the user data refers to a YAML anchor (*name), which is not supported; write the value out");
    }

    @Test
    void anUnknownKindIsRefused() {
        refused(
                "hunter2: yes",
                "the user data must begin with the line #cloud-config, or with #! for a script; it begins with 12 other"
                        + " characters");
    }

    @Test
    void anEmptyCloudConfigIsNoError() throws Refusal {
        assertThat(seed("#cloud-config\n", List.of()).userData())
                .isEqualTo(seed(null, List.of()).userData());
    }

    @Test
    void aSecretThatIsRefusedRefusesTheVm() {
        assertThatThrownBy(() -> SeedText.seed(
                        Given.WEB,
                        spec(null),
                        List.of(),
                        new UserData.Refused(Reason.SecretKeyMissing, "Secret s lacks key userdata")))
                .isInstanceOf(Refusal.class)
                .hasMessage("Secret s lacks key userdata");
    }

    @Test
    void theSecretsTextIsUsed() throws Refusal {
        Seed seed = SeedText.seed(Given.WEB, spec(null), List.of(), new UserData.Found("#cloud-config\na: 1\n"));
        assertThat(read(seed.userData())).containsEntry("a", 1);
        assertThat(HostNames.fingerprint(seed.userData())).hasSize(64);
    }
}
