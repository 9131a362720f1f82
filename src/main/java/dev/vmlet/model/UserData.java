package dev.vmlet.model;

/** The user's own cloud-init document, as far as it is known. */
public sealed interface UserData {
    record NotAsked() implements UserData {}

    /** It is being read; the VM is woken when the answer is there. */
    record Pending() implements UserData {}

    record Found(String text) implements UserData {
        @Override
        public String toString() {
            // It may carry secrets.
            return "user data of " + text.length() + " characters";
        }
    }

    record Refused(Reason reason, String message) implements UserData {}
}
