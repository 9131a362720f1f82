package dev.vmlet.host;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.MacAddress;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Seen;
import org.junit.jupiter.api.Test;

/** The fake keeps the contract, and fails when told to. */
class FakeHostTest extends HostContract {
    private final FakeHost host = new FakeHost(INSTALLATION);

    @Override
    Links links() {
        return host;
    }

    @Override
    Firewall firewall() {
        return host;
    }

    @Override
    void needTaps() {}

    @Override
    void plantBridge(LinkName name, MacAddress mac, boolean up) {
        host.plant(name.value(), "bridge", mac.value(), 1500, up, new Mark(""), -1);
    }

    @Override
    int userId() {
        return 4711;
    }

    @Override
    void plantTap(LinkName name, int userId, boolean up) {
        host.plant(name.value(), "tun", "fe:01:02:03:04:05", 1500, up, new Mark(""), userId);
    }

    @Override
    void putIntoGroup(LinkName name, int group) {
        host.setGroup(name, group);
    }

    @Override
    void routeEverythingBy(LinkName device, long metric) {
        host.routeEverythingBy(device, metric);
    }

    @Override
    void turnForwardingEverywhere(boolean on) {
        host.turnForwarding(on);
    }

    @Override
    void deleteRule() {
        host.tamperWithRules();
    }

    @Override
    void deleteTable(String family) {
        host.deleteTable(family);
    }

    @Test
    void failsOnceWhenTold() throws Exception {
        LinkName lo = new LinkName("lo");
        HostException.Busy busy = new HostException.Busy("set up link lo: busy", null);
        host.failNext("setUp", busy);
        assertThatThrownBy(() -> host.setUp(lo)).isSameAs(busy);
        host.setUp(lo);
        host.failNext("find", busy);
        assertThat(host.find(lo)).isEqualTo(Seen.unknown("set up link lo: busy"));
        assertThat(host.find(lo)).isInstanceOf(Seen.Present.class);
    }

    @Test
    void knowsItsOwnOperations() {
        assertThatThrownBy(() -> host.failNext("setup", new HostException.Busy("", null)))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
