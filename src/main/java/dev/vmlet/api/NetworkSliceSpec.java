package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.Size;
import io.fabric8.generator.annotation.ValidationRule;
import org.jspecify.annotations.Nullable;

/** Which part of which network which node has. */
@ApiObject
@ValidationRule(value = "self == oldSelf", message = "a NetworkSlice cannot change: guests have addresses from it")
public record NetworkSliceSpec(
        @JsonPropertyDescription("Name of the Network, in the same namespace. Fixed.")
        @Required
        @Size(min = 1, max = 63)
        @Nullable
        String network,

        @JsonPropertyDescription("Name of the node that has this slice. Fixed.")
        @Required
        @Size(min = 1, max = 253)
        @Nullable
        String nodeName,

        @JsonPropertyDescription(
                "Addresses of the slice as an IPv4 prefix, such as 10.77.4.0/24. Absent where the Network is on a bridge"
                        + " of the operator's, whose addresses are the LAN's. Fixed.")
        @Size(min = 9, max = 18)
        @ValidationRule(
                value = "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self).masked() == cidr(self)",
                message = "cidr must be an IPv4 prefix whose host bits are zero, such as 10.77.4.0/24")
        @Nullable
        String cidr) {}
