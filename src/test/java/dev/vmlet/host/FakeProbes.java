package dev.vmlet.host;

import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.Reach;
import java.util.HashMap;
import java.util.Map;

/** Probes that answer what the test says. */
public final class FakeProbes implements Probes {
    private final Map<String, String> watched = new HashMap<>();
    private Reach answer = Reach.OPEN;

    public void answer(Reach everywhere) {
        answer = everywhere;
    }

    /** Address and port by VM uid. */
    public Map<String, String> watched() {
        return watched;
    }

    @Override
    public void watch(String vmUid, Ipv4Address address, int port) {
        watched.put(vmUid, address + ":" + port);
    }

    @Override
    public void forget(String vmUid) {
        watched.remove(vmUid);
    }

    @Override
    public void heard(String vmUid) {}

    @Override
    public Reach state(String vmUid) {
        return watched.containsKey(vmUid) ? answer : Reach.NOT_PROBED;
    }
}
