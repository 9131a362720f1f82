package dev.vmlet.model;

import java.time.Instant;

/**
 * The last word of this node in the API server's object store: its Lease as it was renewed. A store that does not have
 * it any more went back in time.
 *
 * @param leaseUid of the Lease object
 * @param renewed its renewTime, to the microsecond
 */
public record StoreStamp(String leaseUid, Instant renewed) {}
