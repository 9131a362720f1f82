package dev.vmlet.e2e;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.LifecycleMethodExecutionExceptionHandler;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestExecutionExceptionHandler;
import org.opentest4j.TestAbortedException;

/**
 * Gives tests the {@link Cluster} as a parameter, and prints what a person would look at when one fails. Tests are
 * skipped, saying why, unless
 *
 * <ul>
 *   <li>{@code VMLET_E2E=1}: src/test/netns/bin/java made namespaces for this JVM ({@code ./mvnw -Pe2e verify}, as root),
 *   <li>{@code KUBEBUILDER_ASSETS} names a directory with etcd, kube-apiserver, kubectl and kube-proxy
 *       (hack/envtest/install),
 *   <li>{@code VMLET_HELM} names a helm (hack/helm/install),
 *   <li>{@code VMLET_GUESTS} names a directory with the guests {@code tiny} (hack/guests/tiny) and, for the test that
 *       needs it, {@code cloud} (hack/guests/cloud).
 * </ul>
 *
 * <p>Ask for the cluster in test methods and {@code @BeforeEach}, not in constructors and {@code @BeforeAll}: a class
 * that is skipped as a whole shows up in no count.
 */
public final class EndToEnd
        implements ExecutionCondition,
                ParameterResolver,
                TestExecutionExceptionHandler,
                LifecycleMethodExecutionExceptionHandler {
    /** Classes that compare the whole host, or kill their agent forty times, and so share no cluster with others. */
    @Retention(RetentionPolicy.RUNTIME)
    @Target(ElementType.TYPE)
    @interface OwnCluster {}

    /** The cluster, and whose it is alone: nobody's is everybody's. */
    private record Shared(Cluster cluster, Optional<Class<?>> owner) {}

    // Of the JVM, not of JUnit's root context: where surefire has two JVMs each class is a launch with a root of its
    // own.
    private static @Nullable Shared shared;

    static {
        Runtime.getRuntime()
                .addShutdownHook(Thread.ofPlatform().name("close-cluster").unstarted(EndToEnd::close));
    }

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        Optional<String> missing = missing();
        if (context.getTestMethod().isEmpty() || missing.isEmpty()) {
            return ConditionEvaluationResult.enabled("what it needs is there");
        }
        return ConditionEvaluationResult.disabled("SKIPPED: " + missing.get());
    }

    private static Optional<String> missing() {
        if (!"1".equals(System.getenv("VMLET_E2E"))) {
            return Optional.of("needs namespaces of its own: ./mvnw -Pe2e verify, as root (src/test/netns/bin/java)");
        }
        if (!has("KUBEBUILDER_ASSETS", "kube-apiserver")) {
            return Optional.of("KUBEBUILDER_ASSETS names no API server: eval \"$(hack/envtest/install)\"");
        }
        if (!has("VMLET_HELM", "")) {
            return Optional.of("VMLET_HELM names no helm: eval \"$(hack/helm/install)\"");
        }
        if (!has("VMLET_GUESTS", "tiny/SHA256SUMS")) {
            return Optional.of(
                    "VMLET_GUESTS names no directory with the guest tiny/: hack/guests/tiny $VMLET_GUESTS/tiny");
        }
        return Optional.empty();
    }

    private static boolean has(String variable, String file) {
        @Nullable String dir = System.getenv(variable);
        return dir != null && !dir.isEmpty() && Files.exists(Path.of(dir, file));
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == Cluster.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        return cluster(context.getRequiredTestClass());
    }

    private static synchronized Cluster cluster(Class<?> test) {
        Optional<Class<?>> owner = Optional.<Class<?>>of(test).filter(c -> c.isAnnotationPresent(OwnCluster.class));
        Shared now = shared;
        if (now == null || !now.owner().equals(owner)) {
            close();
            now = new Shared(start(), owner);
            shared = now;
        }
        return now.cluster();
    }

    private static synchronized void close() {
        Shared last = shared;
        shared = null;
        if (last != null) {
            last.cluster().close();
        }
    }

    private static Cluster start() {
        try {
            return new Cluster();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void handleTestExecutionException(ExtensionContext context, Throwable failure) throws Throwable {
        throw reported(context, failure);
    }

    @Override
    public void handleBeforeEachMethodExecutionException(ExtensionContext context, Throwable failure) throws Throwable {
        throw reported(context, failure);
    }

    @Override
    public void handleAfterEachMethodExecutionException(ExtensionContext context, Throwable failure) throws Throwable {
        throw reported(context, failure);
    }

    @Override
    public void handleAfterAllMethodExecutionException(ExtensionContext context, Throwable failure) throws Throwable {
        throw reported(context, failure);
    }

    private static Throwable reported(ExtensionContext context, Throwable failure) {
        Shared now;
        synchronized (EndToEnd.class) {
            now = shared;
        }
        if (now != null && !(failure instanceof TestAbortedException)) {
            System.out.println("=== " + context.getDisplayName() + " failed: " + failure);
            System.out.println(now.cluster().report());
            System.out.println("=== end of the report about " + context.getDisplayName());
        }
        return failure;
    }
}
