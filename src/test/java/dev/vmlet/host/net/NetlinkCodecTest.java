package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.InterfaceAddress;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Link;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import jnr.constants.platform.Errno;
import org.junit.jupiter.api.Test;

/** Bytes as a little-endian kernel sends them, recorded from Linux 6.18, and bytes that no kernel should send. */
class NetlinkCodecTest {
    private static final Mark MARK = Mark.ofNic(new InstallationId("abcdefgh"), "v", "n1");

    /** From a dump: a tap of user 1234, down, mtu 1400, port of link 2, marked. */
    private static final String TAP =
            "100600001000020001000000eb4a0000000001000300000002100000000000000a000300766d742d61000000"
                    + "08000d00e8030000050010000200000005001100000000000500430000000000080004007805000008003200"
                    + "4400000008003300f1ff000008001b000000000008001e000100000008003d000100000008001f0001000000"
                    + "08002800ffff0000080029000000010008003a000000010008003f0000000100080040000000010008003b00"
                    + "0000010008003c00ffff00000800420000000000080020000100000008000a00020000000500210000000000"
                    + "1b001400766d6c65743a61626364656667683a766d3a763a6e310000080023000100000008002f0000000000"
                    + "08003000010000000600440000000000060045000000000005002700000000000a0001008ed56dd1b5310000"
                    + "0a000200ffffffffffff0000cc00170000000000000000000000000000000000000000000000000000000000"
                    + "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    + "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    + "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    + "0000000000000000000000000000000000000000000000000000000000000000000000000000000064000700"
                    + "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    + "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    + "00000000000000000c002b0005000200000000009c0112000800010074756e00340002000500030002000000"
                    + "08000100d204000005000400000000000500050000000000050006000100000005000700000000000b000400"
                    + "6272696467650000500105000500010000000000060002002000000008000300020000000500040000000000"
                    + "05000500000000000500060000000000050007000000000005001c0000000000050008000100000005000900"
                    + "0100000005001b000100000005001e000100000005000a000000000005000c00000000000c000d0080008ed5"
                    + "6dd1b5310c000e0080008ed56dd1b53106000f00018000000600100000000000060011000180000006001200"
                    + "010000000500130000000000050014000000000005001d000000000006001f00000000000500200000000000"
                    + "0500230000000000050024000000000005002100000000000500270000000000050028000000000005002b00"
                    + "000000000c00150000000000000000000c00160000000000000000000c001700000000000000000005001900"
                    + "0100000008002500000200000800260000000000080029000000000008002a0000000000090006006e6f6f70"
                    + "00000000c0011a008c0002008800010000000000000000000000000001000000010000000100000001000000"
                    + "0000000001000000000000000000000000000000000000000000000000000000000000000000000000000000"
                    + "000000000000000000000000000000000000000000000000000000000000000010270000e803000000000000"
                    + "0000000000000000000000000100000030010a00080001000000000014000500ffff0000a074060084ad0000"
                    + "e8030000f400020000000000400000007805000001000000010000000100000001000000ffffffffa00f0000"
                    + "e803000000000000803a09008051010003000000580200001000000000000000010000000100000001000000"
                    + "60ea000000000000000000000000000000000000000000000000000001000000000000000000000010270000"
                    + "e803000001000000000000000000000001000000000000000000000001000000000000000000000000000000"
                    + "0000000080ee3600000000000000000001000000000000000000000000000000000000000000000000040000"
                    + "00000000ffff0000ffffffff0100000000000000000000000000000014000700000000000000000000000000"
                    + "00000000050008000000000024000e0000000000000000000000000000000000000000000000000000000000"
                    + "0000000004003e8004004180";

    private static final String ADDRESS =
            "500000001400220001000000eb4a00000218800002000000080001000a4d0001080002000a4d00010a000300"
                    + "766d622d61000000080008008000000014000600ffffffffffffffffa2740600a2740600";

    /** Default by two next hops, links 2 and 4, metric 100. */
    private static final String MULTIPATH =
            "500000001800220001000000eb4a000002000000fe0300010000000008000f00fe0000000800060064000000"
                    + "240009001000100002000000080005000a4d00021000000004000000080005000a4e0002";

    /** EOPNOTSUPP, capped, "Unknown device type". */
    private static final String REFUSAL =
            "3c0000000200000301000000eb4a0000a1ffffff3800000010000506010000000000000018000100556e6b6e"
                    + "6f776e20646576696365207479706500";

    @Test
    void readsATap() throws Exception {
        assertThat(RtNetlink.link(one(TAP)))
                .isEqualTo(Optional.of(
                        new Link(3, new LinkName("vmt-a"), "tun", "8e:d5:6d:d1:b5:31", 1400, false, MARK, 2, 1234, 0)));
    }

