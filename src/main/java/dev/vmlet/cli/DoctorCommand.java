package dev.vmlet.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.Main;
import dev.vmlet.doctor.Checkup;
import dev.vmlet.doctor.Facts;
import dev.vmlet.doctor.Finding;
import dev.vmlet.doctor.Finding.Verdict;
import dev.vmlet.host.survey.Survey;
import dev.vmlet.host.vmm.cloudhypervisor.CloudHypervisorFiles;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.Ipv4Prefix;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code vmlet doctor}. */
@Command(
        name = "doctor",
        description = {
            "Checks whether guests can run on this host, and says what to do about each finding.",
            "Give it the agent's options. It runs before the first agent or beside a running one, and changes nothing; to"
                    + " find out what firewalls of others do with guests' packets it sends one, by a tap of its own that is"
                    + " gone at once, and stops it before it leaves this host."
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:all is well",
            "1:warnings: guests run, and something about them does not work",
            "2:guests cannot run here, or wrong options"
        },
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class)
@SuppressWarnings("NullAway.Init") // picocli fills the fields before anybody reads them
public final class DoctorCommand implements Callable<Integer> {
    /** How findings are printed. */
    enum Output {
        text,
        json
    }

    @Spec
    private CommandSpec spec;

    @Mixin
    private HostOptions host;

    @Option(
            names = "--network-pool",
            paramLabel = "PREFIX",
            defaultValue = "10.208.0.0/12",
            description = "The controller's --network-pool. Default: ${DEFAULT-VALUE}.")
    private Ipv4Prefix pool;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "text|json",
            defaultValue = "text",
            description = "A line each for people, or JSON. Default: ${DEFAULT-VALUE}.")
    private Output output;

    @Override
    public Integer call() throws HostException, JsonProcessingException {
        HostPaths paths = new HostPaths(
                host.stateDir.toAbsolutePath().normalize().toString(),
                host.runDir.toAbsolutePath().normalize().toString());
        // Where nobody has said, both ways to run guests are looked at.
        boolean emulation = host.emulation != HostOptions.Emulation.off
                || !spec.commandLine().getParseResult().hasMatchedOption("--emulation");
        Facts.Wishes wishes = new Facts.Wishes(
                emulation,
                host.requireLandlock,
                pool,
                new Facts.IdRange("guests", host.userIds.first(), host.userIds.count()),
                host.manageDockerUser);
        List<Path> programs =
                host.qemuImg.contains("/") ? List.of(host.qemu, Path.of(host.qemuImg)) : List.of(host.qemu);
        List<Finding> findings = Checkup.of(new Survey(wishes, paths, programs).look(vmm(paths)));
        PrintWriter out = spec.commandLine().getOut();
        if (output == Output.json) {
            out.println(json(findings));
        } else {
            findings.forEach(out::println);
            out.println(summary(findings));
        }
        out.flush();
        return switch (Finding.worst(findings)) {
            case OK -> 0;
            case WARN -> 1;
            case FAIL -> 2;
        };
    }

    private Facts.Vmm vmm(HostPaths paths) {
        Path bin = Path.of(paths.binDir());
        String hypervisor = "cloud-hypervisor " + CloudHypervisorFiles.VERSION;
        String problem = "";
        try {
            hypervisor +=
                    " at " + CloudHypervisorFiles.binary(Optional.ofNullable(host.vmmBinary), bin, Optional.empty());
        } catch (HostException e) {
            if (host.vmmUrl == null || host.vmmBinary != null) {
                problem = "no usable cloud-hypervisor: " + e.getMessage();
            } else {
                hypervisor += " will be fetched from " + host.vmmUrl;
            }
        }
        String firmware = "";
        try {
            Path _ = CloudHypervisorFiles.firmware(
                    Optional.ofNullable(host.firmware),
                    bin,
                    Optional.empty(),
                    Optional.ofNullable(host.firmwareSha256));
        } catch (HostException e) {
            firmware = host.firmwareUrl == null ? String.valueOf(e.getMessage()) : "";
        }
        return new Facts.Vmm(hypervisor, problem, firmware);
    }

    static String summary(List<Finding> findings) {
        long failures =
                findings.stream().filter(f -> f.verdict() == Verdict.FAIL).count();
        long warnings =
                findings.stream().filter(f -> f.verdict() == Verdict.WARN).count();
        return switch (Finding.worst(findings)) {
            case OK -> "All is well: guests can run here.";
            case WARN -> "Guests can run here; " + count(warnings, "warning") + ".";
            case FAIL ->
                "Guests cannot run here: " + count(failures, "failure")
                        + (warnings == 0 ? "" : ", " + count(warnings, "warning")) + ".";
        };
    }

    private static String count(long number, String what) {
        return number + " " + what + (number == 1 ? "" : "s");
    }

    static String json(List<Finding> findings) throws JsonProcessingException {
        JsonMapper mapper = new JsonMapper();
        ObjectNode root = mapper.createObjectNode();
        root.put("verdict", Finding.worst(findings).text());
        ArrayNode list = root.putArray("findings");
        for (Finding finding : findings) {
            list.addObject()
                    .put("verdict", finding.verdict().text())
                    .put("check", finding.check())
                    .put("what", finding.what())
                    .put("remedy", finding.remedy());
        }
        return mapper.writerWithDefaultPrettyPrinter().writeValueAsString(root);
    }
}
