package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
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
        List<Tombstone> tombstones) {

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
}
