package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.RealHost;
import dev.vmlet.host.Inventory;
import dev.vmlet.host.Observer;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.Link;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.RetainedDisk;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code vmlet inventory}. */
@Command(
        name = "inventory",
        description = "Prints every host object vmlet owns here, its owner, and what looks like an orphan.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class InventoryCommand implements Callable<Integer> {
    private static final int NAME_MAX = 80;

    @Mixin
    private HostOptions host;

    @Override
    public Integer call() throws HostException {
        Root.require("inventory");
        try (RealHost real = RealHost.toLook(host)) {
            Observer observer = new Observer(real.host(), real.names());
            new Table(real, observer.inventory(), observer.observeHost()).print(System.out);
            return 0;
        }
    }

    private record Row(String kind, String name, String owner) {}

    /** The inventory as rows, and who is behind each uid. */
    private static final class Table {
        private static final String NODE = "this node";

        private final RealHost real;
        private final Map<String, String> owners = new TreeMap<>();
        private final List<Row> rows = new ArrayList<>();
        private int orphans;

        Table(RealHost real, Inventory inventory, HostObservation seen) throws HostException {
            this.real = real;
            inventory.networks().forEach(n -> owners.put(n.id().uid(), "Network " + n.id()));
            inventory.vms().forEach(v -> owners.put(v.id().uid(), "VirtualMachine " + v.id()));
            firewall(seen.firewall(), inventory);
            links(inventory);
            seen.keptForwarding().entrySet().stream()
                    .sorted(Map.Entry.comparingByKey())
                    .forEach(f -> rows.add(new Row(
                            "sysctl", "forwarding of " + f.getKey() + " (was " + (f.getValue() ? 1 : 0) + ")", NODE)));
            vms(inventory);
            for (NetworkRecord network : inventory.networks()) {
                String uid = network.id().uid();
                rows.add(new Row("record", real.paths().networkRecord(uid), owner(uid)));
            }
            for (RetainedDisk disk : real.host().disks().retained()) {
                rows.add(new Row("retained", disk.file(), retained(disk)));
            }
            inventory.unreadable().forEach(sentence -> rows.add(new Row("unreadable", sentence, "?")));
        }

        private void firewall(Seen<FirewallState> firewall, Inventory inventory) {
            if (firewall instanceof Seen.Present<FirewallState>(FirewallState state)) {
                String tables = "inet and bridge vmlet_" + real.installation();
                rows.add(new Row("tables", state.intact() ? tables : tables + ": " + state.difference(), NODE));
            }
            inventory.elements().stream()
                    .sorted(Comparator.comparing(FirewallElement::set).thenComparing(FirewallElement::toString))
                    .forEach(e -> rows.add(new Row("element", e.toString(), owner(e.ownerUid()))));
        }

        private void links(Inventory inventory) {
            for (Link link : inventory.links()) {
                String uid = switch (link.mark().owner(real.installation())) {
                    case Owner.OfVm(String vm, var _) -> vm;
                    case Owner.OfNetwork(String network) -> network;
                    case Owner.Foreign(String evidence) -> evidence;
                };
                String kind = link.kind().equals("tun") ? "tap" : link.kind();
                rows.add(new Row(kind, link.name().value(), owner(uid)));
            }
        }

        private void vms(Inventory inventory) {
            for (VmId vm : inventory.vmIds(real.installation()).values()) {
                if (inventory.processTraces().contains(vm.uid())) {
                    Seen<GuestProcess> process =
                            real.host().records().vm(vm.uid()) instanceof Seen.Present<VmRecord>(var r)
                                    ? real.host().vmms().process(r)
                                    : Seen.unknown("no record");
                    rows.add(new Row("guest", words(process), owner(vm.uid())));
                }
                if (inventory.fileTraces().contains(vm.uid())) {
                    rows.add(new Row("files", real.paths().vmDir(vm.uid()), owner(vm.uid())));
                }
            }
        }

        private String owner(String uid) {
            String owner = owners.get(uid);
            if (owner == null) {
                orphans++;
                return "uid " + uid + " (no record: looks like an orphan)";
            }
            return owner;
        }

        void print(PrintStream out) {
            int kind = rows.stream().mapToInt(r -> r.kind.length()).max().orElse(0);
            // A sentence about an unreadable record does not push everybody's owner off the screen.
            int name = rows.stream()
                    .mapToInt(r -> r.name.length())
                    .filter(length -> length <= NAME_MAX)
                    .max()
                    .orElse(0);
            String format = "%-" + Math.max(4, kind) + "s  %-" + Math.max(4, name) + "s  %s%n";
            out.printf(format, "KIND", "NAME", "OWNER");
            rows.forEach(r -> out.printf(format, r.kind, r.name, r.owner));
            out.println(rows.size() + (rows.size() == 1 ? " object" : " objects") + " of installation "
                    + real.installation() + ", " + orphans + " without an owner here.");
        }
    }

    /** Whom it waits for: of a second disk of one name, which bears its VM's uid, nobody knows what it is for. */
    static String retained(RetainedDisk disk) {
        String size = Math.ceilDiv(disk.sizeBytes(), 1L << 20) + " MiB";
        String vm = "VirtualMachine " + disk.namespace() + "/" + disk.vmName();
        return disk.disk().contains(".")
                ? "of an earlier " + vm + ", " + size + " (another of that name is kept; rename or remove it)"
                : "kept for the next " + vm + ", disk " + disk.disk() + ", " + size;
    }

    private static String words(Seen<GuestProcess> process) {
        return switch (process) {
            case Seen.Present<GuestProcess>(GuestProcess.Alive alive) -> "pid " + alive.pid();
            case Seen.Present<GuestProcess>(GuestProcess.Ended _) -> "ended";
            case Seen.Missing<GuestProcess> _ -> "none";
            case Seen.Unknown<GuestProcess>(String cause) -> "unknown: " + cause;
        };
    }
}
