package dev.vmlet.api;

import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import io.fabric8.generator.annotation.Min;
import io.fabric8.generator.annotation.Size;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the agent saw of its node. */
@ApiObject
public record VmNodeStatus(
        @JsonPropertyDescription("Version of the agent that wrote this status.") @Size(max = 63) @Nullable
        String agentVersion,

        @JsonPropertyDescription("The kernel's boot id; another one means that the node was rebooted.")
        @Size(max = 63)
        @Nullable
        String bootId,

        @JsonPropertyDescription("Whether guests can run on the processor's virtualization.") @Nullable
        Kvm kvm,

        @JsonPropertyDescription("The virtual machine monitor that the node uses with KVM.") @Nullable
        Vmm vmm,

        @JsonPropertyDescription("Whether guests may run emulated in software where KVM does not work.") @Nullable
        Emulation emulation,

        @JsonPropertyDescription("How far guest processes are locked in on this node.") @Nullable
        Confinement confinement,

        @JsonPropertyDescription("The kernel's release, as uname -r prints it.") @Size(max = 255) @Nullable
        String kernelVersion,

        @JsonPropertyDescription("The processor's architecture, as uname -m prints it.") @Size(max = 63) @Nullable
        String architecture,

        @JsonPropertyDescription("Ports on the fullest of vmlet's bridges; the kernel limits them for each bridge.")
        @Nullable
        BridgePorts bridgePorts,

        @JsonPropertyDescription("What the node has in all, without regard to what is in use.") @Nullable
        Capacity capacity,

        @JsonPropertyDescription("The VirtualMachines of this node, counted.") @Nullable
        Vms vms,

        @JsonPropertyDescription("What the last sweep found that belongs to nobody, and what it left for a person.")
        @Nullable
        Sweep sweep,

        @JsonPropertyDescription("Those of spec.tombstones of which nothing is left on this node, by uid.")
        @Size(max = 4096)
        @Nullable
        List<@Size(max = 63) String> buried,

        @JsonPropertyDescription(
                "The node's own IPv4 address: with it, by its default route, it speaks to the outside. What a"
                        + " VirtualMachine publishes is found there. Absent where the node has no such route.")
        @Size(max = 16)
        @Nullable
        List<@Size(max = 15) String> addresses,

        @JsonPropertyDescription("The metadata.generation that this status was seen for.") @Min(0) @Nullable
        Long observedGeneration,

        @JsonPropertyDescription(
                "What is true of the node, with Ready as the summary; Confined is False where a guest process"
                        + " has more rights than it needs.")
        @Size(max = 16)
        @ListMapKey("type")
        @Nullable
        List<Condition> conditions) {

    /** The same, with what is buried; an empty list is not written. */
    public VmNodeStatus withBuried(List<String> uids) {
        return new VmNodeStatus(
                agentVersion,
                bootId,
                kvm,
                vmm,
                emulation,
                confinement,
                kernelVersion,
                architecture,
                bridgePorts,
                capacity,
                vms,
                sweep,
                uids.isEmpty() ? null : List.copyOf(uids),
                addresses,
                observedGeneration,
                conditions);
    }

    /** The same, with the node's addresses; an empty list is not written. */
    public VmNodeStatus withAddresses(List<String> found) {
        return new VmNodeStatus(
                agentVersion,
                bootId,
                kvm,
                vmm,
                emulation,
                confinement,
                kernelVersion,
                architecture,
                bridgePorts,
                capacity,
                vms,
                sweep,
                buried,
                found.isEmpty() ? null : List.copyOf(found),
                observedGeneration,
                conditions);
    }

    /** Hardware virtualization of a node. */
    @ApiObject
    public record Kvm(
            @JsonPropertyDescription(
                    "True when /dev/kvm can be opened for writing and the processor has the extensions.")
            @Nullable
            Boolean usable,

            @JsonPropertyDescription("Why KVM is usable or not, as one CamelCase word.") @Size(max = 1024) @Nullable
            String reason,

            @JsonPropertyDescription("The same for people, with what to do about it.") @Size(max = 32768) @Nullable
            String message) {}

    /** A virtual machine monitor on a node. */
    @ApiObject
    public record Vmm(
            @JsonPropertyDescription("Name of the monitor, for example cloud-hypervisor.") @Size(max = 63) @Nullable
            String name,

            @JsonPropertyDescription("Version of the monitor, as it tells it.") @Size(max = 63) @Nullable
            String version,

            @JsonPropertyDescription("Its program on the node.") @Size(max = 4096) @Nullable
            String path) {}

    /** Software emulation on a node. */
    @ApiObject
    public record Emulation(
            @JsonPropertyDescription("True when the operator allows guests to be emulated where KVM is not usable.")
            @Nullable
            Boolean allowed,

            @JsonPropertyDescription("True when guests that start now are emulated.") @Nullable
            Boolean active,

            @JsonPropertyDescription("Name of the emulator, for example qemu. Absent where none was found.")
            @Size(max = 63)
            @Nullable
            String name,

            @JsonPropertyDescription("Version of the emulator, as it tells it.") @Size(max = 63) @Nullable
            String version,

            @JsonPropertyDescription("Its program on the node.") @Size(max = 4096) @Nullable
            String path) {}

    /** What holds a guest process in. */
    @ApiObject
    public record Confinement(
            @JsonPropertyDescription(
                    "True when guest processes have their own user, no capabilities, seccomp and Landlock.")
            @Nullable
            Boolean confined,

            @JsonPropertyDescription("Version of the kernel's Landlock interface; 0 where the kernel has none.")
            @Min(0)
            @Nullable
            Integer landlockAbi,

            @JsonPropertyDescription("Why guests are confined or not, as one CamelCase word.")
            @Size(max = 1024)
            @Nullable
            String reason,

            @JsonPropertyDescription("The same for people, with what to do about it.") @Size(max = 32768) @Nullable
            String message) {}

    /** Ports of the fullest bridge. */
    @ApiObject
    public record BridgePorts(
            @JsonPropertyDescription("Ports in use.") @Min(0) @Nullable
            Integer used,

            @JsonPropertyDescription("Ports that one bridge can have.") @Min(0) @Nullable
            Integer limit) {}

    /** What a node has in all. */
    @ApiObject
    public record Capacity(
            @JsonPropertyDescription("Processors that are online.") @Min(0) @Nullable
            Integer cores,

            @JsonPropertyDescription("Memory as a quantity, for example 65806444Ki.") @Size(max = 20) @Nullable
            String memory) {}

    /** Machines of a node, counted. */
    @ApiObject
    public record Vms(
            @JsonPropertyDescription("VirtualMachines with this node's name.") @Min(0) @Nullable
            Integer total,

            @JsonPropertyDescription("Those whose guest runs.") @Min(0) @Nullable
            Integer running) {}

    /** The last sweep for what belongs to nobody. */
    @ApiObject
    public record Sweep(
            @JsonPropertyDescription("When the last sweep ended, in RFC 3339.") @Timestamp @Size(max = 64) @Nullable
            String lastAt,

            @JsonPropertyDescription("How many orphans that sweep found, with those that the list leaves out.")
            @Min(0)
            @Nullable
            Integer findingsTotal,

            @JsonPropertyDescription("The orphans that sweep found, the first 64 by kind and name.")
            @Size(max = 64)
            @Nullable
            List<Finding> findings,

            @JsonPropertyDescription("How many orphans wait for a person, with those that the list leaves out.")
            @Min(0)
            @Nullable
            Integer holdsTotal,

            @JsonPropertyDescription(
                    "Orphans that vmlet does not remove by itself, the first 64 by kind and name: a person has"
                            + " to look at each.")
            @Size(max = 64)
            @Nullable
            List<Hold> holds) {}

    /** An object on the node with our mark and without an owner. */
    @ApiObject
    public record Finding(
            @JsonPropertyDescription("Kind of the object on the node, for example tap, bridge or process.")
            @Size(max = 63)
            @Nullable
            String kind,

            @JsonPropertyDescription("Its name on the node.") @Size(max = 4096) @Nullable
            String name,

            @JsonPropertyDescription("Whose it was, by its mark: namespace, name and uid as far as they are known.")
            @Size(max = 1024)
            @Nullable
            String owner,

            @JsonPropertyDescription("What the sweep did with it, as one CamelCase word, for example Removed.")
            @Size(max = 63)
            @Nullable
            String action,

            @JsonPropertyDescription("Why, in words.") @Size(max = 1024) @Nullable
            String reason) {}

    /** An orphan that waits for a person. */
    @ApiObject
    public record Hold(
            @JsonPropertyDescription("Kind of the object on the node, for example process.") @Size(max = 63) @Nullable
            String kind,

            @JsonPropertyDescription("Its name on the node.") @Size(max = 4096) @Nullable
            String name,

            @JsonPropertyDescription("Whose it was, by its mark: namespace, name and uid as far as they are known.")
            @Size(max = 1024)
            @Nullable
            String owner,

            @JsonPropertyDescription("Why vmlet does not remove it by itself, as one CamelCase word.")
            @Size(max = 63)
            @Nullable
            String cause,

            @JsonPropertyDescription("The same in words.") @Size(max = 1024) @Nullable
            String reason,

            @JsonPropertyDescription(
                    "The command that confirms its removal, guest and disks; the disks of one whose record is lost stay."
                            + " Absent where vmlet may still decide by itself.")
            @Size(max = 4096)
            @Nullable
            String confirm,

            @JsonPropertyDescription("Since when it is held, in RFC 3339.") @Timestamp @Size(max = 64) @Nullable
            String since) {}
}
