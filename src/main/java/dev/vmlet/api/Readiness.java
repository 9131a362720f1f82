package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** When a guest counts as ready. */
@ApiObject
@ValidationRule(
        value = "!(has(self.tcpPort) && has(self.none))",
        message = "readiness has either tcpPort or none: a port to ask, or nothing to ask")
public record Readiness(
        // No default in the schema: it would stand beside every `none`. Without either, readers take 22.
        @JsonPropertyDescription(
                "TCP port, 1 to 65535, that accepts connections on the guest's first address once it is ready."
                        + " Default 22 unless none is given.")
        @Min(1)
        @Max(65535)
        @Nullable
        Integer tcpPort,

        @JsonPropertyDescription(
                "Seconds, 1 to 86400, that the guest may take from its start until it is ready; after them the"
                        + " condition Ready says so. The guest is not restarted. Default 300.")
        @Default("300")
        @Min(1)
        @Max(86400)
        @Nullable
        Integer timeoutSeconds,

        @JsonPropertyDescription(
                "Write none: {} to count the guest as ready as soon as it runs. Not together with tcpPort.")
        @Nullable
        None none) {

    /** Nothing to ask: a running guest is a ready guest. */
    @ApiObject
    public record None() {}
}
