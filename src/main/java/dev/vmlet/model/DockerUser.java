package dev.vmlet.model;

/**
 * What Docker's chain for the rules of others has of ours.
 *
 * @param asked whether guests are to be let through there
 * @param kept whether it is on disk that rules of ours may be there
 * @param complete whether all rules of ours are there for the uplink that was asked about, where packets come by, and no
 *     others with our mark; false where no uplink is known
 * @param traces whether any rule with our mark is there
 */
public record DockerUser(boolean asked, boolean kept, boolean complete, boolean traces) {}
