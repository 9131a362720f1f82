package dev.vmlet.status;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * What a running guest was started with, against what its object asks for now: the fields that wait for the next start.
 *
 * <p>What is compared is what both resolve to, so that a default that somebody writes down is no change. Where only a
 * digest of the old value is kept, or what a field resolves to is up to the agent (seed, boot files), another generation
 * of the object is needed as well: a newer agent may write the same wish in other words.
 */
final class PendingChanges {
    private final DesiredVm desired;
    private final VmRecord record;
    private final LaunchSpec launched;
    private final VmObservation seen;
    private final List<String> changes = new ArrayList<>();

    private PendingChanges(DesiredVm desired, VmRecord record, LaunchSpec launched, VmObservation seen) {
        this.desired = desired;
        this.record = record;
        this.launched = launched;
        this.seen = seen;
    }

    /** In the order of the spec; empty when the guest runs with all that is asked. */
    static List<String> of(DesiredVm desired, VmRecord record, LaunchSpec launched, VmObservation seen) {
        return new PendingChanges(desired, record, launched, seen).list();
    }

    /** {@code a, b and c wait for the next start}. */
    static String sentence(List<String> changes) {
        int last = changes.size() - 1;
        return last == 0
                ? changes.getFirst() + " waits for the next start"
                : String.join(", ", changes.subList(0, last)) + " and " + changes.get(last)
                        + " wait for the next start";
    }

    private List<String> list() {
        changed("spec.cpu.cores", launched.cores(), desired.cores());
        changed("spec.memory.size", launched.memory(), desired.memory());
        disks();
        boolean nicsStay = nics();
        if (launched.generation() != desired.generation()) {
            // New NICs are told to the guest by its seed too: that they wait is said already.
            if (nicsStay
                    && seen.seed() instanceof Seen.Present<String>(String fingerprint)
                    && !fingerprint.equals(desired.seed().fingerprint())) {
                changes.add("spec.cloudInit");
            }
            boot();
        }
        return List.copyOf(changes);
    }

    // Plain ASCII: with an arrow in here, watches of VMs broke with NUL characters (hack/chaos-report.md).
    private void changed(String field, Object from, Object to) {
        if (!from.equals(to)) {
            changes.add(field + " " + from + " to " + to);
        }
    }

    private void disks() {
        List<String> before = names(launched.drives().stream()
                .filter(d -> d.role() == DesiredDisk.Role.DISK && !d.name().equals(LaunchSpec.SEED))
                .map(LaunchSpec.Drive::name)
                .toList());
        for (DesiredDisk disk : desired.disks()) {
            if (disk.role() != DesiredDisk.Role.DISK) {
                continue;
            }
            if (!before.remove(disk.name())) {
                changes.add("new spec.disks[" + disk.name() + "]");
            } else if (seen.disks().get(disk.name()) instanceof DiskState.Ready(long bytes)
                    && bytes < disk.sizeBytes()) {
                changed("spec.disks[" + disk.name() + "].size", bytes(bytes), bytes(disk.sizeBytes()));
            }
        }
        before.forEach(name -> changes.add("removed spec.disks[" + name + "]"));
    }

    private static List<String> names(List<String> names) {
        return new ArrayList<>(names);
    }

    /** Whole MiB where it is that, as sizes mostly are. */
    private static String bytes(long bytes) {
        return bytes % (1 << 20) == 0 ? (bytes >> 20) + " MiB" : bytes + " bytes";
    }

    /** @return whether all NICs are as they were */
    private boolean nics() {
        int before = changes.size();
        Map<String, LaunchSpec.Nic> left = new TreeMap<>(
                launched.nics().stream().collect(Collectors.toMap(LaunchSpec.Nic::network, Function.identity())));
        Map<String, DesiredNic> recorded = record.nics().stream()
                .collect(Collectors.toMap(n -> n.network().name(), Function.identity(), (a, _) -> a));
        for (DesiredNic nic : desired.nics()) {
            String name = nic.network().name();
            String field = "spec.networks[" + name + "]";
            LaunchSpec.Nic was = left.remove(name);
            if (was == null) {
                changes.add("new " + field);
                continue;
            }
            changed(field + ".macAddress", was.mac(), nic.mac());
            // The launch knows no address; the record does, and is changed by a start alone.
            Optional.ofNullable(recorded.get(name)).ifPresent(kept -> {
                if (!kept.network().uid().equals(nic.network().uid())) {
                    changes.add(field + ", which is another Network of that name now,");
                } else {
                    changed(field + ".address", kept.addressText(), nic.addressText());
                    if (!nic.isOnExistingBridge()) {
                        changed("spec.mtu of Network " + name, kept.mtu(), nic.mtu());
                    }
                }
            });
        }
        left.keySet().forEach(name -> changes.add("removed spec.networks[" + name + "]"));
        List<String> order =
                desired.nics().stream().map(n -> n.network().name()).toList();
        List<String> wasOrder =
                launched.nics().stream().map(LaunchSpec.Nic::network).toList();
        if (changes.size() == before && !order.equals(wasOrder)) {
            changes.add("the order of spec.networks");
        }
        return changes.size() == before;
    }

    private void boot() {
        changed("spec.boot.kernel.cmdline", quoted(launched.cmdline()), quoted(desired.cmdline()));
        if (launched.vmm() != desired.vmm()) {
            // Another VMM brings other firmware along.
            return;
        }
        List<String> before = launched.drives().stream()
                .filter(d -> d.role() != DesiredDisk.Role.DISK)
                .map(LaunchSpec.Drive::name)
                .sorted()
                .toList();
        List<String> now = desired.disks().stream()
                .filter(d -> d.role() != DesiredDisk.Role.DISK)
                .map(DesiredDisk::name)
                .sorted()
                .toList();
        boolean another = now.stream().anyMatch(name -> seen.disks().get(name) instanceof DiskState.Missing);
        if (!before.equals(now) || another) {
            changes.add("spec.boot");
        }
    }

    private static String quoted(String text) {
        return "\"" + text + "\"";
    }
}
