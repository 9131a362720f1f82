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
import java.util.Set;

/** The door to guest processes. Nothing here blocks for more than a few seconds. Safe for use by several threads. */
public interface Vmms {
    /**
     * What the evidence says: pid file, start time, boot id and cgroup. Missing when the record knows no launch and no
     * process, cgroup or run file is left. Unknown, with the evidence, when they disagree or a look failed.
     */
    Seen<GuestProcess> process(VmRecord record);

    /**
     * Asks the VMM, with a deadline; {@link GuestState.Kind#BUSY} when it does not answer.
     *
     * @param alive what {@link #process} said of it just now
     */
    GuestState guest(VmRecord record, GuestProcess.Alive alive);

    /** Looks for the process and asks it; {@link GuestState.Kind#NONE} where none lives. */
    default GuestState guest(VmRecord record) {
        return process(record) instanceof Seen.Present<GuestProcess>(GuestProcess.Alive alive)
                ? guest(record, alive)
                : GuestState.of(GuestState.Kind.NONE);
    }

    /** What others changed about the process, as {@link #process} saw it, since its launch. Missing when it has ended. */
    Seen<Tampering> tampering(VmRecord record, GuestProcess.Alive process);

    /**
     * What the VM's process tells of itself where no record can: Missing when nothing in this boot tells of one, Unknown
     * while it does not answer, or where it disagrees with itself.
     */
    Seen<Testimony> testimony(VmId vm);

    /**
     * Starts the VMM detached: own session, own cgroup, own user, no capabilities. Returns once the process exists and
     * its pid is on disk, not when the guest runs.
     *
     * @throws HostException.Busy while a process of this VM lives
     */
    void spawn(LaunchSpec launch) throws HostException;

    /**
     * Sets the limits of the launch again, where they differ.
     *
     * @throws HostException.Refused when the kernel does not take one, as a memory limit below what is in use
     */
    void restoreLimits(LaunchSpec launch) throws HostException;

    /** SIGCONT to the process, after its start time was checked. */
    void continueProcess(VmRecord record) throws HostException;

    /** Lets a paused guest go on. */
    void resume(VmRecord record) throws HostException;

    /** Asks the guest to shut down; it may ignore that. */
    void pressPowerButton(VmRecord record) throws HostException;

    /** A power cut, through the VMM's own control socket; the process ends too. */
    void powerOff(VmRecord record) throws HostException;

    /** SIGTERM to the process, after its start time was checked. */
    void terminate(VmRecord record) throws HostException;

    /** SIGKILL to everything in the VM's cgroup. */
    void kill(VmRecord record) throws HostException;

    /**
     * Removes cgroup and run files.
     *
     * @throws HostException.Busy when a process is left in the cgroup
     */
    void release(VmId vm) throws HostException;

    /** Uids of VMs that have a cgroup or a run directory of ours. */
    Set<String> traces() throws HostException;
}
