package dev.vmlet.cli;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A loopback address and a port, 0 for a free one: {@code 127.0.0.1:6443}, {@code [::1]:6443}. */
record ListenAddress(InetSocketAddress socket) {
    private static final Pattern FORM = Pattern.compile("(?:\\[([0-9a-fA-F:]+)]|([0-9.]+)):(\\d{1,5})");

    /** For picocli. */
    static final class Converter implements ITypeConverter<ListenAddress> {
        @Override
        public ListenAddress convert(String text) {
            return parse(text);
        }
    }

    static ListenAddress parse(String text) {
        InetSocketAddress socket = anywhere(text, "127.0.0.1:6443");
        if (!socket.getAddress().isLoopbackAddress()) {
            throw new TypeConversionException("'" + text
                    + "' is not a loopback address: whoever reaches this API server with its token is root on this"
                    + " machine. Listen on 127.0.0.1, and come from elsewhere by ssh -L");
        }
        return new ListenAddress(socket);
    }

    /** Any address of this machine. */
    static InetSocketAddress anywhere(String text, String example) {
        Matcher form = FORM.matcher(text);
        int port = form.matches() ? Integer.parseInt(form.group(3)) : -1;
        if (port < 0 || port > 65_535) {
            throw new TypeConversionException(
                    "'" + text + "' is not ADDRESS:PORT, for example " + example + ", or 127.0.0.1:0 for a free port");
        }
        try {
            // Digits only, by the pattern: nothing is looked up.
            return new InetSocketAddress(
                    InetAddress.getByName(form.group(1) == null ? form.group(2) : form.group(1)), port);
        } catch (UnknownHostException e) {
            throw new TypeConversionException("'" + text + "' begins with no IP address");
        }
    }
}
