package dev.vmlet.cli;

import dev.vmlet.model.HostException;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/** What a person reads when a command fails: one sentence, and where to read on. Never a stack trace. */
public final class CommandErrors implements IParameterExceptionHandler, IExecutionExceptionHandler {
    /** Exit code of a command that could not do its work. */
    static final int FAILED = 1;

    @Override
    public int handleParseException(ParameterException e, String[] arguments) {
        CommandLine command = e.getCommandLine();
        PrintWriter err = command.getErr();
        boolean noCommand = command.getParent() == null && arguments.length == 0;
        if (noCommand) {
            command.usage(err);
            return command.getCommandSpec().exitCodeOnInvalidInput();
        }
        err.println("vmlet: " + firstLine(e));
        if (!UnmatchedArgumentException.printSuggestions(e, err)) {
            err.println("Try '" + command.getCommandSpec().qualifiedName() + " --help'.");
        }
        err.flush();
        return command.getCommandSpec().exitCodeOnInvalidInput();
    }

    @Override
    public int handleExecutionException(Exception e, CommandLine command, ParseResult arguments) {
        PrintWriter err = command.getErr();
        err.println("vmlet: " + sentence(e));
        err.flush();
        return FAILED;
    }

    private static String sentence(Exception e) {
        return switch (e) {
            case HostException.NotPermitted refusal
            when !"root".equals(System.getProperty("user.name")) ->
                firstLine(refusal) + " (you are " + System.getProperty("user.name") + "; run vmlet as root)";
            case HostException refusal -> firstLine(refusal);
            case KubernetesClientException refusal -> "the API server cannot be used: " + deepest(refusal);
            case IOException refusal -> firstLine(refusal);
            default -> "unexpected: " + e + "; this is a defect, please report it with what you did";
        };
    }

    /** The message of the innermost cause is what the network or the server said; those around it only repeat it. */
    private static String deepest(Throwable e) {
        Throwable deepest = e;
        for (int i = 0; i < 10 && deepest.getCause() != null; i++) {
            deepest = deepest.getCause();
        }
        String said = firstLine(deepest);
        return said.isBlank() || said.equals("null") ? deepest.getClass().getSimpleName() : said;
    }

    private static String firstLine(Throwable e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    }
}
