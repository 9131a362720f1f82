package dev.vmlet.host.vmm;

import java.io.IOException;
import java.lang.ref.Reference;
import jnr.constants.platform.Errno;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;

/** The system calls that the JDK lacks. Descriptors are plain ints and closed by who opened them. */
final class Syscalls {
    /** Numbers above 423 are the same on every architecture (asm-generic/unistd.h and its peers). */
    private static final long PIDFD_SEND_SIGNAL = 424;

    private static final long PIDFD_OPEN = 434;
    private static final long LANDLOCK_CREATE_RULESET = 444;
    private static final long LANDLOCK_CREATE_RULESET_VERSION = 1;
    private static final int EFD_CLOEXEC_NONBLOCK = 0x80000 | 0x800;

    private static final LibC C = LibraryLoader.create(LibC.class).load("c");
    static final Runtime RUNTIME = Runtime.getRuntime(C);

    private Syscalls() {}

    /** jnr-ffi implements this; it must be public for that. */
    public interface LibC {
        // Fixed arity instead of varargs: on Linux both calling conventions put integers in the same registers.
        long syscall(long number, long a, long b, long c, long d);

        int poll(Pointer fds, long count, int timeoutMillis);

        int eventfd(int initial, int flags);

        long read(int fd, byte[] buffer, long size);

        long write(int fd, byte[] buffer, long size);

        int close(int fd);
    }

    /**
     * A descriptor that becomes readable when the process ends (pidfd_open(2), Linux 5.3); close-on-exec.
     *
     * @throws NoSuchProcess when no such process is left
     */
    static int pidfdOpen(int pid) throws IOException {
        return (int) call("pidfd_open " + pid, C.syscall(PIDFD_OPEN, pid, 0, 0, 0));
    }

    /** @throws NoSuchProcess when it has ended */
    static void pidfdSendSignal(int pidfd, int signal) throws IOException {
        call("pidfd_send_signal " + signal, C.syscall(PIDFD_SEND_SIGNAL, pidfd, signal, 0, 0));
    }

    /** Landlock's ABI version, 0 where the kernel has none or has it switched off. */
    static int landlockAbi() {
        return (int) Math.max(0, C.syscall(LANDLOCK_CREATE_RULESET, 0, 0, LANDLOCK_CREATE_RULESET_VERSION, 0));
    }

    static int eventfd() throws IOException {
        return (int) call("eventfd", C.eventfd(0, EFD_CLOEXEC_NONBLOCK));
    }

    /** Number of ready descriptors; 0 also when a signal interrupted the wait. */
    static int poll(Pointer fds, int count, int timeoutMillis) throws IOException {
        try {
            int ready = C.poll(fds, count, timeoutMillis);
            return ready < 0 && errno() == Errno.EINTR ? 0 : (int) call("poll", ready);
        } finally {
            // Else it may be freed while the kernel waits to write into it.
            Reference.reachabilityFence(fds);
        }
    }

    /** Adds one to an eventfd. A full counter is as good as a written one. */
    static void signalEvent(int eventfd) {
        byte[] one = new byte[8];
        one[java.nio.ByteOrder.nativeOrder() == java.nio.ByteOrder.LITTLE_ENDIAN ? 0 : 7] = 1;
        C.write(eventfd, one, one.length);
    }

    static void drainEvent(int eventfd) {
        C.read(eventfd, new byte[8], 8);
    }

    static void close(int fd) {
        C.close(fd);
    }

    private static Errno errno() {
        return Errno.valueOf(RUNTIME.getLastError());
    }

    private static long call(String what, long result) throws IOException {
        if (result >= 0) {
            return result;
        }
        Errno errno = errno();
        if (errno == Errno.ESRCH) {
            throw new NoSuchProcess(what);
        }
        throw new IOException(what + ": " + errno.name() + " (" + errno.description() + ")");
    }

    /** ESRCH. */
    static final class NoSuchProcess extends IOException {
        NoSuchProcess(String what) {
            super(what + ": no such process");
        }
    }
}
