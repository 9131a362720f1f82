package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import dev.vmlet.model.LinkName;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import jnr.constants.platform.Errno;

/** Taps by ioctl on {@code /dev/net/tun} (drivers/net/tun.c): rtnetlink can delete one, not make one. */
final class Taps {
    private static final String DEVICE = "/dev/net/tun";
    private static final long TUNSETIFF = 0x400454caL;
    private static final long TUNSETPERSIST = 0x400454cbL;
    private static final long TUNSETOWNER = 0x400454ccL;
    private static final int IFF_TAP = 0x0002;
    private static final int IFF_NO_PI = 0x1000;
    private static final int IFF_VNET_HDR = 0x4000;
    private static final int IFF_TUN_EXCL = 0x8000;
    private static final int IFREQ_BYTES = 40;
    private static final int IFREQ_FLAGS = 16;

    private final Kernel kernel;

    Taps(Kernel kernel) {
        this.kernel = kernel;
    }

    /**
     * Makes a tap that outlives us, with virtio headers, which only the user may open.
     *
     * @throws HostException.Busy when a link of that name exists
     */
    void create(LinkName name, int userId) throws HostException {
        // Exclusive: without the flag TUNSETIFF opens somebody's tap of that name, and we would make it ours.
        open(name, userId, IFF_TUN_EXCL);
    }

    /**
     * Takes over a tap that a crashed agent left, with the same properties.
     *
     * @throws HostException.Busy while a process holds it
     */
    void adopt(LinkName name, int userId) throws HostException {
        open(name, userId, 0);
    }

    /**
     * Makes a tap that is gone when its descriptor is closed, by whomever; what is written to it are bare frames.
     *
     * @return the descriptor, the caller's to close
     * @throws HostException.Busy when a link of that name exists
     */
    int hold(LinkName name) throws HostException {
        String operation = "create tap " + name;
        int fd = device(operation);
        try {
            setInterface(fd, name, IFF_TUN_EXCL);
            return fd;
        } catch (KernelRefusal e) {
            kernel.close(fd);
            throw e.during(operation);
        }
    }

    private int device(String operation) throws HostException {
        try {
            return kernel.open(DEVICE);
        } catch (KernelRefusal e) {
            if (e.errno() == Errno.ENOENT || e.errno() == Errno.ENXIO || e.errno() == Errno.ENODEV) {
                throw new HostException.Unsupported(operation + ": no " + DEVICE + "; load the tun module", e);
            }
            throw e.during(operation);
        }
    }

    private void setInterface(int fd, LinkName name, int flags) throws KernelRefusal {
        ByteBuffer ifreq = Kernel.buffer(IFREQ_BYTES);
        ifreq.put(0, name.value().getBytes(StandardCharsets.US_ASCII));
        ifreq.putShort(IFREQ_FLAGS, (short) (IFF_TAP | IFF_NO_PI | flags));
        kernel.ioctl(fd, TUNSETIFF, ifreq, "TUNSETIFF");
    }

    private void open(LinkName name, int userId, int exclusive) throws HostException {
        String operation = "create tap " + name;
        int fd = device(operation);
        try {
            setInterface(fd, name, IFF_VNET_HDR | exclusive);
            // Owner before persistence: a crash between leaves nothing that anybody may open.
            kernel.ioctl(fd, TUNSETOWNER, userId, "TUNSETOWNER");
            kernel.ioctl(fd, TUNSETPERSIST, 1L, "TUNSETPERSIST");
        } catch (KernelRefusal e) {
            throw e.during(operation);
        } finally {
            kernel.close(fd);
        }
    }
}
