package dev.vmlet.doctor;

import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Route;
import dev.vmlet.model.Seen;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** What was seen of a host at one moment, and what its agent is asked to do there. */
public record Facts(
        Wishes wishes,
        Identity identity,
        Kvm kvm,
        Vmm vmm,
        Kernel kernel,
        List<Cgroup> cgroups,
        List<Tool> tools,
        StateDirectory state,
        RunDirectory run,
        Network network,
        List<IdRange> takenIds) {
    public Facts {
        cgroups = List.copyOf(cgroups);
        tools = List.copyOf(tools);
        takenIds = List.copyOf(takenIds);
    }

    /**
     * What the agent's options say.
     *
     * @param emulation whether guests may be emulated where KVM does not work
     * @param pool where Networks without a CIDR of their own get one
     * @param userIds what guests run as
     * @param manageDockerUser whether guests are to be let through Docker's firewall by the agent
     */
    public record Wishes(
            boolean emulation, boolean requireLandlock, Ipv4Prefix pool, IdRange userIds, boolean manageDockerUser) {}

    /** A range of user ids and whose it is. */
    public record IdRange(String whose, long first, long count) {
        boolean overlaps(IdRange other) {
            return first < other.first + other.count && other.first < first + count;
        }

        @Override
        public String toString() {
            return first + ":" + count;
        }
    }

    /**
     * @param user effective user id
     * @param capabilities effective set, a bit each (capabilities(7))
     * @param container what kind of container this runs in, empty for none
     */
    public record Identity(long user, long capabilities, String container) {}

    /**
     * @param openError why /dev/kvm does not open for reading and writing, empty when it does
     * @param cpuFlags those of vmx, svm and hypervisor that the processor shows; of no meaning beyond x86
     */
    public record Kvm(boolean there, String openError, boolean x86, Set<String> cpuFlags) {
        public Kvm {
            cpuFlags = Set.copyOf(cpuFlags);
        }
    }

    /** What guests would run under; problems are sentences, empty where there is none. */
    public record Vmm(String hypervisor, String hypervisorProblem, String firmwareProblem) {}

    /**
     * @param bridge whether bridges can be made
     * @param firewall version of libnftables; Unknown where it, or the kernel, does not take our ruleset
     * @param refused parts of the ruleset that are not taken by themselves either; empty where all is taken, or where
     *     that could not be tried
     * @param landlockAbi 0 for none
     * @param tunMode permission bits of /dev/net/tun; Missing without the device
     */
    public record Kernel(
            String release,
            Seen<Boolean> bridge,
            Seen<String> firewall,
            Set<RulesetPart> refused,
            int landlockAbi,
            Seen<Integer> tunMode) {
        public Kernel {
            refused = Set.copyOf(refused);
        }
    }

    /**
     * One mounted hierarchy that can be written.
     *
     * @param controllers that guests can be limited by here
     * @param blocked why its controllers cannot be handed on to guests, empty when they can
     */
    public record Cgroup(String mount, boolean unified, Set<String> controllers, String blocked) {
        public Cgroup {
            controllers = Set.copyOf(controllers);
        }
    }

    /** A program by name, where it was found, and Debian's package of it. */
    public record Tool(String name, Optional<String> path, String debianPackage, String purpose) {}

    /**
     * @param writeProblem why nothing can be written there, empty when something can
     * @param fileSystem type of the file system it is on, or will be
     * @param reflink whether files can share blocks; Unknown where that was not tried
     * @param closed directories on the way that guests' users may not pass through
     * @param unreadable sentences about records that cannot be read, those of a newer vmlet among them
     */
    public record StateDirectory(
            String path,
            boolean there,
            String writeProblem,
            String fileSystem,
            Set<String> mountOptions,
            long freeBytes,
            Seen<Boolean> reflink,
            List<String> closed,
            List<String> unreadable) {
        public StateDirectory {
            mountOptions = Set.copyOf(mountOptions);
            closed = List.copyOf(closed);
            unreadable = List.copyOf(unreadable);
        }
    }

    /** @param longestSocket bytes of the longest socket path below it */
    public record RunDirectory(String path, String fileSystem, int longestSocket) {}

    /**
     * @param links all addresses but those of our own bridges, by link
     * @param routes of the main table, but for those by our own bridges
     * @param strictReversePath links with strict reverse path filtering in force
     * @param bridgeCallsIptables whether br_netfilter hands bridged packets to iptables
     * @param forwarding base chains of others at the forward hook; Unknown when they could not be listed
     * @param legacy the same of iptables-legacy; Missing where it is not in use
     * @param passage what became of a packet that was sent as a guest would; Missing where none was, for want of a default
     *     route; Unknown where none could be
     */
    public record Network(
            Map<LinkName, Set<InterfaceAddress>> links,
            List<Route> routes,
            Set<String> strictReversePath,
            boolean bridgeCallsIptables,
            Seen<List<ForwardChain>> forwarding,
            Seen<ForwardChain> legacy,
            Seen<Passage> passage) {
        public Network {
            links = Map.copyOf(links);
            routes = List.copyOf(routes);
            strictReversePath = Set.copyOf(strictReversePath);
        }
    }
}
