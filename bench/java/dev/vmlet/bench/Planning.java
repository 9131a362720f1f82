package dev.vmlet.bench;

import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DesiredNetwork;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostFacts;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.ImageCatalog;
import dev.vmlet.model.ImageFormat;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.NetworkObservation;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Reason;
import dev.vmlet.model.ReservedPorts;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.UserData;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmmKind;
import dev.vmlet.plan.HostPlanner;
import dev.vmlet.plan.NetworkPlanner;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import dev.vmlet.plan.VmPlanner;
import dev.vmlet.resolve.NetworkResolver;
import dev.vmlet.resolve.VmResolver;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/** The plan of a whole host on which nothing has changed: every object resolved, every observation planned against. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 5, time = 2)
@Measurement(iterations = 5, time = 2)
@Fork(1)
public class Planning {
    private static final int VMS = 500;
    private static final String SUBNET = "10.77.4.0/22";

    private record Planned(VirtualMachine vm, VmObservation seen) {}

    private final VmPlanner vmPlanner = new VmPlanner(Given.NAMES, Given.PATHS, Given.BOOT);
    private final NetworkPlanner networkPlanner = new NetworkPlanner(Given.NAMES);
    private final Network network = Given.network("net", "net-1", "10.77.0.0/16", NetworkSpec.Egress.Masquerade);
    private final List<NetworkSlice> slices = List.of(Given.slice(network, SUBNET));
    private final Link bridge = Given.bridge();
    private final List<Planned> vms = new ArrayList<>();
    private final List<VmRecord> records = new ArrayList<>();
    private final Set<FirewallElement> elements = new HashSet<>();
    private HostFacts facts;
    private HostObservation host;
    private NetworkObservation net;

    public static void main(String[] args) throws Exception {
        RunResult result = new Runner(new OptionsBuilder()
                        .include(Planning.class.getName())
                        .shouldDoGC(true)
                        .build())
                .runSingle();
        var statistics = result.getPrimaryResult().getStatistics();
        Row.print(
                "whole-host plan of " + VMS + " unchanged VMs, resolving included (JMH, after warm-up)",
                Row.of("p50 %.1f ms, p99 %.1f ms", statistics.getPercentile(50) / 1e3, statistics.getPercentile(99) / 1e3),
                "",
                "≤ 50 ms");
    }

    private static HostFacts facts(List<VmRecord> records) {
        return new HostFacts(
                Given.NODE,
                Given.INSTALLATION,
                Given.BOOT,
                8,
                new Mebibytes(16_384),
                "x86_64",
                ImageCatalog.EMPTY,
                Map.of(VmmKind.CLOUD_HYPERVISOR, "/usr/bin/cloud-hypervisor"),
                Reason.AsExpected,
                "",
                Optional.of(new ImageSource.Host("/usr/share/fw", ImageFormat.RAW, "")),
                200_000,
                65_536,
                true,
                records,
                List.of(),
                ReservedPorts.parse(ReservedPorts.DEFAULT));
    }

    @Setup
    public void running() {
        for (int i = 0; i < VMS; i++) {
            VirtualMachine vm = Given.vm("m" + i, "vm-" + i, Given.spec("net"));
            DesiredVm desired = desired(vm, facts(records));
            VmRecord asked = VmRecord.of(desired.id(), desired.userId(), desired.nics(), List.of(), desired.grace());
            VmRecord launched = launched(desired, asked);
            records.add(launched);
            vms.add(new Planned(vm, seen(desired, launched, true)));
            desired.nics().forEach(nic -> elements.addAll(nic.elements(desired.id().uid())));
        }
        facts = facts(List.copyOf(records));
        DesiredNetwork realised = network();
        elements.addAll(realised.elements());
        host = new HostObservation(
                Seen.present(new FirewallState(true, "", elements)),
                Optional.of(new LinkName("eth0")),
                Seen.present(true),
                Map.of(),
                Seen.present(List.of()),
                List.of(new NetworkRecord(realised.id(), realised)),
                records,
                List.of(),
                Set.of(),
                Seen.present(Map.of()));
        net = new NetworkObservation(
                Seen.present(new NetworkRecord(realised.id(), realised)),
                Seen.present(bridge),
                Seen.present(Set.<InterfaceAddress>of(realised.gatewayAddress())),
                Seen.present(true),
                Seen.present(Set.copyOf(realised.elements())),
                Seen.present(Set.of()));
        if (planAll() != 0) {
            throw new IllegalStateException("something is planned on a host on which nothing has changed");
        }
    }

    /** @return how many steps; none */
    @Benchmark
    public int planAll() {
        int steps = HostPlanner.plan(Given.INSTALLATION, host).steps().size();
        steps += networkPlanner
                .plan("net-1", new Resolution.Desired<>(network()), net)
                .steps()
                .size();
        for (Planned each : vms) {
            Plan plan = vmPlanner.plan(
                    VmResolver.idOf(each.vm),
                    new Resolution.Desired<>(desired(each.vm, facts)),
                    each.seen,
                    Given.NOW);
            steps += plan.steps().size();
        }
        return steps;
    }

    private DesiredNetwork network() {
        var resolution = NetworkResolver.resolve(
                network,
                List.of(network),
                slices,
                Given.NODE,
                true,
                Optional.empty(),
                new NetworkResolver.HostAddressing(Map.of(), List.of(), List.of()),
                Given.INSTALLATION);
        if (resolution instanceof Resolution.Desired<DesiredNetwork>(DesiredNetwork desired)) {
            return desired;
        }
        throw new IllegalStateException(resolution.toString());
    }

    private DesiredVm desired(VirtualMachine vm, HostFacts known) {
        var resolution = VmResolver.resolve(vm, List.of(network), slices, new UserData.NotAsked(), known);
        if (resolution instanceof Resolution.Desired<DesiredVm>(DesiredVm desired)) {
            return desired;
        }
        throw new IllegalStateException(resolution.toString());
    }

    private VmRecord launched(DesiredVm desired, VmRecord asked) {
        Plan start = vmPlanner.plan(
                desired.id(), new Resolution.Desired<>(desired), seen(desired, asked, false), Given.NOW);
        for (PlannedStep planned : start.steps()) {
            if (planned.step() instanceof Step.WriteVmRecord(VmRecord record, var _)
                    && record.launch().isPresent()) {
                return record.withLaunch(record.launch().get().withRan(Given.NOW, "53.0"), 0);
            }
        }
        throw new IllegalStateException("no launch in " + start);
    }

    private VmObservation seen(DesiredVm desired, VmRecord record, boolean runs) {
        Map<String, NicObservation> nics = new HashMap<>();
        for (DesiredNic nic : desired.nics()) {
            Link tap = new Link(
                    100, nic.tap(), "tun", "fe:00:00:00:00:08", nic.mtu(), true, nic.mark(), bridge.index(),
                    desired.userId(), 0);
            nics.put(
                    nic.network().uid(),
                    new NicObservation(
                            nic.tap(),
                            Seen.present(bridge),
                            runs ? Seen.present(tap) : Seen.missing(),
                            Seen.present(runs ? Set.copyOf(nic.elements(desired.id().uid())) : Set.of())));
        }
        Map<String, DiskState> disks = new HashMap<>();
        for (DesiredDisk disk : desired.disks()) {
            disks.put(disk.name(), new DiskState.Ready(Math.max(disk.sizeBytes(), 1)));
        }
        return new VmObservation(
                Seen.present(record),
                nics,
                Seen.present(Map.of()),
                disks,
                Seen.present(desired.seed().fingerprint()),
                runs ? Seen.present(new GuestProcess.Alive(4711, 1)) : Seen.missing(),
                runs ? Seen.present(Tampering.NONE) : Seen.missing(),
                runs ? new GuestState(GuestState.Kind.RUNNING, false, "53.0") : GuestState.of(GuestState.Kind.NONE),
                runs ? Reach.OPEN : Reach.NOT_PROBED,
                Seen.present(true));
    }
}
