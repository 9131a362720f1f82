package dev.vmlet.host.disk;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.hc.client5.http.DnsResolver;

/**
 * Which addresses an image may be fetched from. A tenant chooses the URL and the node fetches it, from inside: what only
 * insiders reach is refused unless the operator allows it. The HTTP client connects to the very addresses that passed
 * here; a name that answers differently a second time (DNS rebinding) gains nothing.
 */
final class UrlPolicy implements DnsResolver {
    /** Not reachable from the internet, or a way to say such an address in another form (IANA special registries). */
    private static final List<AddressRange> INSIDE = ranges(List.of(
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            // Loopback, unspecified and IPv4-compatible; translation; discard; Teredo; documentation; 6to4.
            "::/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "fc00::/7",
            "fe80::/10",
            "fec0::/10",
            "ff00::/8"));

    private final Set<String> allowedHosts = new HashSet<>();
    private final List<AddressRange> allowed = new ArrayList<>();
    private final List<AddressRange> denied;

    /** The message says which address and how to allow it. */
    static final class Refused extends UnknownHostException {
        Refused(String message) {
            super(message);
        }
    }

    /**
     * @param allow host names, addresses and prefixes
     * @param deny addresses and prefixes
     * @throws IllegalArgumentException when an entry is none of these
     */
    UrlPolicy(List<String> allow, List<String> deny) {
        for (String entry : allow) {
            if (AddressRange.looksLikeOne(entry)) {
                allowed.add(AddressRange.parse(entry));
            } else {
                allowedHosts.add(entry.toLowerCase(Locale.ROOT));
            }
        }
        denied = ranges(deny);
    }

    private static List<AddressRange> ranges(List<String> texts) {
        return texts.stream().map(AddressRange::parse).toList();
    }

    /** The addresses that may be connected to; {@link Refused} when there are some but none of these. */
    @Override
    public InetAddress[] resolve(String host) throws UnknownHostException {
        InetAddress[] all = InetAddress.getAllByName(host);
        if (allowedHosts.contains(host.toLowerCase(Locale.ROOT))) {
            return all;
        }
        Set<InetAddress> own = own();
        List<InetAddress> passed = new ArrayList<>();
        for (InetAddress address : all) {
            if (contains(allowed, address)
                    || !contains(INSIDE, address) && !contains(denied, address) && !own.contains(address)) {
                passed.add(address);
            }
        }
        if (passed.isEmpty()) {
            throw new Refused(host + " is " + all[0].getHostAddress()
                    + ", an address inside the cluster, the node or its networks; the operator can allow it with"
                    + " --image-url-allow");
        }
        return passed.toArray(new InetAddress[0]);
    }

    @Override
    public List<InetSocketAddress> resolve(String host, int port) throws UnknownHostException {
        List<InetSocketAddress> addresses = new ArrayList<>();
        for (InetAddress address : resolve(host)) {
            addresses.add(new InetSocketAddress(address, port));
        }
        return addresses;
    }

    @Override
    public String resolveCanonicalHostname(String host) {
        return host;
    }

    private static boolean contains(List<AddressRange> ranges, InetAddress address) {
        return ranges.stream().anyMatch(range -> range.contains(address));
    }

    /** This node's addresses at this moment: bridges of ours come and go. */
    private static Set<InetAddress> own() throws UnknownHostException {
        Set<InetAddress> addresses = new HashSet<>();
        try {
            NetworkInterface.networkInterfaces()
                    .forEach(link -> link.inetAddresses().forEach(addresses::add));
        } catch (SocketException e) {
            UnknownHostException unknown = new UnknownHostException("this node's own addresses cannot be listed");
            unknown.initCause(e);
            throw unknown;
        }
        return addresses;
    }
}
