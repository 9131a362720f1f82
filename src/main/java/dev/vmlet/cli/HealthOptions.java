package dev.vmlet.cli;

import dev.vmlet.Logging;
import dev.vmlet.Main;
import dev.vmlet.health.Check;
import dev.vmlet.health.HealthDoor;
import dev.vmlet.metrics.ProcessMemory;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.core.instrument.composite.CompositeMeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;

/** Options of every command that runs on and may be asked how it is. */
public final class HealthOptions {
    private static final Logger log = LoggerFactory.getLogger(HealthOptions.class);

    @Option(
            names = "--health-address",
            paramLabel = "ADDRESS:PORT",
            converter = Converter.class,
            description = "Where /livez, /readyz and /metrics are served, by plain HTTP and without a secret in them;"
                    + " port 0 takes a free one. Default: nowhere.")
    private @Nullable InetSocketAddress address;

    static final class Converter implements ITypeConverter<InetSocketAddress> {
        @Override
        public InetSocketAddress convert(String text) {
            return ListenAddress.anywhere(text, "0.0.0.0:9478");
        }
    }

    /** One to be asked later; a registry that keeps nothing where nobody can ask. */
    MeterRegistry registry() {
        if (address == null) {
            return new CompositeMeterRegistry();
        }
        MeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        new JvmMemoryMetrics().bindTo(registry);
        new ProcessMemory().bindTo(registry);
        new JvmThreadMetrics().bindTo(registry);
        new ProcessorMetrics().bindTo(registry);
        new UptimeMetrics().bindTo(registry);
        new FileDescriptorMetrics().bindTo(registry);
        Gauge.builder("vmlet.build.info", () -> 1)
                .description("Always 1; which vmlet this is.")
                .tags("version", Main.version(), "commit", Main.commit())
                .register(registry);
        return registry;
    }

    /**
     * Opens the door where one is asked for.
     *
     * @param registry one of {@link #registry}
     * @throws IOException when the address cannot be had
     */
    AutoCloseable open(MeterRegistry registry, List<Check> live, List<Check> ready) throws IOException {
        if (address == null || !(registry instanceof PrometheusMeterRegistry prometheus)) {
            return () -> {};
        }
        HealthDoor.limitSlowClients();
        HealthDoor door;
        try {
            door = new HealthDoor(address, live, ready, prometheus::scrape, Logging.levels());
        } catch (IOException e) {
            throw new IOException(
                    "--health-address " + address.getAddress().getHostAddress() + ":" + address.getPort()
                            + " cannot be listened on: " + e.getMessage() + "; choose another, or end who has it",
                    e);
        }
        log.atInfo().addKeyValue("address", door.address()).log("health and metrics served");
        return door;
    }
}
