package dev.vmlet.api;

/** Nothing yet: room for what an operator may one day ask of one node. */
@ApiObject
public record VmNodeSpec() {}
