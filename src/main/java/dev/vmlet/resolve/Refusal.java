package dev.vmlet.resolve;

import dev.vmlet.model.Reason;

/** Inside this package: the object cannot be followed, for a reason its user can act on. Leaves as Unresolved. */
final class Refusal extends Exception {
    private static final long serialVersionUID = 1L;

    private final Reason reason;

    Refusal(Reason reason, String message) {
        super(message);
        this.reason = reason;
    }

    Reason reason() {
        return reason;
    }

    @Override
    public String getMessage() {
        String message = super.getMessage();
        return message == null ? reason.sentence() : message;
    }
}
