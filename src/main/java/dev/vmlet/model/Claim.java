package dev.vmlet.model;

/**
 * Somebody said by ARP that an address is his.
 *
 * @param port index of the interface that the word came in by
 * @param mac the MAC address that he named, in colon form; any six bytes, for it is a stranger's word
 */
public record Claim(int port, String mac) {}