    @Test
    void readsAnAddress() throws Exception {
        assertThat(RtNetlink.address(one(ADDRESS)))
                .isEqualTo(Optional.of(
                        new RtNetlink.AddressAt(2, "vmb-a", new InterfaceAddress(Ipv4Address.parse("10.77.0.1"), 24))));
    }

    @Test
    void readsEachNextHopOfARoute() throws Exception {
        Ipv4Prefix everywhere = Ipv4Prefix.parse("0.0.0.0/0");
        assertThat(RtNetlink.routes(one(MULTIPATH)))
                .isEqualTo(
                        List.of(new RtNetlink.RouteBy(everywhere, 2, 100), new RtNetlink.RouteBy(everywhere, 4, 100)));
    }

    @Test
    void readsWhyTheKernelRefused() throws Exception {
        KernelRefusal refusal = one(REFUSAL).refusal().orElseThrow();
        assertThat(refusal.errno()).isEqualTo(Errno.EOPNOTSUPP);
        assertThat(refusal.during("create bridge vmb-a"))
                .isInstanceOf(HostException.Unsupported.class)
                .hasMessageContaining("create bridge vmb-a")
                .hasMessageContaining("Unknown device type")
                .hasCause(refusal);
    }

    @Test
    void passesOverWhatItIsNotAbout() throws Exception {
        assertThat(RtNetlink.link(one(ADDRESS))).isEmpty();
        assertThat(RtNetlink.address(one(TAP))).isEmpty();
        assertThat(RtNetlink.routes(one(TAP))).isEmpty();
    }

    @Test
    void readsSeveralMessagesOfOneDatagram() throws Exception {
        List<NetlinkMessage> messages = NetlinkMessage.parse(bytes(TAP + ADDRESS));
        assertThat(messages).extracting(NetlinkMessage::type).containsExactly(RtNetlink.NEWLINK, RtNetlink.NEWADDR);
    }

    @Test
    void saysWhatIsWrongWithACutMessage() {
        for (String whole : List.of(TAP, ADDRESS, MULTIPATH, REFUSAL)) {
            for (int length = 1; length < whole.length() / 2; length++) {
                ByteBuffer cut = bytes(whole.substring(0, 2 * length));
                assertThatThrownBy(() -> NetlinkMessage.parse(cut))
                        .isInstanceOf(KernelRefusal.class)
                        .hasMessageContaining("malformed netlink answer");
            }
        }
    }

    @Test
    void saysWhatIsWrongWithFalseLengths() {
        SplittableRandom random = new SplittableRandom(7);
        for (int i = 0; i < 20_000; i++) {
            long seed = random.nextLong();
            SplittableRandom one = new SplittableRandom(seed);
            ByteBuffer bytes = bytes(List.of(TAP, ADDRESS, MULTIPATH, REFUSAL).get(one.nextInt(4)));
            for (int change = 0; change < 3; change++) {
                bytes.put(one.nextInt(bytes.limit()), (byte) one.nextInt());
            }
            try {
                for (NetlinkMessage message : NetlinkMessage.parse(bytes)) {
                    RtNetlink.link(message);
                    RtNetlink.address(message);
                    RtNetlink.routes(message);
                    if (message.isAcknowledgement()) {
                        message.refusal();
                    }
                }
            } catch (KernelRefusal e) {
                assertThat(e.errno()).as("seed " + seed).isEqualTo(Errno.EBADMSG);
            } catch (RuntimeException e) {
                throw new AssertionError("seed " + seed, e);
            }
        }
    }

    @Test
    void writesARequestThatItsOwnReaderUnderstands() throws Exception {
        ByteBuffer request = RtNetlink.createBridge(new LinkName("vmb-a"), new MacAddress("52:00:00:00:00:01"))
                .finish(9);
        NetlinkMessage message = NetlinkMessage.parse(request).getFirst();
        assertThat(message.sequence()).isEqualTo(9);
        assertThat(RtNetlink.link(message))
                .isEqualTo(Optional.of(new Link(
                        0, new LinkName("vmb-a"), "bridge", "52:00:00:00:00:01", 0, false, new Mark(""), 0, -1, 0)));
    }

    private static NetlinkMessage one(String hex) throws KernelRefusal {
        return NetlinkMessage.parse(bytes(hex)).getFirst();
    }

    private static ByteBuffer bytes(String hex) {
        return ByteBuffer.wrap(HexFormat.of().parseHex(hex)).order(ByteOrder.LITTLE_ENDIAN);
    }
}
