package dev.vmlet.cli;

import dev.vmlet.model.Ipv4Prefix;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** Options of every command that makes the decisions that belong to no node. */
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class ClusterOptions {
    @Option(
            names = "--network-pool",
            paramLabel = "PREFIX",
            defaultValue = "10.208.0.0/12",
            description = "Networks without spec.cidr get a free /20 of it. Default: ${DEFAULT-VALUE}.")
    public Ipv4Prefix pool;

    @Option(
            names = "--cluster-cidr",
            paramLabel = "PREFIX",
            split = ",",
            description = "Ranges of pods, Services and nodes, which no Network may overlap.")
    public List<Ipv4Prefix> ranges = new ArrayList<>();
}
