package dev.vmlet.model;

/**
 * What a guest said by ARP of itself, and may not send.
 *
 * @param mac where the frame came from, in colon form; any six bytes, for it is a guest's word
 * @param ip the address that it gave as its own
 */
public record Speech(String mac, Ipv4Address ip) {}
