package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Pointer;
import org.jspecify.annotations.Nullable;

/**
 * libnftables: text in, JSON out. A context lives as long as this object and is lent to one thread at a time; one made for
 * each call would wait 13 ms in close(2) after each deletion. Safe for use by several threads.
 */
final class Nftables implements AutoCloseable {
    /**
     * One: the library is not safe for threads even where each has a context of its own. Its JSON listing takes type names
     * apart with strtok(3) (set_dtype_json in src/json.c), whose state is the process's: two listings at once end in a
     * failed assertion, and that is the end of the JVM.
     */
    private static final int CONTEXTS = 1;

    private static final long WAIT_SECONDS = 5;
    private static final int OUTPUT_STATELESS = 1 << 2;
    private static final int OUTPUT_HANDLE = 1 << 3;
    private static final int OUTPUT_JSON = 1 << 4;
    private static final int LC_ALL_MASK = 0x1fbf;

    private final BlockingQueue<Pointer> idle = new ArrayBlockingQueue<>(CONTEXTS);
    private final ReentrantLock opening = new ReentrantLock();

    /** Set once, under {@link #opening}. */
    private volatile @Nullable Libraries libraries;

    private record Libraries(LibNftables nft, LibC libc, Pointer plainLocale) {}

    /**
     * Carries out the commands as one transaction and returns what they print, JSON for listings.
     *
     * @throws NftRefusal when nft or the kernel says no; nothing has changed then
     * @throws HostException.Unsupported without libnftables
     * @throws HostException.TimedOut when no context became free; nothing has changed then
     */
    String run(String operation, String commands) throws NftRefusal, HostException {
        return run(operation, commands, false, OUTPUT_JSON);
    }

    /** As {@link #run}, but what is printed is nft's own text for people, with handles and without packet counts. */
    String text(String operation, String commands) throws NftRefusal, HostException {
        return run(operation, commands, false, OUTPUT_HANDLE | OUTPUT_STATELESS);
    }

    /** As {@link #run}, but the kernel only says whether it would, and keeps nothing. */
    void check(String operation, String commands) throws NftRefusal, HostException {
        String _ = run(operation, commands, true, OUTPUT_JSON);
    }

    private String run(String operation, String commands, boolean dry, int output) throws NftRefusal, HostException {
        Libraries all = open(operation);
        Pointer context = take(operation);
        // libnftables reports errors by strerror(3), and the JVM has set the user's language for the process.
        Pointer before = all.libc().uselocale(all.plainLocale());
        boolean inStep = false;
        try {
            all.nft().nft_ctx_set_dry_run(context, dry);
            all.nft().nft_ctx_output_set_flags(context, output);
            int failed = all.nft().nft_run_cmd_from_buffer(context, commands);
            String printed = all.nft().nft_ctx_get_output_buffer(context);
            String error = all.nft().nft_ctx_get_error_buffer(context);
            if (failed != 0) {
                throw new NftRefusal(error);
            }
            inStep = true;
            return printed;
        } finally {
            idle.add(inStep ? context : renewed(all.nft(), context));
            all.libc().uselocale(before);
        }
    }

    /**
     * Another context in place of one whose call failed. Its socket may hold answers that nobody has read (ENOBUFS, ENOMEM),
     * and libnftables would take them for those to the next call, and so on: "Protocol error" for good.
     */
    private static Pointer renewed(LibNftables nft, Pointer context) {
        nft.nft_ctx_free(context);
        return fresh(nft);
    }

    private static Pointer fresh(LibNftables nft) {
        Pointer context = nft.nft_ctx_new(0);
        nft.nft_ctx_buffer_output(context);
        nft.nft_ctx_buffer_error(context);
        return context;
    }

    private Pointer take(String operation) throws HostException {
        try {
            Pointer context = idle.poll(WAIT_SECONDS, TimeUnit.SECONDS);
            if (context == null) {
                throw new HostException.TimedOut(operation + ": no nftables context free in 5 s", null);
            }
            return context;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HostException.TimedOut(operation + ": interrupted", e);
        }
    }

    private Libraries open(String operation) throws HostException {
        Libraries known = libraries;
        if (known != null) {
            return known;
        }
        opening.lock();
        try {
            known = libraries;
            if (known == null) {
                known = load(operation);
                libraries = known;
            }
            return known;
        } finally {
            opening.unlock();
        }
    }

    private Libraries load(String operation) throws HostException {
        LibNftables nft;
        try {
            // By its soname: libnftables.so without a number comes with the development package only.
            nft = LibraryLoader.create(LibNftables.class).failImmediately().load("libnftables.so.1");
        } catch (UnsatisfiedLinkError e) {
            throw new HostException.Unsupported(
                    operation + ": no libnftables.so.1; install libnftables1 (Debian) or nftables (Fedora)", e);
        }
        LibC libc = LibraryLoader.create(LibC.class).load("c");
        Pointer plainLocale = libc.newlocale(LC_ALL_MASK, "C", null);
        for (int i = 0; i < CONTEXTS; i++) {
            idle.add(fresh(nft));
        }
        return new Libraries(nft, libc, plainLocale);
    }

    /** Waits for calls under way; after it no call succeeds. */
    @Override
    public void close() {
        Libraries all = libraries;
        if (all == null) {
            return;
        }
        try {
            for (int i = 0; i < CONTEXTS; i++) {
                Pointer context = idle.poll(WAIT_SECONDS, TimeUnit.SECONDS);
                if (context != null) {
                    all.nft().nft_ctx_free(context);
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
