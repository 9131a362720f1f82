package dev.vmlet.host.net;

import java.nio.ByteBuffer;
import jnr.ffi.Pointer;
import jnr.ffi.types.size_t;
import jnr.ffi.types.ssize_t;
import org.jspecify.annotations.Nullable;

/**
 * The functions of glibc this package calls. A ByteBuffer is handed over from its position on. Public because jnr-ffi
 * binds public interfaces only; nothing outside the package may use it.
 */
public interface LibC {
    int socket(int domain, int type, int protocol);

    int bind(int fd, ByteBuffer address, int length);

    int setsockopt(int fd, int level, int option, ByteBuffer value, int length);

    @ssize_t
    long send(int fd, ByteBuffer bytes, @size_t long length, int flags);

    @ssize_t
    long recv(int fd, ByteBuffer bytes, @size_t long length, int flags);

    @ssize_t
    long write(int fd, ByteBuffer bytes, @size_t long length);

    int open(String path, int flags);

    int close(int fd);

    int ioctl(int fd, long request, ByteBuffer argument);

    int ioctl(int fd, long request, long argument);

    int poll(ByteBuffer descriptors, long count, int timeoutMillis);

    int eventfd(int initial, int flags);

    /** @param name at least 16 bytes, filled with the name and a zero */
    @Nullable
    Pointer if_indextoname(int index, ByteBuffer name);

    Pointer newlocale(int categories, String name, @Nullable Pointer base);

    Pointer uselocale(Pointer locale);
}
