package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import java.io.Serial;

/** What libnftables answered to a transaction it did not carry out. Nothing of the transaction is in the kernel. */
final class NftRefusal extends Exception {
    @Serial
    private static final long serialVersionUID = 1L;

    NftRefusal(String text) {
        super(text.strip());
    }

    /** A table, chain, set or element that the command names is not there. */
    boolean isNotThere() {
        // The second is nft's own finding for interval sets, made before it asks the kernel.
        return says("No such file or directory") || says("element does not exist");
    }

    HostException during(String operation) {
        String firstLine = String.valueOf(getMessage()).lines().findFirst().orElse("no reason given");
        String message = operation + ": " + firstLine;
        if (says("Operation not permitted") || says("Permission denied")) {
            return new HostException.NotPermitted(message, this);
        }
        if (says("Device or resource busy")) {
            return new HostException.Busy(message, this);
        }
        if (says("Operation not supported") || says("Protocol not supported") || says("JSON support not compiled-in")) {
            return new HostException.Unsupported(message, this);
        }
        return new HostException.Refused(message, this);
    }

    private boolean says(String text) {
        return String.valueOf(getMessage()).contains(text);
    }
}
