package dev.vmlet.model;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What this node's agent told of a VM in its object's status, before it lost the record it told it from.
 *
 * @param ran whether a guest process lived then
 * @param startedAt of that process
 * @param bootedGeneration of the object that it was started with
 */
public record Told(
        List<Nic> nics,
        boolean ran,
        Optional<Instant> startedAt,
        OptionalLong bootedGeneration,
        Optional<VmRecord.Exit> lastExit,
        int restarts) {
    public static final Told NOTHING =
            new Told(List.of(), false, Optional.empty(), OptionalLong.empty(), Optional.empty(), 0);

    public Told {
        nics = List.copyOf(nics);
    }

    /** By the name of its Network; nothing vouches for the shape of the addresses. */
    public record Nic(String network, String ip, String mac) {}
}
