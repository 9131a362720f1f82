package dev.vmlet.host;

import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Link;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** Everything of ours on this host at one moment: by mark on links, by set in the firewall, by place on disk. */
public record Inventory(
        List<Link> links,
        Set<FirewallElement> elements,
        List<VmRecord> vms,
        List<NetworkRecord> networks,
        Set<String> processTraces,
        Set<String> fileTraces,
        List<String> unreadable) {
    public Inventory {
        links = List.copyOf(links);
        elements = Set.copyOf(elements);
        vms = List.copyOf(vms);
        networks = List.copyOf(networks);
        processTraces = Set.copyOf(processTraces);
        fileTraces = Set.copyOf(fileTraces);
        unreadable = List.copyOf(unreadable);
    }

    /** Every VM that anything here belongs to, by uid; named where a record tells the name. */
    public Map<String, VmId> vmIds(InstallationId installation) {
        Map<String, VmId> ids = new TreeMap<>();
        Set<String> uids = new TreeSet<>(processTraces);
        uids.addAll(fileTraces);
        for (Link link : links) {
            if (link.mark().owner(installation) instanceof Owner.OfVm(String uid, var _)) {
                uids.add(uid);
            }
        }
        for (String uid : uids) {
            ids.put(uid, VmId.nameless(uid));
        }
        for (VmRecord record : vms) {
            ids.put(record.id().uid(), record.id());
        }
        return ids;
    }

    /** Uid of every Network that anything here belongs to. */
    public Set<String> networkUids(InstallationId installation) {
        Set<String> uids = new TreeSet<>();
        networks.forEach(n -> uids.add(n.id().uid()));
        for (Link link : links) {
            if (link.mark().owner(installation) instanceof Owner.OfNetwork(String uid)) {
                uids.add(uid);
            }
        }
        return uids;
    }
}
