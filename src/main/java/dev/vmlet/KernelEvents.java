package dev.vmlet;

import dev.vmlet.controller.Wakes;
import dev.vmlet.host.Probes;
import dev.vmlet.host.net.FirewallMonitor;
import dev.vmlet.host.net.LinkMonitor;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;

/** What the kernel tells of links and tables, passed on to those who look. */
record KernelEvents(Wakes wakes, Probes probes, Runnable disturbed)
        implements LinkMonitor.Listener, FirewallMonitor.Listener {
    @Override
    public void changed(LinkName link) {
        wakes.wakeLink(link);
    }

    @Override
    public void forwardingWritten(LinkName link) {
        wakes.wakeForwarding(link);
    }

    /** A guest comes up: its port may open any moment. */
    @Override
    public void heardBehind(LinkName port) {
        wakes.vmOf(port).ifPresent(probes::heard);
    }

    @Override
    public void neighbourForgotten(Ipv4Address address) {
        wakes.wakeAddress(address);
    }

    @Override
    public void everything() {
        wakes.wakeAll();
    }

    /** A table of ours. */
    @Override
    public void changed() {
        wakes.wakeNode();
    }

    /** A table of somebody else. */
    @Override
    public void foreignChanged() {
        disturbed.run();
    }

    @Override
    public void deaf(String monitor, String why) {
        wakes.deaf(monitor, why);
    }

    @Override
    public void hears(String monitor) {
        wakes.hears(monitor);
    }
}
