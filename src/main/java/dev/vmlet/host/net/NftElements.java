package dev.vmlet.host.net;

import dev.vmlet.model.Claim;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.Speech;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.TreeMap;
import jnr.constants.platform.Errno;

/**
 * Single elements of plain sets, asked for over nfnetlink directly (include/uapi/linux/netfilter/nf_tables.h): 10 µs at
 * any size of the set. libnftables reads every element of the ruleset before it asks for one, whenever anything changed
 * since it last did (nft 1.0.6, evaluate_cache_get).
 */
final class NftElements implements AutoCloseable {
    private static final int SUBSYSTEM = 10 << 8;
    private static final int GETTABLE = SUBSYSTEM | 1;
    private static final int GETSET = SUBSYSTEM | 10;
    private static final int NEWSETELEM = SUBSYSTEM | 12;
    private static final int GETSETELEM = SUBSYSTEM | 13;
    private static final int NFPROTO_INET = 1;
    private static final int NFPROTO_BRIDGE = 7;
    private static final int NFGENMSG = 4;

    /** NFTA_TABLE_NAME and NFTA_SET_ELEM_LIST_TABLE. */
    private static final int TABLE = 1;

    private static final int LIST_SET = 2;
    private static final int LIST_ELEMENTS = 3;
    private static final int LIST_ELEMENT = 1;
    private static final int ELEMENT_KEY = 1;
    private static final int ELEMENT_DATA = 2;
    private static final int ELEMENT_EXPIRATION = 5;
    private static final int ELEMENT_USERDATA = 6;
    private static final int DATA_VALUE = 1;
    private static final int IFNAMSIZ = 16;

    private final NetlinkSockets netlink = new NetlinkSockets(new Kernel(), Kernel.NETLINK_NETFILTER);
    private final String table;

    NftElements(String table) {
        this.table = table;
    }

    boolean tableExists(String family) throws KernelRefusal {
        return ask(request(GETTABLE, family).attribute(TABLE, table)).isPresent();
    }

    /** Whether the table there is has this set; one of an older revision may not. */
    boolean setExists(FirewallSet set) throws KernelRefusal {
        return ask(request(GETSET, set.family()).attribute(TABLE, table).attribute(LIST_SET, set.nftName()))
                .isPresent();
    }

    /**
     * The element's comment, which may be empty; no value when it, its set or its table is not there, or where a map leads
     * somewhere else.
     */
    Optional<String> owner(FirewallElement element) throws KernelRefusal {
        NetlinkRequest request = request(GETSETELEM, element.set().family())
                .attribute(TABLE, table)
                .attribute(LIST_SET, element.set().nftName());
        int list = request.begin(LIST_ELEMENTS);
        int one = request.begin(LIST_ELEMENT);
        int key = request.begin(ELEMENT_KEY);
        request.attribute(DATA_VALUE, key(element)).end(key).end(one).end(list);
        Optional<List<NetlinkMessage>> answers = ask(request);
        if (answers.isEmpty()) {
            return Optional.empty();
        }
        for (NetlinkMessage answer : answers.get()) {
            if (answer.type() == NEWSETELEM) {
                return leadsWhereItShould(element, answer) ? Optional.of(comment(answer)) : Optional.empty();
            }
        }
        throw NetlinkMessage.malformed(element + " acknowledged but not described");
    }

    private static boolean leadsWhereItShould(FirewallElement element, NetlinkMessage answer) throws KernelRefusal {
        if (!element.set().isMap()) {
            return true;
        }
        int keyParts = element.set().keyParts(element.key().size());
        byte[] data = answer.attributes(NFGENMSG)
                .nested(LIST_ELEMENTS)
                .nested(LIST_ELEMENT)
                .nested(ELEMENT_DATA)
                .bytes(DATA_VALUE)
                .orElse(new byte[0]);
        ByteArrayOutputStream expected = new ByteArrayOutputStream();
        put(expected, Ipv4Address.parse(element.key().get(keyParts)).bytes(), 4);
        put(expected, port(element.key().get(keyParts + 1)), 4);
        return Arrays.equals(data, expected.toByteArray());
    }

    /** What was heard from behind the tap, the latest first; no value when our table is not there. */
    Optional<List<Speech>> spoken(LinkName tap) throws KernelRefusal {
        byte[] wanted = Arrays.copyOf(name(tap.value()), IFNAMSIZ);
        return heard("spoke")
                .map(all -> all.stream()
                        .filter(key -> Arrays.equals(key, 0, IFNAMSIZ, wanted, 0, IFNAMSIZ))
                        .map(key -> new Speech(
                                mac(key, IFNAMSIZ),
                                Ipv4Address.of(Arrays.copyOfRange(key, IFNAMSIZ + 8, IFNAMSIZ + 12))))
                        .toList());
    }

