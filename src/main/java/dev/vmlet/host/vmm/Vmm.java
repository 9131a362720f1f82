package dev.vmlet.host.vmm;

import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmRecord;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * One virtual machine monitor: what to run, and how to talk to it. Knows nothing of processes, cgroups and users. Every
 * call has a deadline of a few seconds of its own. Safe for use by several threads.
 */
public interface Vmm {
    /**
     * The command line: same values in, same list out.
     *
     * @throws HostException.Refused for what this VMM cannot express, such as a comma in a path
     */
    List<String> command(LaunchSpec launch, VmFiles files) throws HostException;

    /**
     * The machine uuid that a command line names, by {@link #command} or by hand; empty where it is not this VMM's.
     *
     * @param words as /proc/pid/cmdline has them
     */
    Optional<String> machineOf(List<String> words);

    /** What a command line by {@link #command} gives the guest; empty where it is another's. */
    Optional<Testimony.Size> sizeOf(List<String> words);

    /** Host memory the process may need beside the guest's own, page cache included. */
    long overheadBytes(LaunchSpec launch);

    /** Whether it opens /dev/kvm. */
    boolean needsKvm();

    /** Whether the guest's console is a socket that the agent must drain; otherwise the VMM writes the log itself. */
    boolean serialNeedsReader();

    /** Where it tells what happens to its guest as it happens; empty for a VMM that writes {@link VmFiles#events}. */
    Optional<Events> events(VmFiles files);

    /**
     * @param hello what the VMM wants to hear before it tells anything
     * @param reboot whether a line of what it tells says that the guest started over by itself
     */
    record Events(Path socket, String hello, Predicate<String> reboot) {}

    /**
     * Looks at its guest. Never throws: no answer is {@link GuestState.Kind#STARTING} while nobody listens yet, and
     * {@link GuestState.Kind#BUSY} when somebody does and keeps silent.
     *
     * @param launch what the record tells of its start, empty where that is lost
     */
    Answer ask(VmFiles files, Optional<VmRecord.Launch> launch);

    /** @param uuid of the machine as the VMM knows it, empty when it did not say */
    record Answer(GuestState state, String uuid) {
        public static Answer of(GuestState.Kind kind) {
            return new Answer(GuestState.of(kind), "");
        }
    }

    void pressPowerButton(VmFiles files) throws HostException;

    /** Lets a paused guest go on. */
    void resume(VmFiles files) throws HostException;

    /** Cuts the power and ends the process. Returns when the VMM has said yes or hung up. */
    void powerOff(VmFiles files) throws HostException;

    /** What this VMM was told to be: {@code --version}'s answer, empty when it cannot be run. */
    String version();

    /** The executable. */
    Path binary();
}
