package dev.vmlet.model;

/** A route of the main table: destination and the interface it leaves by. {@code 0.0.0.0/0} is the default route. */
public record Route(Ipv4Prefix destination, LinkName device, long metric) {}
