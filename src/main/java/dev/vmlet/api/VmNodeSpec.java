package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import dev.vmlet.api.OpenPort.Protocol;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What a node is asked for while it may not be there to hear it. */
@ApiObject
public record VmNodeSpec(
        @JsonPropertyDescription(
                "VirtualMachines of this node that were deleted by force while it was lost. Written by the controller."
                        + " The agent takes down what is left of each before it does anything else, says so in"
                        + " status.buried, and the entry goes.")
        @Size(max = 4096)
        @ListMapKey("uid")
        @Nullable
        List<Tombstone> tombstones,

        @JsonPropertyDescription(
                "Ports of Services that have VirtualMachines of this node behind them. Written by the controller, which"
                        + " alone may read Services. The agent leads what is sent to their addresses on this node"
                        + " straight to those of the VirtualMachines that are ready.")
        @Size(max = 256)
        @Nullable
        List<ServedPort> services) {

    /** A VirtualMachine that is no more, and that its node has not heard of yet. */
    @ApiObject
    public record Tombstone(
            @JsonPropertyDescription("metadata.uid of the VirtualMachine.") @Required @Size(max = 63) @Nullable
            String uid,

            @JsonPropertyDescription("Its namespace.") @Size(max = 63) @Nullable
            String namespace,

            @JsonPropertyDescription("Its name.") @Size(max = 253) @Nullable
            String name,

            @JsonPropertyDescription("Why it was deleted by force, in the words of whoever asked for it.")
            @Size(max = 1024)
            @Nullable
            String reason,

            @JsonPropertyDescription("When that was done, in RFC 3339.") @Timestamp @Size(max = 64) @Nullable
            String at,

            @JsonPropertyDescription("Disks that outlive it, by its last word.") @Size(max = 32) @Nullable
            List<@Size(max = 63) String> retained) {}

    /** A port of a Service, as its clients know it, and who of this node is behind it. */
    @ApiObject
    public record ServedPort(
            @JsonPropertyDescription("Namespace and name of the Service, with / between.")
            @Required
            @Size(max = 127)
            @Nullable
            String service,

            @JsonPropertyDescription(
                    "IPv4 addresses at which it is asked for: its own, externalIPs, and those of its load balancer.")
            @Size(max = 16)
            @Nullable
            List<@Size(max = 15) String> addresses,

            @JsonPropertyDescription("Number of the port there, 1 to 65535.") @Required @Min(1) @Max(65_535) @Nullable
            Integer port,

            @JsonPropertyDescription("Port of every node's own addresses that leads to the same. Default none.")
            @Min(1)
            @Max(65_535)
            @Nullable
            Integer nodePort,

            @JsonPropertyDescription("TCP or UDP. Default TCP.") @Default("TCP") @Nullable
            Protocol protocol,

            @JsonPropertyDescription("Whether one client is always led to the same VirtualMachine. Default false.")
            @Nullable
            Boolean clientAffinity,

            @JsonPropertyDescription("Whether VirtualMachines that are not ready count as well. Default false.")
            @Nullable
            Boolean notReadyToo,

            @JsonPropertyDescription("VirtualMachines of this node that are behind it.") @Size(max = 64) @Nullable
            List<Backend> backends) {}

    /** A VirtualMachine of this node behind a Service. */
    @ApiObject
    public record Backend(
            @JsonPropertyDescription("metadata.uid of the VirtualMachine.") @Required @Size(max = 63) @Nullable
            String uid,

            @JsonPropertyDescription("Its name.") @Size(max = 253) @Nullable
            String name,

            @JsonPropertyDescription("The port of the node by which it publishes what the Service leads to.")
            @Required
            @Min(1)
            @Max(65_535)
            @Nullable
            Integer hostPort) {}
}
