package dev.vmlet.e2e;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;

/** A guest to log in to, with the suite's key, at the address that status shows. */
public record Guest(String user, String address, Path key) {
    private static final List<String> SSH = List.of(
            "ssh",
            "-n",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "ConnectTimeout=60",
            "-o",
            "ServerAliveInterval=10",
            "-o",
            "ServerAliveCountMax=12");

    /** Runs a line of shell in the guest. */
    Command.Ended run(String line) {
        return Command.of(command(line)).within(Duration.ofMinutes(2)).run();
    }

    /** Runs a line of shell that must succeed; returns what it printed. */
    public String ssh(String line) {
        return run(line).mustSucceed();
    }

    public boolean succeeds(String line) {
        return run("if " + line + " >/dev/null 2>&1; then echo it-did; else echo it-did-not; fi")
                .mustSucceed()
                .equals("it-did");
    }

    /** The ssh command as a list, for those who keep a session open. */
    List<String> command(String line) {
        List<String> command = new java.util.ArrayList<>(SSH);
        command.addAll(List.of("-i", key.toString(), user + "@" + address, line));
        return command;
    }
}
