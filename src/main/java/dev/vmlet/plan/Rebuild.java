package dev.vmlet.plan;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.Told;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Launch;
import dev.vmlet.model.Witnesses;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Plans the record of a VM anew whose file was damaged. Writes it only when all that still tell of a thing tell the same,
 * and else says who says what; nothing else of the VM is touched meanwhile.
 *
 * <pre>
 * what                    who tells it
 * name, Networks, grace   the object
 * user id                 the file's remains, the owner of disks, taps and process
 * address and MAC         the file's remains, the firewall's sets, the object's status
 * what runs               pid file, /proc, cgroup, command line and VMM, which must agree among themselves
 * cores and memory        the living process's command line
 * what else it started as the object as it is now; the generation by its status
 * last exit, restarts     the object's status
 * </pre>
 */
public final class Rebuild {
    private static final Duration SOON = Duration.ofSeconds(2);

    private final VmPlanner planner;

    public Rebuild(VmPlanner planner) {
        this.planner = planner;
    }

    /** Two witnesses differ, or one that is needed is silent. */
    private static final class Doubt extends Exception {
        Doubt(String message) {
            super(message);
        }
    }

    /** @param told by the object's status */
    public Plan plan(Resolution<DesiredVm> resolution, Told told, Witnesses seen, Instant now) {
        String trouble = seen.remains().trouble();
        return switch (resolution) {
            case Resolution.Unresolved<DesiredVm>(var _, String message) ->
                Plan.waiting(
                        Reason.EvidenceDisagrees,
                        trouble + ". It is rebuilt when its object can be followed: " + message,
                        SOON);
            case Resolution.Absent<DesiredVm> _ -> Plan.waiting(Reason.EvidenceDisagrees, trouble, SOON);
            case Resolution.Desired<DesiredVm>(DesiredVm desired) -> {
                try {
                    yield new Plan(
                            List.of(new PlannedStep(
                                    new Step.RebuildVmRecord(record(desired, told, seen, now)),
                                    trouble,
                                    PlannedStep.Cause.DRIFT)),
                            Optional.empty());
                } catch (Doubt doubt) {
                    yield Plan.waiting(
                            Reason.EvidenceDisagrees,
                            trouble + ". It cannot be rebuilt: " + doubt.getMessage()
                                    + ". Nothing is touched until that is decided",
                            SOON);
                }
            }
        };
    }

    /**
     * The plan for a VM whose object is being deleted. The whole record, where all that tell of it tell the same; else one
     * that is just enough to take the VM down by.
     *
     * @param resolution of the object as if it were to stay
     * @param retained disks that the object's last word keeps
     * @param grace how long its guest is given to shut down, where its object tells
     */
    public Plan planRemoval(
            VmId vm,
            Resolution<DesiredVm> resolution,
            List<String> retained,
            Optional<Duration> grace,
            Told told,
            Witnesses seen,
            Instant now) {
        Plan whole = plan(resolution, told, seen, now);
        return whole.isEmpty() ? planner.planFarewell(vm, retained, grace, seen, now) : whole;
    }

    private VmRecord record(DesiredVm desired, Told told, Witnesses seen, Instant now) throws Doubt {
        Optional<Testimony> process = known("the guest process", seen.process());
        List<Witnesses.Tap> taps = known("its taps", seen.taps()).orElse(List.of());
        int userId = userId(desired, seen, taps, process);
        List<DesiredNic> nics = nics(desired, told, seen.remains(), taps);
        Optional<Launch> launch = launch(desired, told, process, userId, nics, now);
        return new VmRecord(
                desired.id(),
                userId,
                nics,
                VmPlanner.retained(desired),
                desired.grace(),
                launch,
                Optional.empty(),
                // With the restart that is asked for now: one that nobody has asked for since must not come of this.
                told.lastExit()
                        .map(exit -> new VmRecord.Exit(
                                exit.reason(),
                                exit.message(),
                                exit.at(),
                                told.bootedGeneration().orElse(0),
                                desired.restartToken())),
                told.restarts(),
                0,
                Optional.empty());
    }

    private static <T> Optional<T> known(String what, Seen<T> seen) throws Doubt {
        return switch (seen) {
            case Seen.Present<T>(T value) -> Optional.of(value);
            case Seen.Missing<T> _ -> Optional.empty();
            case Seen.Unknown<T>(String cause) -> throw new Doubt(what + ": " + cause);
        };
    }

    private static int userId(DesiredVm desired, Witnesses seen, List<Witnesses.Tap> taps, Optional<Testimony> process)
            throws Doubt {
        Map<String, String> said = new TreeMap<>();
        seen.remains().userId().ifPresent(id -> said.put("the file or the owner of its disks", String.valueOf(id)));
        taps.stream()
                .filter(tap -> tap.userId() >= 0)
                .forEach(tap -> said.put("tap " + tap.name(), String.valueOf(tap.userId())));
        process.map(Testimony::userId)
                .filter(OptionalInt::isPresent)
                .ifPresent(id -> said.put("the process", String.valueOf(id.getAsInt())));
        Optional<String> agreed = agree("its user id", said);
        if (agreed.isPresent()) {
            return Integer.parseInt(agreed.get());
        }
        if (!seen.files().equals(Seen.present(false)) || !taps.isEmpty() || process.isPresent()) {
            throw new Doubt("nobody tells its user id, and it has files or a process");
        }
        return desired.userId();
    }

