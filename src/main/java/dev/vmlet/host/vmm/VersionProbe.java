package dev.vmlet.host.vmm;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Asks an executable for its version. */
public final class VersionProbe {
    private static final long PATIENCE_SECONDS = 5;
    private static final int ANSWER_MAX = 4096;

    private VersionProbe() {}

    /**
     * The dotted number behind {@code before} in what {@code --version} prints, empty when it cannot be run, does not
     * answer within five seconds or says something else.
     *
     * @param binary as the host names it
     */
    public static String ask(HostEntry entry, Path binary, String before) {
        List<String> command = new ArrayList<>(entry.words());
        command.addAll(List.of(binary.toString(), "--version"));
        try {
            ProcessBuilder builder = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectInput(
                            ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
            builder.environment().clear();
            builder.environment().put("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            Process process = builder.start();
            // The answer is shorter than a pipe: it can be read after the end.
            if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                return "";
            }
            byte[] answer = process.getInputStream().readNBytes(ANSWER_MAX);
            return find(new String(answer, StandardCharsets.UTF_8), before);
        } catch (IOException e) {
            return "";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "";
        }
    }

    /** The first dotted number behind {@code before}, empty when there is none. */
    public static String find(String text, String before) {
        Matcher version =
                Pattern.compile(Pattern.quote(before) + "(\\d+(?:\\.\\d+)+)").matcher(text);
        return version.find() ? version.group(1) : "";
    }
}
