package dev.vmlet.cli;

import dev.vmlet.Main;
import dev.vmlet.RealHost;
import dev.vmlet.host.Inventory;
import dev.vmlet.host.Observer;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Link;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.RetainedDisk;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.io.PrintStream;
import java.util.Comparator;
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
    @Mixin
    private HostOptions host;

    @Override
    public Integer call() {
        try (RealHost real = RealHost.toLook(host)) {
            print(real, new Observer(real.host(), real.names()).inventory(), System.out);
            return 0;
        } catch (HostException e) {
            System.err.println("vmlet: " + e.getMessage());
            return 1;
        }
    }

    private static void print(RealHost real, Inventory inventory, PrintStream out) throws HostException {
        Map<String, String> owners = new TreeMap<>();
        inventory.networks().forEach(n -> owners.put(n.id().uid(), "Network " + n.id()));
        inventory.vms().forEach(v -> owners.put(v.id().uid(), "VirtualMachine " + v.id()));
        out.printf("%-10s %-44s %s%n", "KIND", "NAME", "OWNER");
        for (Link link : inventory.links()) {
            String uid = switch (link.mark().owner(real.installation())) {
                case Owner.OfVm(String vm, var _) -> vm;
                case Owner.OfNetwork(String network) -> network;
                case Owner.Foreign(String evidence) -> evidence;
            };
            line(
                    out,
                    link.kind().equals("tun") ? "tap" : link.kind(),
                    link.name().value(),
                    owner(owners, uid));
        }
        inventory.elements().stream()
                .sorted(Comparator.comparing(FirewallElement::set).thenComparing(FirewallElement::toString))
                .forEach(e -> line(out, "element", e.toString(), owner(owners, e.ownerUid())));
        for (VmId vm : inventory.vmIds(real.installation()).values()) {
            if (inventory.processTraces().contains(vm.uid())) {
                Seen<GuestProcess> process = real.host().records().vm(vm.uid()) instanceof Seen.Present<VmRecord>(var r)
                        ? real.host().vmms().process(r)
                        : Seen.unknown("no record");
                line(out, "guest", words(process), owner(owners, vm.uid()));
            }
            if (inventory.fileTraces().contains(vm.uid())) {
                line(out, "files", real.paths().vmDir(vm.uid()), owner(owners, vm.uid()));
            }
        }
        for (NetworkRecord network : inventory.networks()) {
            line(
                    out,
                    "record",
                    real.paths().networkRecord(network.id().uid()),
                    owner(owners, network.id().uid()));
        }
        for (RetainedDisk disk : real.host().disks().retained()) {
            line(out, "retained", disk.file(), retained(disk));
        }
        inventory.unreadable().forEach(sentence -> line(out, "unreadable", sentence, "?"));
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

    private static String owner(Map<String, String> owners, String uid) {
        return owners.getOrDefault(uid, "uid " + uid + " (no record: looks like an orphan)");
    }

    private static void line(PrintStream out, String kind, String name, String owner) {
        out.printf("%-10s %-44s %s%n", kind, name, owner);
    }
}
