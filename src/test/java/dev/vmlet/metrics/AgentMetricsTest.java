package dev.vmlet.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.VirtualMachineStatus.Phase;
import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.model.HostException;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Reason;
import dev.vmlet.plan.Orphans;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The figures as a collector reads them: names and labels are what dashboards and alerts are made of. */
class AgentMetricsTest {
    private static final Instant T0 = Instant.parse("2026-01-01T12:00:00Z");

    private final PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    private final AgentMetrics metrics = new AgentMetrics(registry);

    private List<String> lines(String prefix) {
        return registry.scrape()
                .lines()
                .filter(l -> l.startsWith(prefix))
                .sorted()
                .toList();
    }

    @Test
    void countsVmsByPhase() {
        metrics.phase("1", Phase.Preparing, T0, T0.plusSeconds(1));
        metrics.phase("2", Phase.Running, T0, T0.plusSeconds(1));
        metrics.phase("1", Phase.Running, T0, T0.plusSeconds(3));
        metrics.gone("2");
        assertThat(lines("vmlet_vms{"))
                .containsExactly(
                        "vmlet_vms{phase=\"Failed\"} 0.0",
                        "vmlet_vms{phase=\"Pending\"} 0.0",
                        "vmlet_vms{phase=\"Preparing\"} 0.0",
                        "vmlet_vms{phase=\"Running\"} 1.0",
                        "vmlet_vms{phase=\"Starting\"} 0.0",
                        "vmlet_vms{phase=\"Stopped\"} 0.0",
                        "vmlet_vms{phase=\"Stopping\"} 0.0",
                        "vmlet_vms{phase=\"Unknown\"} 0.0");
    }

    @Test
    void measuresTransitionsThatItSawFromBothSides() {
        metrics.phase("1", Phase.Preparing, T0, T0.plusSeconds(1));
        metrics.phase("1", Phase.Preparing, T0, T0.plusSeconds(2));
        metrics.phase("1", Phase.Running, T0, T0.plusSeconds(4));
        assertThat(lines("vmlet_vm_phase_transition_time_seconds_sum"))
                .containsExactly(
                        "vmlet_vm_phase_transition_time_seconds_sum{last_phase=\"Preparing\",phase=\"Running\"} 3.0");
        assertThat(lines("vmlet_vm_phase_transition_time_from_creation_seconds_sum"))
                .containsExactly("vmlet_vm_phase_transition_time_from_creation_seconds_sum{phase=\"Running\"} 4.0");
        assertThat(lines("vmlet_vm_phase_transition_time_seconds_bucket"))
                .contains(
                        "vmlet_vm_phase_transition_time_seconds_bucket{last_phase=\"Preparing\",phase=\"Running\",le=\"2.5\"} 0",
                        "vmlet_vm_phase_transition_time_seconds_bucket{last_phase=\"Preparing\",phase=\"Running\",le=\"5.0\"} 1");
    }

    /** Else a guest that is started again after a week would seem to have taken a week. */
    @Test
    void measuresFromTheCreationUntilAVmFirstRuns() {
        metrics.phase("1", Phase.Preparing, T0, T0.plusSeconds(1));
        metrics.phase("1", Phase.Running, T0, T0.plusSeconds(4));
        metrics.phase("1", Phase.Starting, T0, T0.plusSeconds(600));
        metrics.phase("1", Phase.Running, T0, T0.plusSeconds(601));
        // Here long before this agent, and one that was never to run.
        metrics.phase("2", Phase.Starting, T0, T0.plusSeconds(600));
        metrics.phase("2", Phase.Running, T0, T0.plusSeconds(601));
        metrics.phase("3", Phase.Stopped, T0, T0.plusSeconds(1));
        metrics.phase("3", Phase.Running, T0, T0.plusSeconds(900));
        assertThat(lines("vmlet_vm_phase_transition_time_from_creation_seconds_sum"))
                .containsExactly("vmlet_vm_phase_transition_time_from_creation_seconds_sum{phase=\"Running\"} 4.0");
    }

