package dev.vmlet.controller;

/** A step was refused. Carries the finished status; thrown so that the framework's backoff is the only retry clock. */
final class ReconcileFailed extends Exception {
    private static final long serialVersionUID = 1L;

    private final transient Object status;

    ReconcileFailed(String message, Throwable cause, Object status) {
        super(message, cause);
        this.status = status;
    }

    /** The status record to be written, of the reconciled object's kind. */
    Object status() {
        return status;
    }
}
