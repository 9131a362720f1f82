package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a user asks of a network. */
@ApiObject
@ValidationRule(
        value = "!has(oldSelf.cidr) || (has(self.cidr) && self.cidr == oldSelf.cidr)",
        message = "cidr cannot change once it is set, for guests have addresses from it: create another Network",
        fieldPath = ".cidr")
@ValidationRule(
        value = "!has(oldSelf.nodePrefixLength)"
                + " || (has(self.nodePrefixLength) && self.nodePrefixLength == oldSelf.nodePrefixLength)",
        message = "nodePrefixLength cannot change, for the nodes' slices are cut by it: create another Network",
        fieldPath = ".nodePrefixLength")
@ValidationRule(
        value = "!has(self.egressAllow) || !has(self.egress) || self.egress == 'Masquerade'",
        message = "egressAllow narrows egress Masquerade; with egress None nothing is allowed: leave one of them out",
        fieldPath = ".egressAllow")
@ValidationRule(
        value = "!has(self.cidr) || !isCIDR(self.cidr) || cidr(self.cidr).ip().family() != 4"
                + " || !has(self.nodePrefixLength)"
                + " || self.nodePrefixLength >= cidr(self.cidr).prefixLength()",
        message =
                "nodePrefixLength must be at least the prefix length of cidr: a node's slice is a part of the Network",
        fieldPath = ".nodePrefixLength")
@ValidationRule(
        value = "has(self.existingBridge) == has(oldSelf.existingBridge)"
                + " && (!has(self.existingBridge) || self.existingBridge == oldSelf.existingBridge)",
        message = "existingBridge cannot change, for guests are on it: create another Network",
        fieldPath = ".existingBridge")
@ValidationRule(
        value = "!has(self.gateway) || has(self.existingBridge) && has(self.cidr)",
        message =
                "gateway is that of an existingBridge's LAN, and needs the LAN's cidr beside it; on every other Network"
                        + " the gateway is the node",
        fieldPath = ".gateway")
@ValidationRule(
        value = "!has(self.gateway) || !has(self.cidr) || !isIP(self.gateway) || !isCIDR(self.cidr)"
                + " || cidr(self.cidr).containsIP(self.gateway)",
        message = "gateway must be an address of cidr",
        fieldPath = ".gateway")
@ValidationRule(
        value = "!has(self.existingBridge) || !has(self.egress) || self.egress == 'Masquerade'",
        message = "egress does not apply to an existingBridge, whose guests are on the operator's LAN like every other"
                + " machine there: leave it out",
        fieldPath = ".egress")
@ValidationRule(
        value = "!has(self.existingBridge) || !has(self.egressAllow)",
        message =
                "egressAllow does not apply to an existingBridge: what its guests reach is for the LAN's own firewalls"
                        + " to say; leave it out",
        fieldPath = ".egressAllow")
@ValidationRule(
        value = "!has(self.existingBridge) || !has(self.peers)",
        message = "peers do not apply to an existingBridge, for nothing is routed there by vmlet: leave them out",
        fieldPath = ".peers")
@ValidationRule(
        value = "!has(self.existingBridge) || !has(self.hostAccess)",
        message =
                "hostAccess does not apply to an existingBridge: its guests reach the node as every machine of the LAN"
                        + " does; leave it out",
        fieldPath = ".hostAccess")
@ValidationRule(
        value = "!has(self.existingBridge) || !has(self.nodePrefixLength) || self.nodePrefixLength == 24",
        message = "nodePrefixLength does not apply to an existingBridge, whose addresses are not cut into slices: leave"
                + " it out",
        fieldPath = ".nodePrefixLength")
@ValidationRule(
        value = "!has(self.existingBridge) || !has(self.mtu) || self.mtu == 1500",
        message = "mtu does not apply to an existingBridge, whose guests take the LAN's: leave it out",
        fieldPath = ".mtu")
