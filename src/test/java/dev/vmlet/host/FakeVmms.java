package dev.vmlet.host;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Guest processes in memory, judged from evidence as the real door does: a launch without a trace has ended, with a
 * code that nobody could record. Guests do what the test tells them.
 */
public final class FakeVmms implements Vmms {
    /** A process, dead or alive, whose cgroup and run files are not released yet. */
    public static final class Guest {
        private final LaunchSpec launch;
        private final int pid;
        private final String bootId;
        private boolean alive = true;
        private GuestState.Kind kind = GuestState.Kind.STARTING;
        private boolean panicked;
        private int code = -1;
        private int signal;
        private int cuts;
        private int terminations;
        private boolean stopped;
        private List<String> limits = List.of();

        private Guest(LaunchSpec launch, int pid, String bootId) {
            this.launch = launch;
            this.pid = pid;
            this.bootId = bootId;
        }

        public LaunchSpec launch() {
            return launch;
        }

        public boolean alive() {
            return alive;
        }

        public GuestState.Kind kind() {
            return kind;
        }

        /** How often its power was cut, or tried to be. */
        public int cuts() {
            return cuts;
        }

        /** How often it was sent SIGTERM. */
        public int terminations() {
            return terminations;
        }

        public boolean panicked() {
            return panicked;
        }

        /** The firmware hands over to the guest. */
        public void boots() {
            if (alive && kind == GuestState.Kind.STARTING) {
                kind = GuestState.Kind.RUNNING;
            }
        }

        public void powersOff() {
            kind = GuestState.Kind.POWERED_OFF;
        }

        public void panics() {
            panicked = true;
        }

        public void pauses() {
            kind = GuestState.Kind.PAUSED;
        }

        /** Somebody sends SIGSTOP. */
        public void stops() {
            stopped = true;
        }

        public boolean stopped() {
            return stopped;
        }

        /** Somebody changes a limit; the sentence says which. */
        public void isLimited(String difference) {
            limits = List.of(difference);
        }

        public List<String> limits() {
            return limits;
        }

        public void dies(int withCode, int bySignal) {
            alive = false;
            code = withCode;
            signal = bySignal;
        }
    }

    private final Map<String, Guest> guests = new TreeMap<>();
    private String bootId;
    private int lastPid = 1000;
    private boolean deaf;
    private @Nullable String blind;
    private @Nullable HostException refusal;

    public FakeVmms(String bootId) {
        this.bootId = bootId;
    }

    /** The process of the VM, dead or alive; null when nothing of it is left. */
    public @Nullable Guest guest(String vmUid) {
        return guests.get(vmUid);
    }

    public boolean lives(String vmUid) {
        Guest guest = guests.get(vmUid);
        return guest != null && guest.alive;
    }

    /** All whose process or traces exist, by VM uid. */
    public Map<String, Guest> guests() {
        return guests;
    }

    /** Power buttons do nothing from now on, or work again. */
    public void ignorePowerButtons(boolean on) {
        deaf = on;
    }

    /** The next look at a process fails. */
    public void failNextLook(String cause) {
        blind = cause;
    }

    /** Whether a failing look is still to come. */
    public boolean armed() {
        return blind != null;
    }

    public boolean takeBackFailure() {
        boolean pending = blind != null;
        blind = null;
        refusal = null;
        return pending;
    }

    public void refuseNextSpawn(HostException how) {
        refusal = how;
    }

    /** Every process is gone, and so are cgroups and run files. */
    public void reboot(String newBootId) {
        guests.clear();
        bootId = newBootId;
    }

    @Override
    public Seen<GuestProcess> process(VmRecord record) {
        if (blind != null) {
            String cause = blind;
            blind = null;
            return Seen.unknown(cause);
        }
        Guest guest = guests.get(record.id().uid());
        if (guest != null && guest.alive) {
            if (record.launch().isEmpty()) {
                return Seen.unknown("process " + guest.pid + " lives, but its record knows no launch");
            }
            if (!record.launch().get().bootId().equals(bootId)) {
                return Seen.unknown("process " + guest.pid + " lives, but its record is of another boot");
            }
            return Seen.present(new GuestProcess.Alive(guest.pid, guest.pid * 7L));
        }
        if (record.launch().isEmpty() && guest == null) {
            return Seen.missing();
        }
        boolean codeIsOurs = guest != null
                && guest.bootId.equals(bootId)
                && (record.launch().isEmpty() || record.launch().get().bootId().equals(bootId));
        return Seen.present(new GuestProcess.Ended(
                codeIsOurs && guest != null ? guest.code : -1,
                codeIsOurs && guest != null ? guest.signal : 0,
                false,
                Optional.empty(),
                "",
                ""));
    }

