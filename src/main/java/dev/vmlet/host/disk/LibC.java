package dev.vmlet.host.disk;

import java.io.IOException;
import java.lang.ref.Reference;
import jnr.constants.platform.Errno;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Memory;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;
import org.jspecify.annotations.Nullable;

/** The calls that the JDK does not have. Each blocks its thread, a virtual thread's carrier too. */
final class LibC {
    static final int SEEK_SET = 0;
    /** lseek(2): the next byte that is not in a hole. */
    static final int SEEK_DATA = 3;

    static final int SEEK_HOLE = 4;
    static final int O_RDONLY = 0;
    static final int O_WRONLY = 1;
    static final int O_NONBLOCK = 0x800;
    static final int O_CLOEXEC = 0x80000;

    /** openat2(2) bears the same number on every architecture. */
    private static final long SYS_OPENAT2 = 437;

    private static final long FICLONE = 0x40049409L;
    private static final long RESOLVE_NO_MAGICLINKS = 0x02;
    private static final long RESOLVE_BENEATH = 0x08;

    /** The functions as C declares them; public because jnr-ffi implements it. */
    public interface Native {
        int open(String path, int flags);

        int close(int fd);

        int geteuid();

        int ioctl(int fd, long request, long argument);

        long lseek(int fd, long offset, int whence);

        long copy_file_range(
                int in, @Nullable Pointer inOffset, int out, @Nullable Pointer outOffset, long count, int flags);

        long syscall(long number, long folder, String path, Pointer how, long size);
    }

    private static final Native C = LibraryLoader.create(Native.class).load("c");
    private static final Runtime RUNTIME = Runtime.getRuntime(C);

    private LibC() {}

    /** What errno says; {@code errno()} keeps the number. */
    static final class Failed extends IOException {
        private final Errno errno;

        Failed(String call, Errno errno) {
            super(call + ": " + errno.description());
            this.errno = errno;
        }

        Errno errno() {
            return errno;
        }
    }

    private static long checked(String call, long result) throws Failed {
        if (result < 0) {
            throw new Failed(call, Errno.valueOf(RUNTIME.getLastError()));
        }
        return result;
    }

    static int effectiveUser() {
        return C.geteuid();
    }

    static int open(String path, int flags) throws Failed {
        return (int) checked("open", C.open(path, flags | O_CLOEXEC));
    }

    static void close(int fd) {
        // The descriptor is gone whatever close answers (close(2)); written files were synced before.
        int _ = C.close(fd);
    }

    static long lseek(int fd, long offset, int whence) throws Failed {
        return checked("lseek", C.lseek(fd, offset, whence));
    }

    /** Makes the second, empty file share the first one's blocks (ioctl_ficlone(2)). */
    static void shareBlocks(int from, int to) throws Failed {
        checked("FICLONE", C.ioctl(to, FICLONE, from));
    }

    /** Copies from and to the descriptors' own positions; 0 at the end of the source. */
    static long copyFileRange(int in, int out, long count) throws Failed {
        return checked("copy_file_range", C.copy_file_range(in, null, out, null, count, 0));
    }

    /**
     * Opens for reading what lies beneath the folder, in one step that no rename can get between: a path or a symlink
     * that leads out, at any moment of the walk, answers EXDEV (openat2(2), Linux 5.6). Does not wait on a fifo.
     */
    static int openBeneath(int folder, String path) throws Failed {
        Pointer how = Memory.allocateDirect(RUNTIME, 24, true);
        how.putLong(0, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        how.putLong(8, 0);
        how.putLong(16, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
        try {
            return (int) checked("openat2", C.syscall(SYS_OPENAT2, folder, path, how, 24));
        } finally {
            // Else it may be freed while the call goes on.
            Reference.reachabilityFence(how);
        }
    }
}
