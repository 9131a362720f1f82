package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Size;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the controller decided for a network, and what it sums up of its slices. */
@ApiObject
public record NetworkStatus(
        @JsonPropertyDescription(
                "All addresses of the Network: spec.cidr, or what was chosen for it. It never changes.")
        @Size(max = 43)
        @Nullable
        String cidr,

        @JsonPropertyDescription("The metadata.generation that this status was seen for.") @Min(0) @Nullable
        Long observedGeneration,

        @JsonPropertyDescription("What is true of the Network: Ready.") @Size(max = 16) @ListMapKey("type") @Nullable
        List<Condition> conditions) {}
