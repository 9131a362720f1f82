package dev.vmlet.host.net;

import dev.vmlet.host.vmm.Hosts;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/**
 * The real Docker, firewalld and ufw, in this JVM's network and with mounts and processes of their own: whatever they write
 * to /etc, /run, /usr and /var is written to memory and goes with them, and so do their processes. Their files come from
 * {@code hack/foreign/install}, or from the machine where they are installed there.
 */
final class RealFirewalls implements AutoCloseable {
    private static final String FILES = "VMLET_FOREIGN";
    private static final String READY = "ready";

    /**
     * Modules and security profiles are the whole machine's, and not to be loaded for a test. The bus admits all who find
     * it, for nobody else does, and knows no polkit; what the machine itself has for Docker and ufw to read is not theirs.
     */
    private static final String SET_UP = """
            files=$1 memory=$2
            mount -t tmpfs -o mode=755 none "$memory"
            for part in usr etc var; do
              mkdir "$memory/$part" "$memory/$part.work"
              lower=/$part
              [ ! -d "$files/$part" ] || lower=$files/$part:/$part
              mount -t overlay -o "lowerdir=$lower,upperdir=$memory/$part,workdir=$memory/$part.work" none "/$part"
            done
            mount -t tmpfs -o mode=755 none /run
            mkdir -p /run/dbus /run/lock /var/lib/docker
            mount -t tmpfs -o mode=755 none /var/lib/docker
            ln -sf /bin/true /usr/sbin/modprobe
            rm -rf /etc/docker/daemon.json
            cat >/run/dbus/firewalls.conf <<BUS
            <busconfig>
              <type>system</type>
              <listen>unix:path=/run/dbus/system_bus_socket</listen>
              <auth>EXTERNAL</auth>
              <policy context="default">
                <allow user="*"/><allow own="*"/><allow eavesdrop="true"/>
                <allow send_destination="*" eavesdrop="true"/>
              </policy>
            </busconfig>
            BUS
            echo ready
            exec sleep 600
            """;

    private final Process holder;

    private RealFirewalls(Process holder) {
        this.holder = holder;
    }

    /** Skips the test, saying why, where they cannot be. */
    static void require() throws IOException {
        OwnNamespace.require();
        Assumptions.assumeTrue(
                Hosts.isRootOfTheMachine(), "needs root of the machine: real firewalls with mounts of their own");
    }

    /**
     * Skips the test, saying why, where a program is missing.
     *
     * @param memory an empty directory
     */
    static RealFirewalls moveIn(Path memory, String... programs) throws Exception {
        Path files = Path.of(Optional.ofNullable(System.getenv(FILES)).orElse("/nonexistent"));
        for (String program : programs) {
            Assumptions.assumeTrue(
                    isThere(files, program),
                    "SKIPPED: the real " + program + " was not tried, it is not here: eval \"$(hack/foreign/install)\""
                            + " provides Docker, firewalld and ufw, apt-get install dbus-daemon iptables the rest");
        }
        Process holder = new ProcessBuilder(
                        "unshare",
                        "--mount",
                        "--pid",
                        "--fork",
                        "--kill-child",
                        "--mount-proc",
                        "sh",
                        "-ec",
                        SET_UP,
                        "sh",
                        files.toString(),
                        memory.toString())
                .redirectErrorStream(true)
                .start();
        RealFirewalls firewalls = new RealFirewalls(holder);
        BufferedReader words =
                new BufferedReader(new InputStreamReader(holder.getInputStream(), StandardCharsets.UTF_8));
        List<String> said = new ArrayList<>();
        String word;
        while ((word = words.readLine()) != null) {
            if (word.equals(READY)) {
                return firewalls;
            }
            said.add(word);
        }
        firewalls.close();
        throw new AssertionError("no place for real firewalls: " + said);
    }

    private static boolean isThere(Path files, String program) {
        return List.of("usr/bin", "usr/sbin").stream()
                .anyMatch(dir -> Files.isExecutable(files.resolve(dir).resolve(program))
                        || Files.isExecutable(Path.of("/", dir, program)));
    }

    /** What goes before a command that is to be theirs. */
    List<String> entry() {
        String own = "/proc/" + holder.pid() + "/ns/";
        return List.of(
                "nsenter",
                "--mount=" + own + "mnt",
                "--pid=" + own + "pid_for_children",
                "env",
                "-u",
                "LD_LIBRARY_PATH",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                // Where Docker believes so, it leaves AppArmor's profiles alone.
                "container=test");
    }

    private String[] inside(String... command) {
        List<String> all = new ArrayList<>(entry());
        all.addAll(Arrays.asList(command));
        return all.toArray(String[]::new);
    }

    /** Commands for sh, as an operator of the machine would type them. */
    void sh(String commands) throws Exception {
        OwnNamespace.output(inside("sh", "-ec", commands));
    }

    String output(String commands) throws Exception {
        return OwnNamespace.output(inside("sh", "-ec", commands));
    }

    /** @param ready a command that succeeds from then on that the program does its work */
    void start(String name, String command, String ready) throws Exception {
        sh("%s >/run/%s.log 2>&1 & echo $! >/run/%s.pid".formatted(command, name, name));
        sh("""
                for i in $(seq 80); do
                  if %s >/dev/null 2>&1; then exit 0; fi
                  [ -d /proc/$(cat /run/%s.pid) ] || break
                  sleep 0.1
                done
                tail -n 20 /run/%s.log
                exit 1
                """.formatted(ready, name, name));
    }

    /** Asks it to end, and waits until it has. */
    void stop(String name) throws Exception {
        sh("""
                pid=$(cat /run/%s.pid)
                kill $pid
                for i in $(seq 80); do
                  grep -qs '^State:.[^Z]' /proc/$pid/status || exit 0
                  sleep 0.1
                done
                exit 1
                """.formatted(name));
    }

    /** Makes {@code docker0} and its chains; no container is run. */
    void startDocker() throws Exception {
        start("dockerd", "dockerd --storage-driver=vfs", "/usr/bin/docker --host unix:///run/docker.sock version");
    }

    void startFirewalld() throws Exception {
        start(
                "dbus-daemon",
                "dbus-daemon --config-file=/run/dbus/firewalls.conf --nofork --nopidfile",
                "test -S /run/dbus/system_bus_socket");
        start("firewalld", "firewalld --nofork --nopid", "timeout 5 firewall-cmd --state");
    }

    @Override
    public void close() {
        holder.destroyForcibly();
        try {
            // Their processes end with it, and only then is what they hold free.
            if (!holder.waitFor(30, TimeUnit.SECONDS)) {
                throw new IllegalStateException("the firewalls' processes did not end within 30 s of SIGKILL");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
