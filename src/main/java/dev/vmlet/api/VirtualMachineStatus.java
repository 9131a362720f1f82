package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the node's agent saw of a virtual machine, and for which generation. */
@ApiObject
public record VirtualMachineStatus(
        @JsonPropertyDescription(
                "Where the machine is in its life, summed up from what was seen: Pending, Preparing, Starting,"
                        + " Running, Stopping, Stopped, Failed, or Unknown where the agent could not"
                        + " look or the node is lost.")
        @Nullable
        Phase phase,

        @JsonPropertyDescription("The guest's interfaces and addresses, in the order of spec.networks.")
        @Size(max = 8)
        @ListMapKey("network")
        @Nullable
        List<Address> addresses,

        @JsonPropertyDescription("Name of the node whose agent wrote this status.") @Size(max = 253) @Nullable
        String nodeName,

        @JsonPropertyDescription("The virtual machine monitor that runs the guest. Absent while none runs.") @Nullable
        Vmm vmm,

        @JsonPropertyDescription(
                "Short name of the first disk's image: its name in the catalog, or the last part of its url or"
                        + " path.")
        @Size(max = 253)
        @Nullable
        String image,

        @JsonPropertyDescription("When the running guest was started, in RFC 3339. Absent while none runs.")
        @Timestamp
        @Size(max = 64)
        @Nullable
        String startedAt,

        @JsonPropertyDescription("How often the guest was started again after an exit, since the object was created.")
        @Min(0)
        @Nullable
        Integer restarts,

        @JsonPropertyDescription("How the guest's last run ended. Absent before its first exit.") @Nullable
        LastExit lastExit,

        @JsonPropertyDescription("The metadata.generation that this status was seen for.") @Min(0) @Nullable
        Long observedGeneration,

        @JsonPropertyDescription(
                "The metadata.generation that the running guest was started with. While it differs from"
                        + " metadata.generation, a change may wait for the next start; RestartRequired says which.")
        @Min(0)
        @Nullable
        Long bootedGeneration,

        @JsonPropertyDescription(
                "What is true of the machine, in the order of its life: Scheduled, NetworkReady, DisksReady,"
                        + " Running, GuestReachable, and the summary Ready; RestartRequired names the fields that wait"
                        + " for the next start, ReachableFromPods what pods and others outside reach of it.")
        @Size(max = 16)
        @ListMapKey("type")
        @Nullable
        List<Condition> conditions) {

    /** This status, with what a VM's record tells taken from another: for a VM whose record is lost. */
    public VirtualMachineStatus withRecordOf(VirtualMachineStatus other) {
        return new VirtualMachineStatus(
                phase,
                other.addresses,
                nodeName,
                other.vmm,
                image,
                other.startedAt,
                other.restarts,
                other.lastExit,
                observedGeneration,
                other.bootedGeneration,
                conditions);
    }

    /** This status with other conditions. */
    public VirtualMachineStatus withConditions(@Nullable List<Condition> others) {
        return new VirtualMachineStatus(
                phase,
                addresses,
                nodeName,
                vmm,
                image,
                startedAt,
                restarts,
                lastExit,
                observedGeneration,
                bootedGeneration,
                others);
    }

    /** Where a machine is in its life; derived from what was seen, never obeyed. */
    public enum Phase {
        Pending,
        Preparing,
        Starting,
        Running,
        Stopping,
        Stopped,
        Failed,
        Unknown
    }

    /** One interface of the guest, as it is on the node. */
    @ApiObject
    public record Address(
            @JsonPropertyDescription("Name of the Network.") @Required @Size(min = 1, max = 253) @Nullable
            String network,

            @JsonPropertyDescription(
                    "IPv4 address of the guest on this Network; it stays until the VirtualMachine is deleted. By the"
                            + " DHCP of an existingBridge's LAN, the one that the guest was heard with; absent before.")
            @Size(max = 45)
            @Nullable
            String ip,

            @JsonPropertyDescription("MAC address of the guest's interface.") @Size(max = 17) @Nullable
            String mac,

            @JsonPropertyDescription("Name of the tap interface on the node. Absent while there is none.")
            @Size(max = 15)
            @Nullable
            String tap,

            @JsonPropertyDescription(
                    "An IPv4 address that the guest was heard with and does not have; what it sends from there is"
                            + " dropped. Absent while it uses ip alone.")
            @Size(max = 45)
            @Nullable
            String observed,

            @JsonPropertyDescription(
                    "Ports of the node that lead to this interface now, each with its protocol, for example tcp/8080.")
            @Size(max = 16)
            @Nullable
            List<@Size(max = 15) String> publishedPorts) {}

    /** The monitor process of a guest. */
    @ApiObject
    public record Vmm(
            @JsonPropertyDescription("cloud-hypervisor, or qemu where the guest is emulated in software.")
            @Size(max = 63)
            @Nullable
            String name,

            @JsonPropertyDescription("Version of the monitor, as it tells it.") @Size(max = 63) @Nullable
            String version,

            @JsonPropertyDescription("Process id of the monitor on the node.") @Min(1) @Nullable
            Integer pid) {}

    /** The end of a run. */
    @ApiObject
    public record LastExit(
            @JsonPropertyDescription("Why the run ended, as one CamelCase word, for example GuestPoweredOff.")
            @Size(max = 1024)
            @Nullable
            String reason,

            @JsonPropertyDescription("The same for people, with what the guest last wrote to its serial console.")
            @Size(max = 32768)
            @Nullable
            String message,

            @JsonPropertyDescription("When the run ended, in RFC 3339.") @Timestamp @Size(max = 64) @Nullable
            String at) {}
}
