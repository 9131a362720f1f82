package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import org.jspecify.annotations.Nullable;

/**
 * One statement about an object, after the Kubernetes API conventions.
 *
 * <p>Our own record, not fabric8's: its fields carry descriptions and limits into the schema, and it has no mutable map
 * of additional properties.
 */
@ApiObject
public record Condition(
        @JsonPropertyDescription("What the condition speaks about, in CamelCase, for example Ready.")
        @Required
        @Size(min = 1, max = 316)
        @Nullable
        String type,

        @JsonPropertyDescription(
                "True, False or Unknown. Unknown means that the agent could not look, not that something is wrong.")
        @Required
        @Nullable
        Status status,

        @JsonPropertyDescription("Why the condition has this status, as one CamelCase word that programs may compare.")
        @Required
        @Size(min = 1, max = 1024)
        @Nullable
        String reason,

        @JsonPropertyDescription("The same for people: what was seen, and what to do about it.")
        @Required
        @Size(max = 32768)
        @Nullable
        String message,

        @JsonPropertyDescription("The metadata.generation that this condition was seen for.") @Min(0) @Nullable
        Long observedGeneration,

        @JsonPropertyDescription("When the status last changed from one value to another, in RFC 3339.")
        @Required
        @Timestamp
        @Size(max = 64)
        @Nullable
        String lastTransitionTime) {

    /** The three values of a condition. */
    public enum Status {
        True,
        False,
        Unknown
    }
}