    /** Who said that the address is his, the latest first; no value when our table is not there. */
    Optional<List<Claim>> claims(Ipv4Address ip) throws KernelRefusal {
        return heard("claimed")
                .map(all -> all.stream()
                        .filter(key -> Arrays.equals(key, 4, 8, ip.bytes(), 0, 4))
                        .map(key -> new Claim(
                                ByteBuffer.wrap(key)
                                        .order(ByteOrder.nativeOrder())
                                        .getInt(),
                                mac(key, 8)))
                        .toList());
    }

    /** All members of a map that leads Services; no value when it is not there. */
    Optional<List<FirewallElement>> served(FirewallSet map) throws KernelRefusal {
        NetlinkRequest request = request(GETSETELEM, map.family(), NetlinkRequest.DUMP)
                .attribute(TABLE, table)
                .attribute(LIST_SET, map.nftName());
        Optional<List<NetlinkMessage>> answers = asked(socket -> socket.dump(request));
        if (answers.isEmpty()) {
            return Optional.empty();
        }
        List<FirewallElement> all = new ArrayList<>();
        for (NetlinkMessage answer : answers.get()) {
            if (answer.type() == NEWSETELEM) {
                for (NetlinkAttributes element : answer.attributes(NFGENMSG).list(LIST_ELEMENTS)) {
                    all.add(served(map, element));
                }
            }
        }
        return Optional.of(all);
    }

    private static FirewallElement served(FirewallSet map, NetlinkAttributes element) throws KernelRefusal {
        ByteBuffer key =
                ByteBuffer.wrap(element.nested(ELEMENT_KEY).bytes(DATA_VALUE).orElse(new byte[0]));
        ByteBuffer to =
                ByteBuffer.wrap(element.nested(ELEMENT_DATA).bytes(DATA_VALUE).orElse(new byte[0]));
        int parts = map == FirewallSet.SERVED ? 4 : 3;
        if (key.remaining() != 4 * parts || to.remaining() < 6) {
            throw NetlinkMessage.malformed("a member of " + map.nftName());
        }
        List<String> all = new ArrayList<>();
        all.add(Integer.toUnsignedString(key.order(ByteOrder.nativeOrder()).getInt()));
        key.order(ByteOrder.BIG_ENDIAN);
        if (map == FirewallSet.SERVED) {
            all.add(new Ipv4Address(key.getInt()).toString());
        }
        all.add(protocolText(key.get(4 * parts - 8)));
        all.add(String.valueOf(key.getShort(4 * parts - 4) & 0xffff));
        all.add(new Ipv4Address(to.getInt()).toString());
        all.add(String.valueOf(to.getShort() & 0xffff));
        return new FirewallElement(map, all, comment(element));
    }

    /** One of ours by its name, another's by its number. */
    private static String protocolText(byte number) {
        return Arrays.stream(Protocol.values())
                .filter(p -> p.number() == number)
                .map(Protocol::text)
                .findFirst()
                .orElseGet(() -> String.valueOf(number & 0xff));
    }

    private static String mac(byte[] key, int at) {
        return HexFormat.ofDelimiter(":").formatHex(key, at, at + 6);
    }

    /** Keys of a set that packets fill, the latest first: each begins its time anew when it is heard again. */
    private Optional<List<byte[]>> heard(String set) throws KernelRefusal {
        NetlinkRequest request = request(GETSETELEM, "bridge", NetlinkRequest.DUMP)
                .attribute(TABLE, table)
                .attribute(LIST_SET, set);
        Optional<List<NetlinkMessage>> answers = asked(socket -> socket.dump(request));
        if (answers.isEmpty()) {
            return Optional.empty();
        }
        TreeMap<Long, List<byte[]>> byTimeLeft = new TreeMap<>(Comparator.reverseOrder());
        for (NetlinkMessage answer : answers.get()) {
            if (answer.type() == NEWSETELEM) {
                for (NetlinkAttributes element : answer.attributes(NFGENMSG).list(LIST_ELEMENTS)) {
                    byte[] left = element.bytes(ELEMENT_EXPIRATION).orElse(new byte[8]);
                    byte[] key = element.nested(ELEMENT_KEY).bytes(DATA_VALUE).orElse(new byte[0]);
                    byTimeLeft
                            .computeIfAbsent(ByteBuffer.wrap(left).getLong(), _ -> new ArrayList<>())
                            .add(key);
                }
            }
        }
        return Optional.of(byTimeLeft.values().stream().flatMap(List::stream).toList());
    }

    private static NetlinkRequest request(int type, String family) {
        return request(type, family, NetlinkRequest.ACK);
    }

    private static NetlinkRequest request(int type, String family, int flags) {
        return new NetlinkRequest(type, flags)
                .put8(family.equals("inet") ? NFPROTO_INET : NFPROTO_BRIDGE)
                .put8(0)
                .put16(0);
    }

