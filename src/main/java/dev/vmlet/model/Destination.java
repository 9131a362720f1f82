package dev.vmlet.model;

import java.util.Optional;

/**
 * Something outside that guests may reach.
 *
 * @param port empty for everything there, ICMP included
 */
public record Destination(Ipv4Prefix cidr, Optional<ServicePort> port) {}
