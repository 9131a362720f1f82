package dev.vmlet.bench;

import dev.vmlet.host.Reaper;
import dev.vmlet.host.files.FileRecords;
import dev.vmlet.host.net.LinuxLinks;
import dev.vmlet.host.net.NftFirewall;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Ruleset;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * What it costs to connect a guest to its Network and to cut it off, by our doors and by spawning {@code ip} and {@code nft}
 * for the same, in one run, on one thread, turn about so that both see the same machine. Needs a network namespace of its
 * own, as root. Argument: a directory for records, on the file system whose fsync is meant.
 */
public final class Attach {
    private static final InstallationId INSTALLATION = new InstallationId("benchaaa");
    private static final HostNames NAMES = new HostNames(INSTALLATION);
    private static final String TABLE = NAMES.table();
    private static final int USER = 700_000;
    private static final int WARM_UP = 300;
    private static final int OURS = 400;
    private static final int THEIRS = 60;
    private static final int CYCLES = 600;
    private static final int THEIR_CYCLES = 40;
    private static final int BATCH = 60;

    private final LinuxLinks links = new LinuxLinks();
    private final NftFirewall firewall;
    private final FileRecords records;
    private final Path work;
    private final LinkName bridge = NAMES.bridge("net");
    private final Mark bridgeMark = Mark.ofNetwork(INSTALLATION, "net");
    private int serial;

    private Attach(Path work) throws Exception {
        this.work = work;
        this.firewall = new NftFirewall(INSTALLATION, work.resolve("firewall"));
        this.records = new FileRecords(new HostPaths(work.toString(), work.resolve("run").toString()));
    }

    public static void main(String[] args) throws Exception {
        new Attach(Path.of(args[0])).run();
        System.exit(0);
    }

    /** One guest's connection: everything both ways need to know. */
    private record Nic(VmId vm, DesiredNic nic) {
        String tap() {
            return nic.tap().value();
        }

        List<FirewallElement> elements() {
            return nic.elements(vm.uid());
        }
    }

    private Nic next() {
        String uid = "vm-" + serial++;
        int host = 2 + serial % 60_000;
        Ipv4Address address = Ipv4Address.parse("10.77." + (host >> 8) + "." + (host & 255));
        return new Nic(
                new VmId("bench", uid, uid),
                new DesiredNic(
                        new NetworkId("bench", "net", "net"),
                        bridge,
                        bridgeMark,
                        NAMES.tap(uid, "net"),
                        Mark.ofNic(INSTALLATION, uid, "net"),
                        HostNames.nicMac(uid, "net"),
                        address,
                        1500));
    }

    private void run() throws Exception {
        firewall.install(new Ruleset(INSTALLATION, Set.of()));
        links.createBridge(bridge, new MacAddress("52:00:00:00:00:01"), 1500, bridgeMark);
        links.setUp(bridge);
        for (int i = 0; i < WARM_UP; i++) {
            Nic nic = next();
            attach(nic);
            record(nic);
            readBack(nic);
            cutOff(nic);
            forget(nic);
        }
        reapAll();
        attachAndCutOff();
        cycles();
    }

    // ---- by our doors ----

    private void attach(Nic nic) throws Exception {
        firewall.add(nic.elements());
        links.createTap(nic.nic.tap(), USER, 1500, nic.nic.mark());
        links.attach(nic.nic.tap(), bridge);
        links.setUp(nic.nic.tap());
    }

    private void record(Nic nic) throws Exception {
        records.write(VmRecord.of(nic.vm, USER + serial, List.of(nic.nic), List.of(), Duration.ZERO));
    }

    private void readBack(Nic nic) {
        if (!(links.find(nic.nic.tap()) instanceof Seen.Present<Link>(Link tap))
                || !tap.up()
                || tap.masterIndex() == 0
                || !firewall.contained(Set.copyOf(nic.elements())).equals(Seen.present(Set.copyOf(nic.elements())))) {
            throw new IllegalStateException("not attached: " + nic);
        }
    }

    /** No packet passes after the first of these: with its address taken from the set every frame is dropped. */
    private void cutOff(Nic nic) throws Exception {
        firewall.delete(nic.elements().stream()
                .filter(e -> e.set() == FirewallSet.OK4)
                .toList());
        links.retire(nic.nic.tap(), nic.nic.mark(), NAMES.reapGroup());
    }

    private void unlist(Nic nic) throws Exception {
        firewall.delete(nic.elements().stream()
                .filter(e -> e.set() != FirewallSet.OK4)
                .toList());
    }

    private void forget(Nic nic) throws Exception {
        unlist(nic);
        records.delete(nic.vm);
    }

    private void reapAll() throws Exception {
        while (!links.reap(INSTALLATION, NAMES.reapGroup()).isEmpty()) {}
    }

    // ---- by spawning ----

    private void spawnAttach(Nic nic) throws Exception {
        spawn("nft", "add element bridge " + TABLE + " taps { " + quoted(nic) + " }; add element bridge " + TABLE
                + " ok4 { " + ok4(nic) + " }");
        spawn("ip", "tuntap", "add", nic.tap(), "mode", "tap", "user", "" + USER, "vnet_hdr");
        spawn("ip", "link", "set", nic.tap(), "master", bridge.value(), "up");
    }

    private void spawnCutOff(Nic nic) throws Exception {
        spawn("nft", "delete element bridge " + TABLE + " ok4 { " + ok4(nic) + " }");
        spawn("ip", "link", "set", nic.tap(), "down", "nomaster");
    }

    private void spawnDelete(Nic nic) throws Exception {
        spawn("ip", "link", "del", nic.tap());
        spawn("nft", "delete element bridge " + TABLE + " taps { " + quoted(nic) + " }");
    }

