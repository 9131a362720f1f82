package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Categories;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Version;
import org.jspecify.annotations.Nullable;

/** A node as its agent sees it; one per node, of the same name, written by that agent alone. */
@JsonClassDescription("A node as its agent sees it: what it can run, what it runs, and what a person should look"
        + " at. One per node, of the node's name, made by vmlet.")
@Group("vmlet.dev")
@Version("v1alpha1")
@ShortNames("vmnode")
@Categories("vmlet")
@AdditionalPrinterColumn(name = "Ready", jsonPath = ".status.conditions[?(@.type==\"Ready\")].status")
@AdditionalPrinterColumn(name = "KVM", jsonPath = ".status.kvm.usable", type = AdditionalPrinterColumn.Type.BOOLEAN)
@AdditionalPrinterColumn(name = "VMM", jsonPath = ".status.vmm.version")
@AdditionalPrinterColumn(
        name = "Running",
        jsonPath = ".status.vms.running",
        type = AdditionalPrinterColumn.Type.INTEGER)
@AdditionalPrinterColumn(name = "VMs", jsonPath = ".status.vms.total", type = AdditionalPrinterColumn.Type.INTEGER)
@AdditionalPrinterColumn(
        name = "Holds",
        jsonPath = ".status.sweep.holdsTotal",
        type = AdditionalPrinterColumn.Type.INTEGER)
@AdditionalPrinterColumn(
        name = "Age",
        jsonPath = ".metadata.creationTimestamp",
        type = AdditionalPrinterColumn.Type.DATE)
@AdditionalPrinterColumn(name = "Agent", jsonPath = ".status.agentVersion", priority = 1)
@AdditionalPrinterColumn(name = "Kernel", jsonPath = ".status.kernelVersion", priority = 1)
@AdditionalPrinterColumn(name = "Arch", jsonPath = ".status.architecture", priority = 1)
@AdditionalPrinterColumn(
        name = "Confined",
        jsonPath = ".status.conditions[?(@.type==\"Confined\")].status",
        priority = 1)
@AdditionalPrinterColumn(
        name = "Findings",
        jsonPath = ".status.sweep.findingsTotal",
        type = AdditionalPrinterColumn.Type.INTEGER,
        priority = 1)
public final class VmNode extends CustomResource<VmNodeSpec, VmNodeStatus> {
    private static final long serialVersionUID = 1L;

    /**
     * Annotation by which a person confirms that orphans are to be removed: their uids, with commas between. It counts
     * for as long as it stands; vmlet only reads it.
     */
    public static final String CONFIRM_REMOVAL = "vmlet.dev/confirm-removal";

    @Override
    @JsonPropertyDescription("What the node is asked for. Written by vmlet's controller.")
    public @Nullable VmNodeSpec getSpec() {
        return super.getSpec();
    }

    @Override
    @JsonPropertyDescription("What the agent saw of its node. Written by vmlet.")
    public @Nullable VmNodeStatus getStatus() {
        return super.getStatus();
    }
}
