package dev.vmlet.cli;

import dev.vmlet.host.files.FileRecords;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.VmRecord;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** A VM of this host by its name. It is looked up in the agent's records: no API server is needed, nor a running agent. */
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class VmOptions {
    @Parameters(paramLabel = "VM", description = "Name of the VM, or NAMESPACE/NAME.")
    private String name;

    @Option(
            names = {"-n", "--namespace"},
            paramLabel = "NAMESPACE",
            defaultValue = "default",
            description = "Namespace of the VM. Default: ${DEFAULT-VALUE}.")
    private String namespace;

    /** @throws HostException.Refused when this host has no such VM, naming those it has */
    VmRecord find(HostPaths paths) throws HostException {
        int slash = name.indexOf('/');
        String space = slash < 0 ? namespace : name.substring(0, slash);
        String wanted = space + "/" + name.substring(slash + 1);
        if (!Files.exists(Path.of(paths.vmsDir()))) {
            throw new HostException.Refused(
                    "no agent has run with the state directory " + paths.stateDir() + "; give its --state-dir", null);
        }
        FileRecords records = FileRecords.toLook(paths);
        for (VmRecord record : records.vms()) {
            if (record.id().toString().equals(wanted)) {
                return record;
            }
        }
        List<String> there = records.vms().stream()
                .map(record -> record.id().toString())
                .sorted()
                .toList();
        String unreadable = records.unreadable().stream().map(s -> ". " + s).collect(Collectors.joining());
        throw new HostException.Refused(
                "this host runs no VM " + wanted + "; "
                        + (there.isEmpty() ? "it has none at all" : "it has " + String.join(", ", there)) + unreadable,
                null);
    }
}