    @Override
    public Seen<Testimony> testimony(VmId vm) {
        Guest guest = guests.get(vm.uid());
        if (guest == null || !guest.bootId.equals(bootId)) {
            return Seen.missing();
        }
        if (!guest.alive) {
            return Seen.present(Testimony.ofEnded(
                    new GuestProcess.Ended(guest.code, guest.signal, false, Optional.empty(), "", "")));
        }
        return Seen.present(new Testimony(
                new GuestProcess.Alive(guest.pid, guest.pid * 7L),
                OptionalInt.of(guest.launch.userId()),
                Optional.of(guest.launch.vmm()),
                Optional.empty(),
                Optional.of(new Testimony.Size(guest.launch.cores(), guest.launch.memory())),
                new GuestState(guest.kind, guest.panicked, "1.0")));
    }

    @Override
    public GuestState guest(VmRecord record, GuestProcess.Alive alive) {
        Guest guest = guests.get(record.id().uid());
        return guest == null || !guest.alive
                ? GuestState.of(GuestState.Kind.NONE)
                : guest.stopped
                        ? GuestState.of(GuestState.Kind.BUSY)
                        : new GuestState(guest.kind, guest.panicked, "1.0");
    }

    @Override
    public Seen<Tampering> tampering(VmRecord record, GuestProcess.Alive process) {
        Guest guest = guests.get(record.id().uid());
        return guest == null || !guest.alive
                ? Seen.missing()
                : Seen.present(new Tampering(guest.stopped, guest.limits));
    }

    @Override
    public void restoreLimits(LaunchSpec launch) {
        Guest guest = guests.get(launch.id().uid());
        if (guest != null) {
            guest.limits = List.of();
        }
    }

    @Override
    public void continueProcess(VmRecord record) {
        Guest guest = guests.get(record.id().uid());
        if (guest != null) {
            guest.stopped = false;
        }
    }

    @Override
    public void resume(VmRecord record) {
        Guest guest = guests.get(record.id().uid());
        if (guest != null && guest.kind == GuestState.Kind.PAUSED) {
            guest.kind = GuestState.Kind.RUNNING;
        }
    }

    @Override
    public void spawn(LaunchSpec launch) throws HostException {
        if (refusal != null) {
            HostException how = refusal;
            refusal = null;
            throw how;
        }
        if (lives(launch.id().uid())) {
            throw new HostException.Busy("start the VMM of " + launch.id() + ": it lives", null);
        }
        guests.put(launch.id().uid(), new Guest(launch, ++lastPid, bootId));
    }

    @Override
    public void pressPowerButton(VmRecord record) {
        Guest guest = guests.get(record.id().uid());
        if (guest != null && !deaf && !guest.stopped && guest.kind == GuestState.Kind.RUNNING && !guest.panicked) {
            guest.powersOff();
        }
    }

    @Override
    public void powerOff(VmRecord record) {
        Guest guest = guests.get(record.id().uid());
        if (guest != null) {
            guest.cuts++;
        }
        end(record, deaf ? null : 0, 0);
    }

    @Override
    public void terminate(VmRecord record) {
        Guest guest = guests.get(record.id().uid());
        if (guest != null) {
            guest.terminations++;
        }
        end(record, deaf ? null : 143, 15);
    }

    @Override
    public void kill(VmRecord record) {
        end(record, 137, 9);
    }

    private void end(VmRecord record, @Nullable Integer code, int signal) {
        Guest guest = guests.get(record.id().uid());
        if (guest != null && guest.alive && code != null) {
            guest.dies(code, signal);
        }
    }

    @Override
    public void release(VmId vm) throws HostException {
        if (lives(vm.uid())) {
            throw new HostException.Busy("release the VMM of " + vm + ": it lives", null);
        }
        guests.remove(vm.uid());
    }

    @Override
    public Set<String> traces() {
        return new TreeSet<>(guests.keySet());
    }
}
