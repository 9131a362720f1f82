package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Size;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the node's agent saw of its slice. */
@ApiObject
public record NetworkSliceStatus(
        @JsonPropertyDescription("Name of the bridge on the node. Absent while there is none.")
        @Size(max = 15)
        @Nullable
        String bridge,

        @JsonPropertyDescription(
                "Largest packet on a bridge of the operator's in bytes, which guests there take. Absent on every other.")
        @Min(0)
        @Nullable
        Integer mtu,

        @JsonPropertyDescription("The bridge's own address, which is the guests' gateway.") @Size(max = 45) @Nullable
        String gateway,

        @JsonPropertyDescription(
                "True when bridge, gateway and firewall are in place, so that guests can start on the slice.")
        @Nullable
        Boolean ready,

        @JsonPropertyDescription("Why the slice is ready or not, as one CamelCase word.") @Size(max = 1024) @Nullable
        String reason,

        @JsonPropertyDescription("The same for people: what was seen, and what to do about it.")
        @Size(max = 32768)
        @Nullable
        String message,

        @JsonPropertyDescription("The metadata.generation that this status was seen for.") @Min(0) @Nullable
        Long observedGeneration,

        @JsonPropertyDescription("What is true of the slice: Ready.") @Size(max = 16) @ListMapKey("type") @Nullable
        List<Condition> conditions) {}