    private Optional<List<NetlinkMessage>> ask(NetlinkRequest request) throws KernelRefusal {
        return asked(socket -> socket.ask(request));
    }

    private Optional<List<NetlinkMessage>> asked(NetlinkSockets.Exchange<List<NetlinkMessage>> question)
            throws KernelRefusal {
        try {
            return Optional.of(netlink.exchange(question));
        } catch (KernelRefusal e) {
            if (e.errno() == Errno.ENOENT) {
                return Optional.empty();
            }
            throw e;
        }
    }

    private static String comment(NetlinkMessage answer) throws KernelRefusal {
        return comment(answer.attributes(NFGENMSG).nested(LIST_ELEMENTS).nested(LIST_ELEMENT));
    }

    private static String comment(NetlinkAttributes element) throws KernelRefusal {
        byte[] userdata = element.bytes(ELEMENT_USERDATA).orElse(new byte[0]);
        // libnftnl's own encoding (udata.c): type 0 is the comment, one byte of length, a string with its zero.
        for (int at = 0; at + 2 <= userdata.length; at += 2 + (userdata[at + 1] & 0xff)) {
            int length = userdata[at + 1] & 0xff;
            if (userdata[at] == 0 && length > 0 && at + 2 + length <= userdata.length) {
                return new String(userdata, at + 2, length - 1, StandardCharsets.UTF_8);
            }
        }
        return "";
    }

    /** Parts of a key one after the other, each padded to four bytes; an interface name to sixteen. */
    private static byte[] key(FirewallElement element) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        List<String> key = element.key();
        switch (element.set()) {
            case TAPS, BRIDGES, EGRESS -> put(bytes, name(key.get(0)), IFNAMSIZ);
            case SAME -> {
                put(bytes, name(key.get(0)), IFNAMSIZ);
                put(bytes, name(key.get(1)), IFNAMSIZ);
            }
            case OK4 -> {
                put(bytes, name(key.get(0)), IFNAMSIZ);
                put(bytes, new MacAddress(key.get(1)).bytes(), 8);
                put(bytes, Ipv4Address.parse(key.get(2)).bytes(), 4);
            }
            case FREE4 -> {
                put(bytes, name(key.get(0)), IFNAMSIZ);
                put(bytes, new MacAddress(key.get(1)).bytes(), 8);
            }
            case HELD -> put(bytes, Ipv4Address.parse(element.key().get(0)).bytes(), 4);
            case HOST_ACCESS -> {
                put(bytes, name(key.get(0)), IFNAMSIZ);
                put(bytes, new byte[] {(byte) protocol(key.get(1))}, 4);
                put(bytes, port(key.get(2)), 4);
            }
            case PUBLISHED -> {
                put(bytes, new byte[] {(byte) protocol(key.get(0))}, 4);
                put(bytes, port(key.get(1)), 4);
            }
            case SERVED -> {
                put(bytes, slot(key.get(0)), 4);
                put(bytes, Ipv4Address.parse(key.get(1)).bytes(), 4);
                put(bytes, new byte[] {(byte) protocol(key.get(2))}, 4);
                put(bytes, port(key.get(3)), 4);
            }
            case SERVED_PORTS -> {
                put(bytes, slot(key.get(0)), 4);
                put(bytes, new byte[] {(byte) protocol(key.get(1))}, 4);
                put(bytes, port(key.get(2)), 4);
            }
            case PUBLISHED_TO -> {
                put(bytes, Ipv4Address.parse(key.get(0)).bytes(), 4);
                put(bytes, new byte[] {(byte) protocol(key.get(1))}, 4);
                put(bytes, port(key.get(2)), 4);
            }
            case SUBNETS, EGRESS_TO, EGRESS_PORTS ->
                throw new IllegalStateException("an interval set has no single keys");
        }
        return bytes.toByteArray();
    }

    private static int protocol(String text) {
        return Protocol.valueOf(text.toUpperCase(Locale.ROOT)).number();
    }

    /** In network order. */
    private static byte[] port(String text) {
        int port = Integer.parseInt(text);
        return new byte[] {(byte) (port >> 8), (byte) port};
    }

    /** A number in a key is the machine's own. */
    private static byte[] slot(String text) {
        return ByteBuffer.allocate(4)
                .order(ByteOrder.nativeOrder())
                .putInt(Integer.parseUnsignedInt(text))
                .array();
    }

    private static byte[] name(String name) {
        return name.getBytes(StandardCharsets.UTF_8);
    }

    private static void put(ByteArrayOutputStream into, byte[] part, int size) {
        into.writeBytes(part);
        into.writeBytes(new byte[size - part.length]);
    }

    @Override
    public void close() {
        netlink.close();
    }
}
