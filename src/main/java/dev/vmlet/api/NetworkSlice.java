package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.crd.generator.annotation.AdditionalSelectableField;
import io.fabric8.generator.annotation.Required;
import io.fabric8.kubernetes.api.model.Namespaced;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Categories;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Version;
import org.jspecify.annotations.Nullable;

/**
 * The part of a network that one node has. Its name is {@code <network>-<slice index>}, so that the API server's own
 * uniqueness of names hands out each slice once. Made by agents, not by users.
 */
@JsonClassDescription("The part of a Network that one node has. Made by vmlet, as EndpointSlices are for"
        + " Services; named <network>-<index>, so that the API server's uniqueness of names hands out each slice once.")
@Group("vmlet.dev")
@Version("v1alpha1")
@ShortNames("vmslice")
@Categories("vmlet")
@AdditionalSelectableField(jsonPath = ".spec.nodeName")
@AdditionalSelectableField(jsonPath = ".spec.network")
@AdditionalPrinterColumn(name = "Network", jsonPath = ".spec.network")
@AdditionalPrinterColumn(name = "Node", jsonPath = ".spec.nodeName")
@AdditionalPrinterColumn(name = "CIDR", jsonPath = ".spec.cidr")
@AdditionalPrinterColumn(name = "Ready", jsonPath = ".status.ready", type = AdditionalPrinterColumn.Type.BOOLEAN)
@AdditionalPrinterColumn(
        name = "Age",
        jsonPath = ".metadata.creationTimestamp",
        type = AdditionalPrinterColumn.Type.DATE)
@AdditionalPrinterColumn(name = "Bridge", jsonPath = ".status.bridge", priority = 1)
@AdditionalPrinterColumn(name = "Gateway", jsonPath = ".status.gateway", priority = 1)
@AdditionalPrinterColumn(name = "Reason", jsonPath = ".status.reason", priority = 1)
public final class NetworkSlice extends CustomResource<NetworkSliceSpec, NetworkSliceStatus> implements Namespaced {
    private static final long serialVersionUID = 1L;

    @Override
    @Required
    @JsonPropertyDescription("Which part of which Network which node has.")
    public @Nullable NetworkSliceSpec getSpec() {
        return super.getSpec();
    }

    @Override
    @JsonPropertyDescription("What the node's agent saw of the slice. Written by vmlet.")
    public @Nullable NetworkSliceStatus getStatus() {
        return super.getStatus();
    }
}
