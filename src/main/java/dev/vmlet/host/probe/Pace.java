package dev.vmlet.host.probe;

import java.time.Duration;

/**
 * How often a port that is not open is knocked at, and how long an answer is waited for. Both grow with the time since
 * there was news of the guest: it started, was heard, or its port closed. So a guest that comes up is seen within a
 * hundredth of the time that it took, and one that never does costs next to nothing.
 */
final class Pace {
    /** Of a guest that is known to be up: its kernel refuses at once, and this is all that its owner waits for. */
    static final Duration LIVELY = Duration.ofMillis(25);
    /** Of a guest nobody has heard of. To a bridge that has not learnt where it is, each knock is one for all its guests. */
    static final Duration SILENT = Duration.ofMillis(500);

    static final Duration LONGEST = Duration.ofSeconds(5);

    private static final Duration PATIENCE = Duration.ofMillis(250);
    /** Then the kernel would say the same again (TCP's first retransmission). */
    private static final Duration PATIENCE_LONGEST = Duration.ofSeconds(1);

    private Pace() {}

    /** Between an attempt's end and the next. */
    static Duration pause(Duration sinceNews, boolean lively) {
        return within(lively ? LIVELY : SILENT, sinceNews.dividedBy(100), LONGEST);
    }

    /** What an attempt waits at most: short while much may change meanwhile, and in the end enough for a slow guest. */
    static Duration patience(Duration sinceNews) {
        return within(PATIENCE, sinceNews.dividedBy(10), PATIENCE_LONGEST);
    }

    private static Duration within(Duration least, Duration asked, Duration most) {
        return asked.compareTo(least) < 0 ? least : asked.compareTo(most) > 0 ? most : asked;
    }
}
