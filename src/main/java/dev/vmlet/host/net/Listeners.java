package dev.vmlet.host.net;

import dev.vmlet.model.Protocol;
import dev.vmlet.model.ServicePort;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * Ports that processes of this network namespace listen on, of {@code /proc/net/tcp} and its kin (proc(5)). Those on
 * loopback alone are left out: nobody outside reaches them, so nobody is cut off from them.
 */
final class Listeners {
    private static final String TCP_LISTEN = "0A";
    /** A UDP socket that is connected to nobody. */
    private static final String UDP_UNCONNECTED = "07";

    private final Path net;

    /** @param net {@code /proc/net} */
    Listeners(Path net) {
        this.net = net;
    }

    Set<ServicePort> ports() throws IOException {
        Set<ServicePort> ports = new HashSet<>();
        read("tcp", Protocol.TCP, TCP_LISTEN, ports);
        read("tcp6", Protocol.TCP, TCP_LISTEN, ports);
        read("udp", Protocol.UDP, UDP_UNCONNECTED, ports);
        read("udp6", Protocol.UDP, UDP_UNCONNECTED, ports);
        return ports;
    }

    private void read(String file, Protocol protocol, String state, Set<ServicePort> into) throws IOException {
        String text;
        try {
            text = Files.readString(net.resolve(file), StandardCharsets.US_ASCII);
        } catch (NoSuchFileException e) {
            // A kernel without IPv6.
            return;
        }
        text.lines().skip(1).forEach(line -> {
            String[] words = line.strip().split(" +");
            String[] local = words.length > 3 ? words[1].split(":") : new String[0];
            if (local.length == 2 && words[3].equals(state) && !isLoopback(local[0])) {
                int port = Integer.parseInt(local[1], 16);
                if (port > 0) {
                    into.add(new ServicePort(protocol, port));
                }
            }
        });
    }

    /** Addresses are hexadecimal, each four bytes in the machine's order; little-endian on all we run on. */
    private static boolean isLoopback(String address) {
        boolean ipv4 = address.length() == 8 || address.startsWith("0".repeat(16) + "FFFF0000");
        return ipv4 && address.endsWith("7F") || address.equals("0".repeat(24) + "01000000");
    }
}
