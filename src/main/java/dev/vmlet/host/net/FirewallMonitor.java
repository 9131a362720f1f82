package dev.vmlet.host.net;

import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.plan.Ruleset;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Says when somebody else committed a change to one of our tables, or anybody to a table that is no vmlet's. A hint: look
 * for yourself. Our own commits are not reported.
 */
public final class FirewallMonitor implements AutoCloseable {
    /** NFNLGRP_NFTABLES and the message types of include/uapi/linux/netfilter/nf_tables.h. */
    private static final int GROUP_NFTABLES = 7;

    private static final int SUBSYSTEM_NFTABLES = 10;
    private static final int NEWGEN = 15;
    private static final int NFGENMSG = 4;

    /** NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE … are all attribute 1. */
    private static final int TABLE = 1;

    private static final int GENERATION_WRITER = 2;

    private final NetlinkMonitor monitor;

    /** What wants to know of our tables; called on the monitor's thread: be quick. */
    public interface Listener extends MonitorHealth {
        void changed();

        /** A table that is no vmlet's. */
        void foreignChanged();
    }

    public FirewallMonitor(InstallationId installation, Listener listener) throws HostException {
        String table = new Ruleset(installation, Set.of()).table();
        this.monitor = NetlinkMonitor.start(
                "firewall-monitor",
                Kernel.NETLINK_NETFILTER,
                List.of(GROUP_NFTABLES),
                new NetlinkMonitor.Listener() {
                    // Since the last commit; the commit's own message comes after those of its changes.
                    private boolean touched;

                    private boolean foreign;

                    @Override
                    public void heard(NetlinkMessage message) throws KernelRefusal {
                        if (message.type() >> 8 != SUBSYSTEM_NFTABLES) {
                            return;
                        }
                        NetlinkAttributes attributes = message.attributes(NFGENMSG);
                        if ((message.type() & 0xff) != NEWGEN) {
                            Optional<String> of = attributes.text(TABLE);
                            touched |= of.equals(Optional.of(table));
                            foreign |= of.isPresent() && ForeignChains.isForeign(of.get());
                            return;
                        }
                        boolean ours = touched;
                        boolean others = foreign;
                        touched = false;
                        foreign = false;
                        if (ours && !isOurThread(attributes)) {
                            listener.changed();
                        }
                        if (others) {
                            listener.foreignChanged();
                        }
                    }

                    @Override
                    public void missed() {
                        touched = false;
                        foreign = false;
                        listener.changed();
                        listener.foreignChanged();
                    }
                },
                listener);
    }

    /**
     * Whether the commit came from this process. The kernel names the writing thread, not the process. A thread that has
     * ended since, or a pid namespace of our own, makes our commit look foreign: a look too many.
     */
    private static boolean isOurThread(NetlinkAttributes attributes) {
        Optional<Integer> thread = attributes
                .bytes(GENERATION_WRITER)
                .filter(b -> b.length == 4)
                .map(b -> ByteBuffer.wrap(b).order(ByteOrder.BIG_ENDIAN).getInt());
        return thread.isPresent() && Files.exists(Path.of("/proc/self/task", String.valueOf(thread.get())));
    }

    @Override
    public void close() {
        monitor.close();
    }
}
