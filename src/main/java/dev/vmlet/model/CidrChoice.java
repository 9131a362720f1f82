package dev.vmlet.model;

/** The controller's choice of a Network's CIDR, or why there is none. */
public sealed interface CidrChoice {
    record Chosen(Ipv4Prefix cidr) implements CidrChoice {}

    /** There is nothing to choose: its addresses are those of the operator's LAN, behind the bridge of that name. */
    record Lan(String bridge) implements CidrChoice {}

    record Refused(Reason reason, String message) implements CidrChoice {}
}