public record NetworkSpec(
        @JsonPropertyDescription(
                "All addresses of the Network, as an IPv4 prefix of length 8 to 28 such as 10.77.0.0/16."
                        + " Default: a free /20 of the operator's pool, chosen once and shown in"
                        + " status.cidr. With existingBridge, the LAN's own prefix; default there: none. Fixed once"
                        + " set.")
        @Size(min = 9, max = 18)
        @ValidationRule(
                value = "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self).masked() == cidr(self)"
                        + " && cidr(self).prefixLength() >= 8 && cidr(self).prefixLength() <= 28",
                message = "cidr must be an IPv4 prefix of length 8 to 28 whose host bits are zero, such as"
                        + " 10.77.0.0/16")
        @ValidationRule(
                value = "!isCIDR(self) || cidr(self).ip().family() != 4"
                        + " || !(self.matches(r'^(0|127|22[4-9]|2[3-5][0-9])\\.') || self.startsWith('169.254.')"
                        + " || cidr(self).containsIP('169.254.0.0'))",
                message =
                        "cidr must not hold loopback, link-local, multicast or reserved addresses: use a private range"
                                + " such as 10.77.0.0/16")
        @Nullable
        String cidr,

        @JsonPropertyDescription(
                "Prefix length of the slice that each node takes, 16 to 30 and at least that of cidr; a slice"
                        + " of 24 serves 253 guests on a node. Default 24. Fixed.")
        @Default("24")
        @Min(16)
        @Max(30)
        @Nullable
        Integer nodePrefixLength,

        @JsonPropertyDescription(
                "How guests reach what is outside. Masquerade: through the node, with the node's address. None:"
                        + " not at all. Default Masquerade. A change takes effect at once.")
        @Default("Masquerade")
        @Nullable
        Egress egress,
        // From 1280, the least that IPv6 allows: IPv4 alone could go lower, but IPv6 is to come without a breaking
        // change.
        @JsonPropertyDescription(
                "Largest packet on the Network in bytes, 1280 to 9216, without the Ethernet header. Default"
                        + " 1500. Interfaces of guests take it at their next start.")
        @Default("1500")
        @Min(1280)
        @Max(9216)
        @Nullable
        Integer mtu,

        @JsonPropertyDescription("Name resolution in the guests. Default: none.") @Nullable
        Dns dns,

        @JsonPropertyDescription(
                "When a node makes the Network's bridge. WhenUsed: while one of its machines is on the Network."
                        + " Always: on every node, at once. Default WhenUsed. A change takes effect at once.")
        @Default("WhenUsed")
        @Nullable
        Realize realize,

        @JsonPropertyDescription(
                "Whether guests of the Network reach each other. None: they do. Members: they reach their gateway and"
                        + " what is outside, and no other guest of the Network. Default None. A change takes effect at"
                        + " once.")
        @Default("None")
        @Nullable
        Isolation isolation,

        @JsonPropertyDescription(
                "Names of other Networks of the same namespace whose guests on a node this Network's guests there"
                        + " reach, and the other way round. It counts only while the other names this one too. At most"
                        + " 16. Default: none. A change takes effect at once.")
        @Size(max = 16)
        @ValidationRule(
                value = "self.all(name, name.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
                message = "peers must be names of Networks: lower-case letters, digits and '-', with a letter or digit"
                        + " at both ends")
        @Nullable
        List<@Size(min = 1, max = 63) String> peers,

        @JsonPropertyDescription(
                "Ports of the node that guests of the Network reach, on each of its addresses. At most 32. Default:"
                        + " none; guests may ping the node and no more. A change takes effect at once.")
        @Size(max = 32)
        @Nullable
        List<OpenPort> hostAccess,

        @JsonPropertyDescription(
                "The only destinations outside that guests reach, with egress Masquerade; name servers outside need"
                        + " an entry too. At most 64. Default: all. A change takes effect at once, and ends"
                        + " connections that it no longer allows.")
        @Size(min = 1, max = 64)
        @Nullable
        List<Destination> egressAllow,

        @JsonPropertyDescription(
                "Name of a bridge that the operator keeps on each node, such as br0: guests are put on its LAN, and"
                        + " nothing of the bridge is changed. Their address is spec.networks[].address, with the prefix"
                        + " length of cidr, or the LAN's DHCP gives it. Default: a bridge of the Network's own. Fixed.")
        @Size(min = 1, max = 15)
        @ValidationRule(
                value = "self.matches(r'^[A-Za-z0-9_.-]+$') && self != '.' && self != '..'"
                        + " && !self.startsWith('vmb-') && !self.startsWith('vmt-')",
                message =
                        "existingBridge must be the name of an interface such as br0: letters, digits, '_', '.' and '-';"
                                + " names that begin with vmb- or vmt- are vmlet's own")
        @Nullable
        String existingBridge,

        @JsonPropertyDescription(
                "The LAN's gateway, an address of cidr, for guests on an existingBridge that are given an address by"
                        + " spec.networks[].address. Default: none. Guests learn a change at their next start.")
        @Size(min = 7, max = 15)
        @ValidationRule(
                value = "isIP(self) && ip(self).family() == 4",
                message = "gateway must be an IPv4 address such as 192.168.1.1")
        @Nullable
        String gateway) {

    /** Of a Network with a bridge of its own. */
    public NetworkSpec(
            @Nullable String cidr,
            @Nullable Integer nodePrefixLength,
            @Nullable Egress egress,
            @Nullable Integer mtu,
            @Nullable Dns dns,
            @Nullable Realize realize,
            @Nullable Isolation isolation,
            @Nullable List<String> peers,
            @Nullable List<OpenPort> hostAccess,
            @Nullable List<Destination> egressAllow) {
        this(cidr, nodePrefixLength, egress, mtu, dns, realize, isolation, peers, hostAccess, egressAllow, null, null);
    }

    /** The way out of a network. */
    public enum Egress {
        Masquerade,
        None
    }

    /** Whom the guests of a network do not reach. */
    public enum Isolation {
        None,
        Members
    }

    /** Somewhere outside. */
    @ApiObject
    public record Destination(
            @JsonPropertyDescription("Addresses, as an IPv4 prefix such as 203.0.113.0/24.")
            @Required
            @Size(min = 9, max = 18)
            @ValidationRule(
                    value = "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self).masked() == cidr(self)",
                    message = "egressAllow[].cidr must be an IPv4 prefix whose host bits are zero, such as"
                            + " 203.0.113.0/24")
            @Nullable
            String cidr,

            @JsonPropertyDescription(
                    "The ports there that guests reach, at most 16. Default: all, and what has no ports, such as"
                            + " ping.")
            @Size(min = 1, max = 16)
            @Nullable
            List<OpenPort> ports) {}

    /** When a node makes its part of a network. */
    public enum Realize {
        WhenUsed,
        Always
    }

    /** Name resolution in guests. */
    @ApiObject
    public record Dns(
            @JsonPropertyDescription(
                    "IPv4 addresses of the name servers that guests are told to ask, in this order, at most 3."
                            + " Default: none. Guests learn a change at their next start.")
            @Size(max = 3)
            @ValidationRule(
                    value = "self.all(server, isIP(server) && ip(server).family() == 4)",
                    message = "dns.nameservers must be IPv4 addresses such as 9.9.9.9")
            @Nullable
            List<@Size(min = 7, max = 15) String> nameservers) {}
}
