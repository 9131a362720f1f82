package dev.vmlet.plan;

import dev.vmlet.model.BridgePort;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Seed;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** One change to the host, as data. Nothing is left to choose; the applier's exhaustive switch carries it out. */
public sealed interface Step {
    /** True for steps that only write down what comes next, and are no news to anybody. */
    default boolean bookkeeping() {
        return false;
    }

    record WriteNetworkRecord(NetworkRecord record) implements Step {
        @Override
        public boolean bookkeeping() {
            return true;
        }

        @Override
        public String toString() {
            return "write the record of Network " + record.id();
        }
    }

    record DeleteNetworkRecord(String networkUid) implements Step {
        @Override
        public boolean bookkeeping() {
            return true;
        }

        @Override
        public String toString() {
            return "delete the record of Network uid " + networkUid;
        }
    }

    record CreateBridge(LinkName name, MacAddress mac, int mtu, Mark mark) implements Step {
        @Override
        public String toString() {
            return "create bridge " + name + " (mtu " + mtu + ")";
        }
    }

    record SetMtu(LinkName name, int mtu) implements Step {
        @Override
        public String toString() {
            return "set the MTU of " + name + " to " + mtu;
        }
    }

    record SetMac(LinkName name, MacAddress mac) implements Step {
        @Override
        public String toString() {
            return "set the MAC address of " + name + " to " + mac;
        }
    }

    record AddAddress(LinkName name, InterfaceAddress address) implements Step {
        @Override
        public String toString() {
            return "add address " + address + " to " + name;
        }
    }

    record DeleteAddress(LinkName name, InterfaceAddress address) implements Step {
        @Override
        public String toString() {
            return "delete address " + address + " from " + name;
        }
    }

    record SetLinkUp(LinkName name) implements Step {
        @Override
        public String toString() {
            return "set " + name + " up";
        }
    }

    /** The original value is recorded before the first change; links of ours need none, they die with their flag. */
    record EnableForwarding(LinkName name, boolean ours) implements Step {
        @Override
        public String toString() {
            return "enable IPv4 forwarding on " + name;
        }
    }

    /** Puts the flag back on again, and keeps its record, when somebody came to rely on it meanwhile. */
    record RestoreForwarding(LinkName name, InstallationId ours) implements Step {
        @Override
        public String toString() {
            return "restore IPv4 forwarding on " + name + " to its recorded value";
        }
    }

    record CreateTap(LinkName name, int userId, int mtu, Mark mark) implements Step {
        @Override
        public String toString() {
            return "create tap " + name + " for user " + userId + " (mtu " + mtu + ")";
        }
    }

    record AttachLink(LinkName port, LinkName bridge) implements Step {
        @Override
        public String toString() {
            return "attach " + port + " to bridge " + bridge;
        }
    }

    record SetBridgePort(LinkName port, BridgePort flags) implements Step {
        @Override
        public String toString() {
            return (flags.isolated() ? "isolate " + port + " from" : "join " + port + " with")
                    + " the other guests of its bridge";
        }
    }

    record PutBehind(LinkName port, MacAddress mac) implements Step {
        @Override
        public String toString() {
            return "tell the bridge that " + mac + " is behind " + port;
        }
    }

    record PutNeighbour(LinkName bridge, Ipv4Address address, MacAddress mac) implements Step {
        @Override
        public String toString() {
            return "tell the node that " + address + " is " + mac + " on " + bridge;
        }
    }

    record DeleteNeighbour(LinkName bridge, Ipv4Address address, String mac) implements Step {
        @Override
        public String toString() {
            return "let the node forget that " + address + " is " + mac + " on " + bridge;
        }
    }

    /**
     * Cut off for good and put among the taps that wait to be deleted, in one message. The deletion itself, slow in the
     * kernel, follows in groups behind the loop.
     */
    record RetireTap(LinkName name, Mark mark, int group) implements Step {
        @Override
        public String toString() {
            return "cut off " + name + " and leave it to be deleted";
        }
    }

    record DeleteLink(LinkName name, Mark mark) implements Step {
        @Override
        public String toString() {
            return "delete link " + name;
        }
    }

    record AddElements(List<FirewallElement> elements) implements Step {
        public AddElements {
            elements = List.copyOf(elements);
        }

        @Override
        public String toString() {
            return "admit " + Step.list(elements) + " in the firewall";
        }
    }

    record DeleteElements(List<FirewallElement> elements) implements Step {
        public DeleteElements {
            elements = List.copyOf(elements);
        }

        @Override
        public String toString() {
            return "remove " + Step.list(elements) + " from the firewall";
        }
    }

    /** Both tables, chains, sets and elements in one transaction, read back after the commit. */
    record InstallFirewall(Ruleset ruleset) implements Step {
        @Override
        public String toString() {
            return "install the firewall tables " + ruleset.table() + " with "
                    + ruleset.elements().size() + " elements";
        }
    }

