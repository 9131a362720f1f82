package dev.vmlet.cli;

import io.fabric8.kubernetes.client.informers.impl.cache.Reflector;
import java.lang.reflect.Field;
import java.time.Duration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets informers keep a watch for one to two hours. fabric8 opens each anew after five to ten minutes, so that one
 * whose other end is gone does not stay deaf; {@link HeardWatches} sees to that sooner. An agent has nine watches, and two
 * hundred idle agents would ask four times a second for nothing: more than all renewals of their Leases.
 *
 * <p>There is no setting for it (7.9.0), only a static field that is read when an informer is made.
 */
final class LongWatches {
    static final Duration AT_LEAST = Duration.ofHours(1);

    private static final Logger log = LoggerFactory.getLogger(LongWatches.class);

    private LongWatches() {}

    /** For all informers made from now on. Without that field watches are as short as they were, and a test fails. */
    static boolean keep() {
        try {
            Field seconds = Reflector.class.getDeclaredField("MIN_TIMEOUT");
            seconds.setAccessible(true);
            seconds.setLong(null, AT_LEAST.toSeconds());
            return true;
        } catch (ReflectiveOperationException | RuntimeException e) {
            log.atDebug().setCause(e).log("watches are opened anew every five to ten minutes");
            return false;
        }
    }
}
