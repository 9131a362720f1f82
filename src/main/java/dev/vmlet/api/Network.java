package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.ValidationRule;
import io.fabric8.kubernetes.api.model.Namespaced;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Categories;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Version;
import org.jspecify.annotations.Nullable;

/** A network that guests can be on: on each node a bridge of its own with a slice of the addresses. */
@JsonClassDescription(
        "A network for virtual machines: on each node a bridge of its own, with a slice of the" + " addresses.")
@Group("vmlet.dev")
@Version("v1alpha1")
@ShortNames({"vmnet", "vmnets"})
@Categories("vmlet")
@AdditionalPrinterColumn(name = "CIDR", jsonPath = ".status.cidr")
@AdditionalPrinterColumn(name = "Egress", jsonPath = ".spec.egress")
@AdditionalPrinterColumn(name = "Ready", jsonPath = ".status.conditions[?(@.type==\"Ready\")].status")
@AdditionalPrinterColumn(
        name = "Age",
        jsonPath = ".metadata.creationTimestamp",
        type = AdditionalPrinterColumn.Type.DATE)
@AdditionalPrinterColumn(
        name = "Node-Prefix",
        jsonPath = ".spec.nodePrefixLength",
        type = AdditionalPrinterColumn.Type.INTEGER,
        priority = 1)
@AdditionalPrinterColumn(
        name = "MTU",
        jsonPath = ".spec.mtu",
        type = AdditionalPrinterColumn.Type.INTEGER,
        priority = 1)
@AdditionalPrinterColumn(name = "Realize", jsonPath = ".spec.realize", priority = 1)
@ValidationRule(
        value = "self.metadata.name.matches(r'^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
        message = "metadata.name of a Network names its slices and the guests' interfaces: use at most 63 lower-case"
                + " letters, digits and '-', with a letter or digit at both ends")
@ValidationRule(
        value = "!has(self.spec.cidr) || !has(self.status) || !has(self.status.cidr) ||"
                + " self.spec.cidr == self.status.cidr",
        message =
                "this Network already has the addresses that status.cidr shows: leave spec.cidr out or set it to those",
        fieldPath = ".spec.cidr")
public final class Network extends CustomResource<NetworkSpec, NetworkStatus> implements Namespaced {
    private static final long serialVersionUID = 1L;

    @Override
    @Required
    @JsonPropertyDescription("What is asked of the network.")
    public @Nullable NetworkSpec getSpec() {
        return super.getSpec();
    }

    @Override
    @JsonPropertyDescription("What was decided for the network and seen of it. Written by vmlet.")
    public @Nullable NetworkStatus getStatus() {
        return super.getStatus();
    }
}
