package dev.vmlet;

import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/** Prints the reason of every test that did not run: surefire counts skips and keeps their reasons to itself. */
public final class SkipsSaidAloud implements TestExecutionListener {
    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
        say(test, reason);
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        if (result.getStatus() == TestExecutionResult.Status.ABORTED) {
            say(
                    test,
                    result.getThrowable()
                            .map(t -> String.valueOf(t.getMessage()))
                            .orElse("no reason given"));
        }
    }

    private static void say(TestIdentifier test, String reason) {
        String where = test.getSource()
                .map(source -> switch (source) {
                    case MethodSource method -> method.getClassName() + "." + method.getMethodName();
                    case ClassSource type -> type.getClassName();
                    default -> test.getDisplayName();
                })
                .orElse(test.getDisplayName());
        System.out.println(
                "SKIPPED " + where + ": " + reason.replaceFirst("^(Assumption failed: )?(SKIPPED:? ?)?", ""));
    }
}
