package dev.vmlet.host;

import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import java.util.List;
import java.util.Optional;

/** What another door says, with the uplink by its name in what a person may run. Safe for use by several threads. */
public final class PassagesByUplink implements Passages {
    private final Passages tried;
    private volatile Optional<LinkName> uplink = Optional.empty();

    public PassagesByUplink(Passages tried) {
        this.tried = tried;
    }

    @Override
    public void follow(Optional<LinkName> uplink, List<NetworkRecord> networks, List<VmRecord> vms) {
        this.uplink = uplink;
        tried.follow(uplink, networks, vms);
    }

    @Override
    public Seen<Passage> of(String networkUid) {
        Seen<Passage> said = tried.of(networkUid);
        return said instanceof Seen.Present<Passage>(Passage.Dropped dropped)
                ? Seen.present(dropped.leavingBy(uplink))
                : said;
    }
}
