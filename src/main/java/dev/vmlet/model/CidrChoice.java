package dev.vmlet.model;

/** The controller's choice of a Network's CIDR, or why there is none. */
public sealed interface CidrChoice {
    record Chosen(Ipv4Prefix cidr) implements CidrChoice {}

    record Refused(Reason reason, String message) implements CidrChoice {}
}