    record WriteVmRecord(VmRecord record, String what) implements Step {
        @Override
        public boolean bookkeeping() {
            return true;
        }

        @Override
        public String toString() {
            return "write " + what + " into the record of " + record.id();
        }
    }

    /** In the place of one whose file was damaged. */
    record RebuildVmRecord(VmRecord record) implements Step {
        @Override
        public String toString() {
            return "rebuild the record of " + record.id();
        }
    }

    record DeleteVmRecord(VmId vm) implements Step {
        @Override
        public boolean bookkeeping() {
            return true;
        }

        @Override
        public String toString() {
            return "delete the record of " + vm + ", releasing its addresses";
        }
    }

    /** Starts beside the loop and wakes the VM when it ends. */
    record PrepareDisk(VmId vm, DesiredDisk disk, int userId) implements Step {
        @Override
        public String toString() {
            return "prepare " + (disk.role() == DesiredDisk.Role.DISK ? "disk " : "boot file ") + disk.name() + " of "
                    + vm
                    + disk.image().map(i -> " from " + i).orElse(", blank");
        }
    }

    record WriteSeed(VmId vm, Seed seed, int userId) implements Step {
        @Override
        public String toString() {
            return "write the cloud-init seed of " + vm;
        }
    }

    record SpawnVmm(LaunchSpec launch) implements Step {
        @Override
        public String toString() {
            return "start " + launch.vmm().text() + " for " + launch.id() + " (" + launch.cores() + " cores, "
                    + launch.memory() + ")";
        }
    }

    /** The limits that its launch gave the process: memory, processors, processes, freezer, OOM score. */
    record RestoreLimits(LaunchSpec launch) implements Step {
        @Override
        public String toString() {
            return "restore the limits of the VMM of " + launch.id();
        }
    }

    record ContinueVmm(VmId vm) implements Step {
        @Override
        public String toString() {
            return "continue the VMM of " + vm + " with SIGCONT";
        }
    }

    record ResumeGuest(VmId vm) implements Step {
        @Override
        public String toString() {
            return "resume the guest of " + vm;
        }
    }

    record PressPowerButton(VmId vm) implements Step {
        @Override
        public String toString() {
            return "press the power button of " + vm;
        }
    }

    record PowerOff(VmId vm) implements Step {
        @Override
        public String toString() {
            return "cut the power of " + vm;
        }
    }

    record Terminate(VmId vm) implements Step {
        @Override
        public String toString() {
            return "send SIGTERM to the VMM of " + vm;
        }
    }

    record Kill(VmId vm) implements Step {
        @Override
        public String toString() {
            return "kill the VMM of " + vm;
        }
    }

    /** Cgroup and run files of a process that is proved dead. */
    record ReleaseProcess(VmId vm) implements Step {
        @Override
        public String toString() {
            return "remove the cgroup and run files of " + vm;
        }
    }

    /** Disks, seed and logs; disks to be retained are moved aside first. */
    record DeleteVmFiles(VmId vm, List<String> retained) implements Step {
        public DeleteVmFiles {
            retained = List.copyOf(retained);
        }

        @Override
        public String toString() {
            return "delete the disks and files of " + vm
                    + (retained.isEmpty() ? "" : ", keeping " + String.join(", ", retained));
        }
    }

    /** An image of the cache. The host refuses while a disk is being cloned from it. */
    record DeleteImage(String file, long bytes) implements Step {
        @Override
        public String toString() {
            return "remove the image " + file + " (" + Math.ceilDiv(bytes, 1L << 20) + " MiB)";
        }
    }

    /** What was left of fetching or converting an image. */
    record DeletePartialImage(String name) implements Step {
        @Override
        public String toString() {
            return "remove the half-made image " + name;
        }
    }

    /** Our three rules, with our mark, behind others in Docker's chain for the rules of others: to, from and between guests. */
    record AcceptInDockerUser(LinkName uplink) implements Step {
        @Override
        public String toString() {
            return "let guests through to and from " + uplink + " in Docker's chain DOCKER-USER";
        }
    }

    /** Every rule with our mark, and no other. */
    record WithdrawFromDockerUser() implements Step {
        @Override
        public String toString() {
            return "take our rules out of Docker's chain DOCKER-USER";
        }
    }

    /** What leads to the same from several places of a Service once. */
    private static String list(List<FirewallElement> elements) {
        Map<String, Integer> places = new LinkedHashMap<>();
        elements.forEach(e -> places.merge(
                e.set().isOfServices()
                        ? new FirewallElement(
                                        e.set(), e.key().subList(1, e.key().size()), e.ownerUid())
                                .toString()
                        : e.toString(),
                1,
                Integer::sum));
        return places.entrySet().stream()
                .map(e -> e.getKey() + (e.getValue() > 1 ? " (" + e.getValue() + " places)" : ""))
                .collect(Collectors.joining(", "));
    }
}
