package dev.vmlet.host;

/** All doors of one host together. */
public record Host(Links links, Firewall firewall, Vmms vmms, Disks disks, Records records, Probes probes) {}
