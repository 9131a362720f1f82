package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Default;
import io.fabric8.generator.annotation.Max;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import org.jspecify.annotations.Nullable;

/** A port that something listens on. */
@ApiObject
public record OpenPort(
        @JsonPropertyDescription("Number of the port, 1 to 65535.") @Required @Min(1) @Max(65_535) @Nullable
        Integer port,

        @JsonPropertyDescription("TCP or UDP. Default TCP.") @Default("TCP") @Nullable
        Protocol protocol) {

    /** A protocol that has ports. */
    public enum Protocol {
        TCP,
        UDP
    }
}
