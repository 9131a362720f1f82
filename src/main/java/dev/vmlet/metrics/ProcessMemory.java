package dev.vmlet.metrics;

import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What this process takes of the machine's memory, under the name that Prometheus' own clients give it. The JVM tells of its
 * heaps only; VmRSS of proc_pid_status(5) is what a container's limit sees.
 */
public final class ProcessMemory implements MeterBinder {
    private final Path status;

    public ProcessMemory() {
        this(Path.of("/proc/self/status"));
    }

    ProcessMemory(Path status) {
        this.status = status;
    }

    @Override
    public void bindTo(MeterRegistry registry) {
        Gauge.builder("process.resident.memory.bytes", this, ProcessMemory::bytes)
                .description("Resident memory of this process.")
                .strongReference(true)
                .register(registry);
    }

    /** NaN, which Prometheus knows, where it cannot be read. */
    private double bytes() {
        try {
            return Files.readAllLines(status).stream()
                    .filter(line -> line.startsWith("VmRSS:"))
                    .map(line -> line.replaceAll("[^0-9]", ""))
                    .mapToDouble(kib -> Double.parseDouble(kib) * 1024)
                    .findFirst()
                    .orElse(Double.NaN);
        } catch (IOException | NumberFormatException e) {
            return Double.NaN;
        }
    }
}
