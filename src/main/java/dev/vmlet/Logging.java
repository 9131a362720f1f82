package dev.vmlet;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.encoder.JsonEncoder;
import ch.qos.logback.classic.encoder.PatternLayoutEncoder;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import ch.qos.logback.core.encoder.Encoder;
import ch.qos.logback.core.spi.ContextAwareBase;
import dev.vmlet.health.LogLevels;
import java.util.Locale;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What is logged, and how: one line per message on standard error, facts as keys; for people and for collectors alike.
 * {@code VMLET_LOG_LEVEL} (default INFO) and {@code VMLET_LOG_FORMAT} ({@code text} or {@code json}, default text) come
 * from the environment. Found by Logback through {@code META-INF/services}; a logback.xml would cost each start an XML
 * parser and three hundred classes.
 */
public final class Logging extends ContextAwareBase implements Configurator {
    private static final Set<String> LEVELS = Set.of("ERROR", "WARN", "INFO", "DEBUG", "TRACE");
    private static final String OURS = "dev.vmlet";
    private static final Logger log = LoggerFactory.getLogger(Logging.class);
    private static final String PATTERN =
            "%d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z',UTC} %-5level %logger{0} %msg %kvp{DOUBLE}%n%ex{full}";

    @Override
    public ExecutionStatus configure(LoggerContext logback) {
        Encoder<ILoggingEvent> encoder = "json".equals(System.getenv("VMLET_LOG_FORMAT")) ? json() : text(logback);
        encoder.setContext(logback);
        encoder.start();
        ConsoleAppender<ILoggingEvent> appender = new ConsoleAppender<>();
        appender.setContext(logback);
        appender.setName("standard error");
        appender.setTarget("System.err");
        appender.setEncoder(encoder);
        appender.start();
        var root = logback.getLogger(Logger.ROOT_LOGGER_NAME);
        root.setLevel(Level.WARN);
        root.addAppender(appender);
        logback.getLogger(OURS).setLevel(configured());
        // They warn of v1alpha1 at each start; we know.
        logback.getLogger("io.fabric8.kubernetes.client.impl.VersionUsageUtils").setLevel(Level.ERROR);
        logback.getLogger("io.fabric8.kubernetes.client.dsl.internal.VersionUsageUtils")
                .setLevel(Level.ERROR);
        return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
    }

    private static Level configured() {
        return Level.toLevel(System.getenv("VMLET_LOG_LEVEL"), Level.INFO);
    }

    /**
     * The level of our own messages, changed at run time. Never above what the environment says: whoever changes it may
     * make this process tell more, and cannot make it silent.
     */
    public static LogLevels levels() {
        LoggerContext logback = (LoggerContext) LoggerFactory.getILoggerFactory();
        var ours = logback.getLogger(OURS);
        return new LogLevels() {
            @Override
            public String level() {
                return ours.getEffectiveLevel().toString();
            }

            @Override
            public void set(String asked) {
                Level level = Level.toLevel(LEVELS.contains(asked.toUpperCase(Locale.ROOT)) ? asked : null, null);
                if (level == null) {
                    throw new IllegalArgumentException(
                            "'" + asked + "' is no level; there are ERROR, WARN, INFO, DEBUG and TRACE");
                }
                if (level.isGreaterOrEqual(configured()) && !level.equals(configured())) {
                    throw new IllegalArgumentException(level + " is less than this process was started to tell, "
                            + configured() + "; set VMLET_LOG_LEVEL and start it again");
                }
                log.atInfo().addKeyValue("level", level).log("log level changed");
                ours.setLevel(level);
            }
        };
    }

    private static Encoder<ILoggingEvent> text(LoggerContext logback) {
        PatternLayoutEncoder encoder = new PatternLayoutEncoder();
        encoder.setContext(logback);
        encoder.setPattern(PATTERN);
        return encoder;
    }

    private static Encoder<ILoggingEvent> json() {
        JsonEncoder encoder = new JsonEncoder();
        encoder.setWithFormattedMessage(true);
        encoder.setWithMessage(false);
        encoder.setWithSequenceNumber(false);
        encoder.setWithContext(false);
        encoder.setWithNanoseconds(false);
        return encoder;
    }
}
