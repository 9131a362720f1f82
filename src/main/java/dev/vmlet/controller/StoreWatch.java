package dev.vmlet.controller;

import dev.vmlet.host.Records;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.Seen;
import dev.vmlet.model.StoreStamp;
import dev.vmlet.plan.StoreAge;
import java.util.Collection;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Notices that the API server's object store went back in time, and remembers which VMs were here then: each of them is
 * unseen until a direct read has shown its object in that store. Who is asked is the renewer of the Lease, before it
 * writes over what it found, and the sweep, before it takes anything down. Safe for use by several threads.
 */
public final class StoreWatch {
    private static final Logger log = LoggerFactory.getLogger(StoreWatch.class);

    private final Records records;
    /** What is to be on disk; guarded by this. */
    private final Set<String> unseen;

    private boolean written = true;
    private Optional<StoreStamp> last;

    public StoreWatch(Records records) {
        this.records = records;
        this.unseen = new TreeSet<>(records.unseen());
        this.last = records.storeStamp();
    }

    /**
     * For others than the renewer: what was written before the question is what the answer has to show, for the renewer may
     * write once more while it is on its way.
     *
     * @param ask for this node's Lease
     */
    Seen<StoreStamp> look(Supplier<Seen<StoreStamp>> ask) {
        Optional<StoreStamp> before;
        synchronized (this) {
            before = last;
        }
        Seen<StoreStamp> found = ask.get();
        judge(before, found);
        return found;
    }

    /** @param found this node's Lease, asked for just now by whoever writes it */
    synchronized void look(Seen<StoreStamp> found) {
        judge(last, found);
    }

    private synchronized void judge(Optional<StoreStamp> told, Seen<StoreStamp> found) {
        Optional<String> sign = StoreAge.wentBack(told, found);
        if (sign.isPresent()) {
            boolean news = records.vms().stream()
                    .map(record -> record.id().uid())
                    .map(unseen::add)
                    .reduce(false, Boolean::logicalOr);
            news |= records.reservations().stream()
                    .map(Reservation::vmUid)
                    .map(unseen::add)
                    .reduce(false, Boolean::logicalOr);
            if (news) {
                written = false;
                log.atWarn()
                        .addKeyValue("sign", sign.get())
                        .addKeyValue("vms", unseen.size())
                        .log("the object store went back in time, as a backup that was restored");
            }
        }
        write();
    }

    /**
     * The API server took it. A Lease of another uid was made by this very write: an apply that names what it follows makes
     * one where there is none, without a word, so that nobody had looked.
     */
    synchronized void renewed(StoreStamp stamp) {
        if (last.map(before -> !before.leaseUid().equals(stamp.leaseUid())).orElse(false)) {
            look(Seen.present(stamp));
        }
        last = Optional.of(stamp);
        try {
            records.keepStoreStamp(stamp);
        } catch (HostException e) {
            // An older stamp in the file raises no false alarm.
            log.atDebug().setCause(e).log("the renewal was not noted");
        }
    }

    synchronized Set<String> unseen() {
        return Set.copyOf(unseen);
    }

    /** A direct read has found their objects. */
    synchronized void seen(Collection<String> vmUids) {
        written &= !unseen.removeAll(vmUids);
        write();
    }

    /** @param vmUids of all that have anything on this node */
    synchronized void keepOnly(Collection<String> vmUids) {
        written &= !unseen.retainAll(vmUids);
        write();
    }

    private void write() {
        if (written) {
            return;
        }
        try {
            records.keepUnseen(unseen);
            written = true;
        } catch (HostException e) {
            log.atWarn().setCause(e).log("not written yet; this agent remembers it");
        }
    }
}
