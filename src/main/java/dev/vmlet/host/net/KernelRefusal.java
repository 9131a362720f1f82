package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import java.io.Serial;
import jnr.constants.platform.Errno;

/** An error number from a system call or from netlink, with what the kernel added in words. Never leaves the package. */
final class KernelRefusal extends Exception {
    @Serial
    private static final long serialVersionUID = 1L;

    private final Errno errno;

    /** @param detail the failed call or the kernel's extended acknowledgement, not empty */
    KernelRefusal(Errno errno, String detail) {
        super(errno.description() + " (" + plain(errno).name() + "): " + detail);
        this.errno = plain(errno);
    }

    /** On Linux two names share one number here, and jnr-constants answers with the rarer. */
    private static Errno plain(Errno errno) {
        return switch (errno) {
            case ENOTSUP -> Errno.EOPNOTSUPP;
            case EWOULDBLOCK -> Errno.EAGAIN;
            default -> errno;
        };
    }

    Errno errno() {
        return errno;
    }

    /** The refusal in the door's words: {@code operation} names what was tried and on which object. */
    HostException during(String operation) {
        String message = operation + ": " + getMessage();
        return switch (errno) {
            case EPERM, EACCES -> new HostException.NotPermitted(message, this);
            case EBUSY -> new HostException.Busy(message, this);
            case EAGAIN, ETIMEDOUT -> new HostException.TimedOut(message, this);
            case EOPNOTSUPP, ENOSYS, EAFNOSUPPORT, EPROTONOSUPPORT -> new HostException.Unsupported(message, this);
            default -> new HostException.Refused(message, this);
        };
    }
}
