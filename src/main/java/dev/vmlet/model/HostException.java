package dev.vmlet.model;

import org.jspecify.annotations.Nullable;

/** What the machine refused. The message names operation and object; the cause says why, once. */
public abstract sealed class HostException extends Exception {
    private HostException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }

    /** EPERM, EACCES: the agent lacks a privilege or a file permission. */
    public static final class NotPermitted extends HostException {
        public NotPermitted(String message, @Nullable Throwable cause) {
            super(message, cause);
        }
    }

    /** Somebody else uses the object now; trying again later may work. */
    public static final class Busy extends HostException {
        public Busy(String message, @Nullable Throwable cause) {
            super(message, cause);
        }
    }

    /** This kernel or this machine lacks the feature. */
    public static final class Unsupported extends HostException {
        public Unsupported(String message, @Nullable Throwable cause) {
            super(message, cause);
        }
    }

    /** The deadline passed without an answer; the operation may still have happened. */
    public static final class TimedOut extends HostException {
        public TimedOut(String message, @Nullable Throwable cause) {
            super(message, cause);
        }
    }

    /** An object that is not ours bears the name. */
    public static final class Foreign extends HostException {
        public Foreign(String message, @Nullable Throwable cause) {
            super(message, cause);
        }
    }

    /** Any other refusal. */
    public static final class Refused extends HostException {
        public Refused(String message, @Nullable Throwable cause) {
            super(message, cause);
        }
    }
}
