package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.crd.generator.annotation.AdditionalSelectableField;
import io.fabric8.generator.annotation.Required;
import io.fabric8.generator.annotation.ValidationRule;
import io.fabric8.kubernetes.api.model.Namespaced;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Categories;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Version;
import org.jspecify.annotations.Nullable;

/** A virtual machine that the agent of its node keeps as its spec says. */
@JsonClassDescription(
        "A virtual machine. The agent of its node keeps it as its spec says and tells in its" + " status what it saw.")
@Group("vmlet.dev")
@Version("v1alpha1")
@ShortNames({"vm", "vms"})
@Categories({"all", "vmlet"})
@AdditionalSelectableField(jsonPath = ".spec.nodeName")
@AdditionalPrinterColumn(name = "Phase", jsonPath = ".status.phase")
@AdditionalPrinterColumn(name = "Ready", jsonPath = ".status.conditions[?(@.type==\"Ready\")].status")
@AdditionalPrinterColumn(name = "IP", jsonPath = ".status.addresses[0].ip")
@AdditionalPrinterColumn(name = "Node", jsonPath = ".spec.nodeName")
@AdditionalPrinterColumn(
        name = "Age",
        jsonPath = ".metadata.creationTimestamp",
        type = AdditionalPrinterColumn.Type.DATE)
@AdditionalPrinterColumn(
        name = "Cores",
        jsonPath = ".spec.cpu.cores",
        type = AdditionalPrinterColumn.Type.INTEGER,
        priority = 1)
@AdditionalPrinterColumn(name = "Memory", jsonPath = ".spec.memory.size", priority = 1)
@AdditionalPrinterColumn(name = "Image", jsonPath = ".status.image", priority = 1)
@AdditionalPrinterColumn(name = "VMM", jsonPath = ".status.vmm.name", priority = 1)
@AdditionalPrinterColumn(
        name = "Restarts",
        jsonPath = ".status.restarts",
        type = AdditionalPrinterColumn.Type.INTEGER,
        priority = 1)
@ValidationRule(
        value = "self.metadata.name.matches(r'^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
        message = "metadata.name becomes the guest's host name: use at most 63 lower-case letters, digits and '-',"
                + " with a letter or digit at both ends")
public final class VirtualMachine extends CustomResource<VirtualMachineSpec, VirtualMachineStatus>
        implements Namespaced {
    private static final long serialVersionUID = 1L;

    /** Annotation whose change asks for one orderly restart; its value is a moment in RFC 3339. */
    public static final String RESTARTED_AT = "vmlet.dev/restartedAt";

    /**
     * Annotation by which a person asks that the object go although its node is lost and cannot take the guest down; its
     * value says why. It counts on an object that is being deleted, and while its node is lost.
     */
    public static final String FORCE_DELETE = "vmlet.dev/force-delete";

    @Override
    @Required
    @JsonPropertyDescription("What is asked of the virtual machine.")
    public @Nullable VirtualMachineSpec getSpec() {
        return super.getSpec();
    }

    @Override
    @JsonPropertyDescription("What the node's agent saw of the virtual machine. Written by vmlet.")
    public @Nullable VirtualMachineStatus getStatus() {
        return super.getStatus();
    }
}
