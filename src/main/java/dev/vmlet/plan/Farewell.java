package dev.vmlet.plan;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Mebibytes;
import dev.vmlet.model.NetworkId;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.model.VmRecord.Launch;
import dev.vmlet.model.VmmKind;
import dev.vmlet.model.Witnesses;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * Plans the record by which a VM is taken down whose own is lost. It needs far less than one that a guest goes on by,
 * {@link Rebuild}: which process is the VM's, so that it gets its power button and its death is proved; which addresses it
 * may send from until then, so that they go to nobody else; which disks stay. Nothing is ever started by it. So neither
 * the object's Secret and Networks nor two witnesses that differ in an address stand in its way.
 *
 * <pre>
 * what              who tells it, the first one who does
 * what runs         pid file, /proc, cgroup, command line and VMM, which must agree among themselves
 * user id           the process, its taps, the file's remains or the owner of the disks
 * address and MAC   the firewall's sets: what the guest can send from
 * </pre>
 */
final class Farewell {
    private static final Duration SOON = Duration.ofSeconds(2);
    /** What the API gives a guest whose object asks for nothing. */
    private static final Duration GRACE = Duration.ofSeconds(30);

    /** No guest is ever given this one: of a VM that has no process, tap or file, nobody else needs to know. */
    private static final int NOBODY = 65_534;

    private final HostNames names;
    private final String bootId;

    Farewell(HostNames names, String bootId) {
        this.names = names;
        this.bootId = bootId;
    }

    /**
     * @param retained names of the disks that stay
     * @param grace how long the guest is given to shut down, where anybody tells
     */
    Plan plan(VmId vm, List<String> retained, Optional<Duration> grace, Witnesses seen, Instant now) {
        String trouble = seen.remains().trouble();
        if (seen.process() instanceof Seen.Unknown<Testimony>(String cause)) {
            return doubt(trouble, "the guest process: " + cause);
        }
        if (!(seen.taps() instanceof Seen.Present<List<Witnesses.Tap>>(List<Witnesses.Tap> taps))) {
            return doubt(
                    trouble,
                    "its taps: " + (seen.taps() instanceof Seen.Unknown<?>(String cause) ? cause : "nobody looked"));
        }
        Optional<Testimony> lives = seen.process() instanceof Seen.Present<Testimony>(Testimony testimony)
                        && testimony.process() instanceof GuestProcess.Alive
                ? Optional.of(testimony)
                : Optional.empty();
        List<DesiredNic> nics =
                taps.stream().flatMap(tap -> nic(vm, tap).stream()).toList();
        int userId = userId(lives, taps, seen);
        VmRecord record = VmRecord.of(vm, userId, nics, retained, grace.orElse(GRACE));
        return new Plan(
                List.of(new PlannedStep(
                        new Step.RebuildVmRecord(lives.map(
                                        process -> record.withLaunch(launch(vm, process, userId, nics, now), 0)
                                                .withStop(begun(now)))
                                .orElse(record)),
                        trouble + ", and it is to go")),
                Optional.empty());
    }

    /**
     * On the ladder from the beginning, and the button is to be pressed: what this record does not know of the launch, as
     * its limits, must never be held against a guest that runs.
     */
    private static VmRecord.Stop begun(Instant now) {
        return new VmRecord.Stop(
                now, Reason.Deleting, VmRecord.Rung.POWER_BUTTON, now, now.minus(StopLadder.PRESS_AGAIN));
    }

    private static Plan doubt(String trouble, String why) {
        return Plan.waiting(
                Reason.EvidenceDisagrees,
                trouble + ". It is to go, and cannot yet: " + why + ". Nothing is touched until that is decided",
                SOON);
    }

    private static int userId(Optional<Testimony> process, List<Witnesses.Tap> taps, Witnesses seen) {
        if (process.isPresent() && process.get().userId().isPresent()) {
            return process.get().userId().getAsInt();
        }
        return taps.stream()
                .filter(tap -> tap.userId() > 0)
                .mapToInt(tap -> (int) tap.userId())
                .findFirst()
                .orElseGet(() -> seen.remains().userId().orElse(NOBODY));
    }

    /** Empty for a tap that the firewall lets send nothing. It goes all the same, by its mark. */
    private Optional<DesiredNic> nic(VmId vm, Witnesses.Tap tap) {
        if (tap.mac().isEmpty() || tap.ip().isEmpty()) {
            return Optional.empty();
        }
        NetworkId network = new NetworkId(vm.namespace(), "uid-" + tap.networkUid(), tap.networkUid());
        try {
            return Optional.of(new DesiredNic(
                    network,
                    names.bridge(network.uid()),
                    Mark.ofNetwork(names.installation(), network.uid()),
                    tap.name(),
                    Mark.ofNic(names.installation(), vm.uid(), network.uid()),
                    new MacAddress(tap.mac().get()),
                    Ipv4Address.parse(tap.ip().get()),
                    1500));
        } catch (IllegalArgumentException e) {
            // Not what we put there; the sweep takes it when the VM is gone.
            return Optional.empty();
        }
    }

    private Launch launch(VmId vm, Testimony process, int userId, List<DesiredNic> nics, Instant now) {
        Instant startedAt = process.startedAt().orElse(now);
        GuestState guest = process.guest();
        boolean ran = guest.kind() == GuestState.Kind.RUNNING
                || guest.kind().isPaused()
                || guest.kind() == GuestState.Kind.POWERED_OFF;
        return new Launch(
                new LaunchSpec(
                        vm,
                        process.vmm().orElse(VmmKind.CLOUD_HYPERVISOR),
                        0,
                        "",
                        userId,
                        process.size().map(Testimony.Size::cores).orElse(1),
                        process.size().map(Testimony.Size::memory).orElse(new Mebibytes(128)),
                        List.of(),
                        "",
                        Launches.nics(nics)),
                bootId,
                startedAt,
                ran ? Optional.of(startedAt) : Optional.empty(),
                guest.version());
    }
}
