package dev.vmlet.host;

/** All doors of one host together. */
public record Host(
        Links links,
        Firewall firewall,
        Vmms vmms,
        Disks disks,
        Records records,
        Probes probes,
        Passages passages,
        DockerChain docker) {
    /** On which nobody tries what others' firewalls do, or changes anything of theirs. */
    public Host(Links links, Firewall firewall, Vmms vmms, Disks disks, Records records, Probes probes) {
        this(links, firewall, vmms, disks, records, probes, Passages.none(), DockerChain.none());
    }
}
