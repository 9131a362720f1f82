package dev.vmlet.model;

/** What guests of a Network may reach outside their node. */
public enum Egress {
    MASQUERADE,
    NONE
}
