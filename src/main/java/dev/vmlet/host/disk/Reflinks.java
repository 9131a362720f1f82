package dev.vmlet.host.disk;

import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import jnr.constants.platform.Errno;

/** Whether files of a directory can share blocks, found out by trying it. */
public final class Reflinks {
    /** One block of any file system; FICLONE shares whole blocks. */
    private static final int SIZE = 64 << 10;

    private Reflinks() {}

    /**
     * Leaves nothing behind.
     *
     * @param dir writable
     */
    public static Seen<Boolean> tryIn(Path dir) {
        try {
            Path from = Files.createTempFile(dir, ".vmlet-try", "");
            try {
                Files.write(from, new byte[SIZE], StandardOpenOption.WRITE);
                Path to = Files.createTempFile(dir, ".vmlet-try", "");
                try {
                    return clone(from, to);
                } finally {
                    Files.delete(to);
                }
            } finally {
                Files.delete(from);
            }
        } catch (IOException e) {
            return Seen.unknown("trying it in " + dir + " failed: " + e.getMessage());
        }
    }

    private static Seen<Boolean> clone(Path from, Path to) throws IOException {
        int in = LibC.open(from.toString(), LibC.O_RDONLY);
        try {
            int out = LibC.open(to.toString(), LibC.O_WRONLY);
            try {
                LibC.shareBlocks(in, out);
                return Seen.present(true);
            } finally {
                LibC.close(out);
            }
        } catch (LibC.Failed e) {
            Errno errno = e.errno();
            boolean no = errno == Errno.EOPNOTSUPP
                    || errno == Errno.ENOTSUP
                    || errno == Errno.EINVAL
                    || errno == Errno.ENOTTY
                    || errno == Errno.EXDEV
                    || errno == Errno.ENOSYS;
            return no ? Seen.present(false) : Seen.unknown(String.valueOf(e.getMessage()));
        } finally {
            LibC.close(in);
        }
    }
}
