package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import dev.vmlet.api.OpenPort.Protocol;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a user asks of a virtual machine. A change waits for the next start unless its field says otherwise. */
@ApiObject
@ValidationRule(
        value = "!has(oldSelf.nodeName) || (has(self.nodeName) && self.nodeName == oldSelf.nodeName)",
        message = "nodeName cannot change once it is set: delete this VirtualMachine and create it for the other node",
        fieldPath = ".nodeName")
@ValidationRule(
        value = "(has(self.disks) && self.disks.size() > 0) || (has(self.boot) && has(self.boot.kernel))",
        message = "nothing to boot from: give at least one disk, or boot.kernel")
@ValidationRule(
        // Indices written out: CEL's list macros hand over the element, not its place. 16 is the list's maxItems.
        value = "!has(oldSelf.disks) || [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].all(i,"
                + " i >= oldSelf.disks.size() || (has(self.disks) && i < self.disks.size()"
                + " && self.disks[i].name == oldSelf.disks[i].name))",
        message =
                "a disk keeps its name and its place in the list: add new disks at the end, and remove or reorder none",
        fieldPath = ".disks")
public record VirtualMachineSpec(
        @JsonPropertyDescription("Name of the node that runs this machine. Set once, by you or by what places machines,"
                + " then fixed. Standalone sets it to its one node. Until it is set nothing happens and the condition"
                + " Scheduled is False.")
        @Size(min = 1, max = 253)
        @ValidationRule(
                value = "self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
                message = "nodeName must be the name of a node: lower-case letters, digits, '-' and '.',"
                        + " with a letter or digit at both ends")
        @Nullable
        String nodeName,

        @JsonPropertyDescription(
                "When the guest is to run. Always: start again after every exit. RerunOnFailure: start again"
                        + " unless the guest powered itself off. Once: run to the first exit, then stay"
                        + " stopped. Halted: shut the guest down and keep its disks and addresses."
                        + " Default Always. A change takes effect at once.")
        @Default("Always")
        @Nullable
        RunStrategy runStrategy,

        @JsonPropertyDescription("The guest's processors. Default: 1 core. A change takes effect at the next start.")
        @Default("{\"cores\": 1}")
        @Nullable
        Cpu cpu,

        @JsonPropertyDescription("The guest's memory. A change takes effect at the next start.") @Required @Nullable
        Memory memory,

        @JsonPropertyDescription(
                "The guest's disks, in the order in which it sees them; it boots from the first. Disks may be"
                        + " added at the end, and are attached at the next start; their names, images and"
                        + " order are fixed. A machine without disks needs boot.kernel. At most 16.")
        @Size(max = 16)
        @ListMapKey("name")
        @Nullable
        List<Disk> disks,

        @JsonPropertyDescription(
                "The Networks that the guest is on, one interface each, in the order in which it sees them;"
                        + " the first holds its default route. Each Network may be named once. Default: none."
                        + " At most 8. A change takes effect at the next start.")
        @Size(max = 8)
        @ListMapKey("name")
        @ValidationRule(
                value = "self.all(a, !has(a.macAddress) ||"
                        + " self.exists_one(b, has(b.macAddress) && b.macAddress == a.macAddress))",
                message = "two networks have the same macAddress: give each its own, or leave it out")
        @ValidationRule(
                value = "self.all(a, !has(a.ports) || a.ports.all(p, !has(p.name) ||"
                        + " self.exists_one(b, has(b.ports) && b.ports.exists(q, has(q.name) && q.name == p.name))))",
                message = "two networks have ports of the same name: a Service could not tell them apart")
        @Nullable
        List<NetworkInterface> networks,

        @JsonPropertyDescription(
                "What cloud-init in the guest receives, through a NoCloud seed disk that vmlet makes. The"
                        + " guest reads it at its first boot; a change takes effect at the next start as far"
                        + " as cloud-init applies changes.")
        @Nullable
        CloudInit cloudInit,

        @JsonPropertyDescription("How the guest boots: through firmware from its first disk, or straight into a kernel."
                + " Default: the firmware that vmlet brings. A change takes effect at the next start.")
        @Nullable
        Boot boot,

        @JsonPropertyDescription(
                "When the guest counts as ready, which the conditions GuestReachable and Ready show. Default:"
                        + " when TCP port 22 of its first address accepts a connection. A change takes effect at once.")
        @Nullable
        Readiness readiness,

        @JsonPropertyDescription(
                "Seconds for the guest to shut down after its power button was pressed; after them its power"
                        + " is cut. 0 cuts it at once. Default 30, at most 3600. A change takes effect"
                        + " at the next stop.")
        @Default("30")
        @Min(0)
        @Max(3600)
        @Nullable
        Integer terminationGracePeriodSeconds) {

    /** Processors of a guest. */
    @ApiObject
    public record Cpu(
            @JsonPropertyDescription(
                    "Number of virtual processors, 1 to 255. Each is a thread on the node. Default 1. A"
                            + " change takes effect at the next start.")
            @Default("1")
            @Min(1)
            @Max(255)
            @Nullable
            Integer cores) {}

    /** Memory of a guest. */
    @ApiObject
    public record Memory(
            @JsonPropertyDescription(
                    "Size of the guest's memory in bytes, as a quantity such as 512Mi or 2Gi; 16Mi to 16Ti."
                            + " A change takes effect at the next start.")
            @Required
            @Size(min = 1, max = 20)
            @ValidationRule(
                    value = "self.matches(r'^[0-9]{1,15}(\\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$')"
                            + " && quantity(self).compareTo(quantity('16Mi')) >= 0"
                            + " && quantity(self).compareTo(quantity('16Ti')) <= 0",
                    message = "memory.size must be a quantity of bytes from 16Mi to 16Ti, for example 512Mi or 2Gi")
            @Nullable
            String size) {}

    /** One interface of a guest; the Network's name is its identity. */
    @ApiObject
    public record NetworkInterface(
            @JsonPropertyDescription("Name of a Network in the same namespace.")
            @Required
            @Size(min = 1, max = 63)
            @ValidationRule(
                    value = "self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                    message = "networks[].name must be the name of a Network: lower-case letters, digits and '-',"
                            + " with a letter or digit at both ends")
            @Nullable
            String name,

            @JsonPropertyDescription(
                    "IPv4 address of the guest on this Network, within the slice of its node. Default: a free"
                            + " one, which then stays this machine's until the VirtualMachine is deleted. On a"
                            + " Network with existingBridge: one of its LAN; default there: by the LAN's DHCP. A"
                            + " change takes effect at the next start.")
            @Size(min = 7, max = 15)
            @ValidationRule(
                    value = "isIP(self) && ip(self).family() == 4 && !ip(self).isUnspecified()"
                            + " && !ip(self).isLoopback()",
                    message = "networks[].address must be an IPv4 address such as 10.77.4.10, without a prefix length")
            @Nullable
            String address,

            @JsonPropertyDescription(
                    "MAC address of the interface, six pairs of lower-case hexadecimal digits. Default: one"
                            + " derived from the machine and the Network, which never changes. A change takes"
                            + " effect at the next start.")
            @Size(min = 17, max = 17)
            @ValidationRule(
                    value = "self.matches(r'^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$') && self != '00:00:00:00:00:00'",
                    message = "networks[].macAddress must be a unicast MAC address in lower case such as"
                            + " 52:54:00:12:34:56: the second digit is even and not all digits are zero")
            @Nullable
            String macAddress,

            @JsonPropertyDescription(
                    "Ports of the guest that its node offers as its own to whoever reaches the node, at most 16."
                            + " Default: none. A change takes effect at once, and ends connections to what is published"
                            + " no longer.")
            @Size(max = 16)
            @ValidationRule(
                    value = "self.all(a, self.exists_one(b, b.hostPort == a.hostPort && b.protocol == a.protocol))",
                    message = "two ports have the same hostPort and protocol: each port of the node leads to one place")
            @ValidationRule(
                    value = "self.all(a, !has(a.name) || self.exists_one(b, has(b.name) && b.name == a.name))",
                    message = "two ports have the same name: a Service could not tell them apart")
            @Nullable
            List<Published> ports) {}

    /** A port of a guest that its node offers as its own. */
    @ApiObject
    public record Published(
            @JsonPropertyDescription(
                    "Name by which the targetPort of a Service finds it: at most 15 lower-case letters, digits and"
                            + " single '-' between them, with at least one letter; no other port of this machine may"
                            + " bear it. Default: none, then a Service finds it by the number of the guest's port.")
            @Size(min = 1, max = 15)
            @ValidationRule(
                    value = "self.matches(r'^[a-z0-9]+(-[a-z0-9]+)*$') && self.matches(r'[a-z]')",
                    message = "ports[].name must be lower-case letters, digits and single '-' between them, with at"
                            + " least one letter")
            @Nullable
            String name,

            @JsonPropertyDescription(
                    "Port of the node, 1 to 65535. It belongs to this machine until the object is deleted or asks for"
                            + " it no longer, whether the guest runs or not.")
            @Required
            @Min(1)
            @Max(65_535)
            @Nullable
            Integer hostPort,

            @JsonPropertyDescription("Port of the guest, 1 to 65535.") @Required @Min(1) @Max(65_535) @Nullable
            Integer port,

            @JsonPropertyDescription("TCP or UDP. Default TCP.") @Default("TCP") @Nullable
            Protocol protocol) {}
}
