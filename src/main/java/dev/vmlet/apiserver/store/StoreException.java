package dev.vmlet.apiserver.store;

/** The store cannot be opened or cannot keep a write. The message is for the person who runs the server. */
public sealed class StoreException extends Exception {
    StoreException(String message) {
        super(message);
    }

    StoreException(String message, Throwable cause) {
        super(message, cause);
    }

    /** Another process has the directory. */
    public static final class Locked extends StoreException {
        Locked(String message) {
            super(message);
        }
    }

    /** Written by a version that this one does not understand. */
    public static final class Newer extends StoreException {
        Newer(String message) {
            super(message);
        }
    }

    /** What was once durable cannot be read back. */
    public static final class Damaged extends StoreException {
        Damaged(String message) {
            super(message);
        }
    }

    /** The disk refused: a write was not kept and whatever was there before still is. */
    public static final class NotKept extends StoreException {
        private final boolean noSpace;

        NotKept(String message, boolean noSpace, Throwable cause) {
            super(message, cause);
            this.noSpace = noSpace;
        }

        /** The file system is full, rather than read-only or failing. */
        public boolean noSpace() {
            return noSpace;
        }
    }
}