    private static List<DesiredNic> nics(DesiredVm desired, Told told, Reservation remains, List<Witnesses.Tap> taps)
            throws Doubt {
        for (Witnesses.Tap tap : taps) {
            if (desired.nics().stream()
                    .noneMatch(nic -> nic.network().uid().equals(tap.networkUid())
                            && nic.tap().equals(tap.name()))) {
                throw new Doubt("tap " + tap.name() + " is of Network uid " + tap.networkUid()
                        + ", which its object does not name");
            }
        }
        List<DesiredNic> nics = new ArrayList<>();
        for (DesiredNic nic : desired.nics()) {
            Map<String, String> ips = new TreeMap<>();
            Map<String, String> macs = new TreeMap<>();
            for (Witnesses.Tap tap : taps) {
                if (tap.networkUid().equals(nic.network().uid())) {
                    tap.ip().ifPresent(ip -> ips.put("the firewall", ip));
                    tap.mac().ifPresent(mac -> macs.put("the firewall", mac));
                }
            }
            for (Reservation.Nic kept : remains.nics()) {
                if (kept.networkUid().equals(nic.network().uid())) {
                    ips.put("the file", kept.ip());
                    macs.put("the file", kept.mac());
                }
            }
            for (Told.Nic status : told.nics()) {
                // The status knows the Network's name alone: of a former one it tells another address.
                if (status.network().equals(nic.network().name())
                        && (status.ip().equals(nic.ip().toString()) || ips.containsValue(status.ip()))) {
                    ips.put("the status", status.ip());
                    macs.put("the status", status.mac());
                }
            }
            Optional<String> ip = agree("its address on Network " + nic.network(), ips);
            Optional<String> mac = agree("its MAC address on Network " + nic.network(), macs);
            // Of one that nobody tells of it had none yet: it is asked for since, and comes with the next start.
            if (ip.isPresent() && mac.isPresent()) {
                nics.add(nic(nic, ip.get(), mac.get()));
            }
        }
        return nics;
    }

    private static DesiredNic nic(DesiredNic nic, String ip, String mac) throws Doubt {
        try {
            return new DesiredNic(
                    nic.network(),
                    nic.bridge(),
                    nic.bridgeMark(),
                    nic.tap(),
                    nic.mark(),
                    new MacAddress(mac),
                    Ipv4Address.parse(ip),
                    nic.mtu(),
                    nic.isolated(),
                    nic.ports());
        } catch (IllegalArgumentException e) {
            throw new Doubt("its address on Network " + nic.network() + " is nonsense: " + e.getMessage());
        }
    }

    /** What all say who say something, empty when nobody does. */
    private static Optional<String> agree(String what, Map<String, String> said) throws Doubt {
        TreeSet<String> different = new TreeSet<>(said.values());
        if (different.size() > 1) {
            throw new Doubt(what + " is "
                    + String.join(
                            ", ",
                            said.entrySet().stream()
                                    .map(e -> e.getValue() + " by " + e.getKey())
                                    .toList()));
        }
        return different.isEmpty() ? Optional.empty() : Optional.of(different.first());
    }

    private Optional<Launch> launch(
            DesiredVm desired, Told told, Optional<Testimony> process, int userId, List<DesiredNic> nics, Instant now)
            throws Doubt {
        boolean lives = process.isPresent() && process.get().process() instanceof GuestProcess.Alive;
        if (process.isEmpty() && !told.ran()) {
            return Optional.empty();
        }
        LaunchSpec asked = planner.launch(desired, userId);
        Optional<Testimony.Size> size = process.flatMap(Testimony::size);
        if (lives && size.isEmpty() && told.bootedGeneration().orElse(-1) != desired.generation()) {
            // By guess the guest would be held to limits that are not its own, and killed by them.
            throw new Doubt("nobody tells the cores and memory it was started with, and its object was changed since");
        }
        LaunchSpec spec = new LaunchSpec(
                asked.id(),
                process.flatMap(Testimony::vmm).orElse(asked.vmm()),
                told.bootedGeneration().orElse(asked.generation()),
                asked.restartToken(),
                userId,
                size.map(Testimony.Size::cores).orElse(asked.cores()),
                size.map(Testimony.Size::memory).orElse(asked.memory()),
                asked.drives(),
                asked.cmdline(),
                Launches.nics(nics));
        Instant startedAt =
                process.flatMap(Testimony::startedAt).or(told::startedAt).orElse(now);
        GuestState guest = process.map(Testimony::guest).orElse(GuestState.of(GuestState.Kind.NONE));
        boolean ran = !lives
                || guest.kind() == GuestState.Kind.RUNNING
                || guest.kind().isPaused()
                || guest.kind() == GuestState.Kind.POWERED_OFF;
        return Optional.of(new Launch(
                spec,
                // Nothing of a process in this boot: it ran in one before.
                process.isPresent() ? planner.bootId() : "",
                startedAt,
                ran ? Optional.of(told.startedAt().orElse(startedAt)) : Optional.empty(),
                guest.version()));
    }
}
