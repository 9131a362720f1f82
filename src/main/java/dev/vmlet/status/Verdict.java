package dev.vmlet.status;

import dev.vmlet.api.Condition.Status;
import dev.vmlet.model.Reason;

/** What a condition is to say, before it has a type and a time. */
record Verdict(Status status, Reason reason, String message) {
    static Verdict of(Status status, Reason reason) {
        return new Verdict(status, reason, reason.sentence());
    }
}