    private static String quoted(Nic nic) {
        return "\"" + nic.tap() + "\"";
    }

    private static String ok4(Nic nic) {
        return quoted(nic) + " . " + nic.nic.mac() + " . " + nic.nic.ip();
    }

    private static void spawn(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).inheritIO().start();
        if (!process.waitFor(20, TimeUnit.SECONDS) || process.exitValue() != 0) {
            throw new IOException("failed: " + String.join(" ", command));
        }
    }

    private void batch(List<String> nft, List<String> ip) throws Exception {
        spawn("nft", "-f", Files.write(work.resolve("batch.nft"), nft).toString());
        spawn("ip", "-batch", Files.write(work.resolve("batch.ip"), ip).toString());
    }

    // ---- what is measured ----

    private interface Act {
        void run() throws Exception;
    }

    private static double micros(Act act) throws Exception {
        long start = System.nanoTime();
        act.run();
        return (System.nanoTime() - start) / 1e3;
    }

    private void attachAndCutOff() throws Exception {
        double[] attach = new double[OURS];
        double[] recorded = new double[OURS];
        double[] cut = new double[OURS];
        double[] theirAttach = new double[THEIRS];
        double[] theirCut = new double[THEIRS];
        int theirs = 0;
        for (int i = 0; i < OURS; i++) {
            Nic plain = next();
            attach[i] = micros(() -> attach(plain));
            cut[i] = micros(() -> cutOff(plain));
            unlist(plain);
            Nic whole = next();
            recorded[i] = micros(() -> {
                record(whole);
                attach(whole);
                readBack(whole);
            });
            cutOff(whole);
            forget(whole);
            if (i * THEIRS / OURS >= theirs && theirs < THEIRS) {
                Nic their = next();
                theirAttach[theirs] = micros(() -> spawnAttach(their));
                theirCut[theirs++] = micros(() -> spawnCutOff(their));
                spawnDelete(their);
            }
            if (i % 100 == 99) {
                reapAll();
            }
        }
        double rival = Row.percentile(theirAttach, 50);
        double rivalCut = Row.percentile(theirCut, 50);
        line("attach: tap, enslave, up, three set elements", attach, rival, theirAttach, "≥ 15 ×");
        line("attach with record (fsync) and read-back", recorded, rival, theirAttach, "p50 ≤ 1 ms, ≥ 10 ×");
        line("cut-off: no packet passes", cut, rivalCut, theirCut, "p50 ≤ 1 ms");
    }

    private static void line(String what, double[] ours, double rival, double[] theirs, String goal) {
        double p50 = Row.percentile(ours, 50);
        Row.print(
                what,
                Row.of("p50 %.2f ms, p99 %.2f ms: %.1f × faster", p50 / 1e3, Row.percentile(ours, 99) / 1e3, rival / p50),
                Row.of("spawning ip and nft: p50 %.1f ms, p99 %.1f ms", rival / 1e3, Row.percentile(theirs, 99) / 1e3),
                goal);
    }

    /** Attach and detach, sustained; every tap is deleted by the end of the time that is counted. */
    private void cycles() throws Exception {
        double ours = perSecond(CYCLES, () -> {
            try (Reaper reaper = new Reaper(links, NAMES)) {
                for (int i = 0; i < CYCLES; i++) {
                    Nic nic = next();
                    attach(nic);
                    cutOff(nic);
                    reaper.wake();
                    unlist(nic);
                }
            }
            reapAll();
        });
        double theirs = perSecond(THEIR_CYCLES, () -> {
            for (int i = 0; i < THEIR_CYCLES; i++) {
                Nic nic = next();
                spawnAttach(nic);
                spawnCutOff(nic);
                spawnDelete(nic);
            }
        });
        double batched = perSecond(5 * BATCH, () -> {
            for (int i = 0; i < 5; i++) {
                batchCycle();
            }
        });
        Row.print(
                "sustained attach/detach cycles, deleted in groups",
                Row.of("%.0f /s: %.1f ×", ours, ours / theirs),
                Row.of("spawning, each tap deleted: %.0f /s", theirs),
                "≥ 15 ×");
        Row.print(
                "the same where the rival batches everything (" + BATCH + " at a time, deleted by group)",
                Row.of("%.0f /s: %.1f ×", ours, ours / batched),
                Row.of("ip -batch, nft -f: %.0f /s", batched),
                "counter-case");
    }

    private void batchCycle() throws Exception {
        List<Nic> nics = new ArrayList<>();
        List<String> addElements = new ArrayList<>();
        List<String> addLinks = new ArrayList<>();
        List<String> deleteElements = new ArrayList<>();
        List<String> deleteLinks = new ArrayList<>();
        for (int i = 0; i < BATCH; i++) {
            Nic nic = next();
            nics.add(nic);
            addElements.add("add element bridge " + TABLE + " taps { " + quoted(nic) + " }");
            addElements.add("add element bridge " + TABLE + " ok4 { " + ok4(nic) + " }");
            addLinks.add("tuntap add " + nic.tap() + " mode tap user " + USER + " vnet_hdr");
            addLinks.add("link set " + nic.tap() + " master " + bridge + " up");
            deleteElements.add("delete element bridge " + TABLE + " ok4 { " + ok4(nic) + " }");
            deleteElements.add("delete element bridge " + TABLE + " taps { " + quoted(nic) + " }");
            deleteLinks.add("link set " + nic.tap() + " down nomaster group 4242");
        }
        deleteLinks.add("link del group 4242");
        batch(addElements, addLinks);
        batch(deleteElements, deleteLinks);
    }

    private static double perSecond(int count, Act act) throws Exception {
        return count / (micros(act) / 1e6);
    }
}