    @Test
    void countsStepsRefusalsAndRepairsByKind() {
        Step up = new Step.SetLinkUp(new LinkName("vmb-1"));
        metrics.done(new PlannedStep(up, "asked"), Duration.ofMillis(500));
        metrics.done(new PlannedStep(up, "somebody took it down", PlannedStep.Cause.DRIFT), Duration.ofMillis(500));
        metrics.refused(new PlannedStep(up, "asked"), new HostException.Busy("set vmb-1 up", null));
        assertThat(lines("vmlet_host_step_duration_seconds_count"))
                .containsExactly("vmlet_host_step_duration_seconds_count{step=\"SetLinkUp\"} 2");
        assertThat(lines("vmlet_host_step_duration_seconds_sum"))
                .containsExactly("vmlet_host_step_duration_seconds_sum{step=\"SetLinkUp\"} 1.0");
        assertThat(lines("vmlet_host_step_failures_total"))
                .containsExactly("vmlet_host_step_failures_total{error=\"Busy\",step=\"SetLinkUp\"} 1.0");
        assertThat(lines("vmlet_drift_repairs_total"))
                .containsExactly("vmlet_drift_repairs_total{step=\"SetLinkUp\"} 1.0");
    }

    @Test
    void tellsOfTheSweepTheImagesAndTheBridge() {
        metrics.swept(
                List.of(new Finding("Network", "uid 1", "uid 1", "Removed", "gone")),
                List.of(held(Orphans.Cause.ManyAtOnce), held(Orphans.Cause.ManyAtOnce), held(Orphans.Cause.CannotAsk)),
                T0);
        metrics.swept(List.of(), List.of(held(Orphans.Cause.ManyAtOnce)), T0.plusSeconds(30));
        metrics.images(new ImageCache(
                1000,
                400,
                new ImageCache.Thresholds(85, 80),
                List.of(
                        new ImageCache.CachedImage("a.raw", 70, T0, false),
                        new ImageCache.CachedImage("b.raw", 30, T0, true)),
                List.of()));
        metrics.bridgePorts(12, 1024);
        metrics.exit(Reason.GuestPoweredOff);
        assertThat(lines("vmlet_sweep_holds{"))
                .contains("vmlet_sweep_holds{cause=\"ManyAtOnce\"} 1.0", "vmlet_sweep_holds{cause=\"CannotAsk\"} 0.0");
        assertThat(lines("vmlet_sweep_findings_total"))
                .containsExactly("vmlet_sweep_findings_total{kind=\"Network\"} 1.0");
        assertThat(lines("vmlet_sweep_last"))
                .containsExactly("vmlet_sweep_last_success_timestamp_seconds 1.76726883E9");
        assertThat(lines("vmlet_image_cache"))
                .containsExactly("vmlet_image_cache_bytes 100.0", "vmlet_image_cache_images 2.0");
        assertThat(lines("vmlet_state_filesystem"))
                .containsExactly(
                        "vmlet_state_filesystem_avail_bytes 400.0", "vmlet_state_filesystem_size_bytes 1000.0");
        assertThat(lines("vmlet_bridge_ports"))
                .containsExactly("vmlet_bridge_ports_limit 1024.0", "vmlet_bridge_ports_used 12.0");
        assertThat(lines("vmlet_guest_exits_total"))
                .containsExactly("vmlet_guest_exits_total{reason=\"GuestPoweredOff\"} 1.0");
    }

    /** A panel that asks for a figure which nobody keeps is empty at 3 a.m., and an alert on one never comes. */
    @Test
    void dashboardAndAlertsAskOnlyForWhatThereIs() throws IOException {
        Step up = new Step.SetLinkUp(new LinkName("vmb-1"));
        metrics.phase("1", Phase.Preparing, T0, T0.plusSeconds(1));
        metrics.phase("1", Phase.Running, T0, T0.plusSeconds(4));
        metrics.done(new PlannedStep(up, "somebody took it down", PlannedStep.Cause.DRIFT), Duration.ofMillis(500));
        metrics.refused(new PlannedStep(up, "asked"), new HostException.Busy("set vmb-1 up", null));
        metrics.exit(Reason.GuestPoweredOff);
        new ProcessMemory().bindTo(registry);
        Set<String> kept = registry.scrape()
                .lines()
                .filter(line -> !line.startsWith("#"))
                .map(line -> line.replaceAll("[{ ].*", ""))
                .collect(Collectors.toSet());
        Set<String> asked = new TreeSet<>();
        for (String file : List.of("dashboard.json", "rules.yaml")) {
            Matcher name = Pattern.compile("\\b(vmlet|process)_[a-z_]+")
                    .matcher(Files.readString(Path.of("helm/vmlet/files", file)));
            while (name.find()) {
                asked.add(name.group());
            }
        }
        assertThat(asked).contains("vmlet_vms", "process_resident_memory_bytes");
        assertThat(kept).containsAll(asked);
    }

    private static Orphans.Held held(Orphans.Cause cause) {
        return new Orphans.Held("VirtualMachine", "ns/web", "uid", new Orphans.Doubt(cause, "because"), T0);
    }
}
