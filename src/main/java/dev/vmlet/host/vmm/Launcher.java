package dev.vmlet.host.vmm;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostNames;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;

/**
 * Starts VMMs that outlive the agent: through a small shell script which stays as root, outside the guest's cgroup, as
 * the VMM's parent, because only a parent learns an exit code.
 *
 * <pre>
 * agent --setsid--> launcher (root, cgroup .../launchers) --fork--> child (cgroup .../&lt;vm uid&gt;)
 *                      writes pid ------------------------------------> waits at the gate
 *                      opens the gate --------------------------------> setpriv: uid, no capabilities -> VMM
 *                      waits, writes exit &lt;------------------------- ends
 * </pre>
 *
 * The child passes the gate only after its pid is on disk: a crash of anything in between leaves no unrecorded VMM.
 *
 * <p>Where systemd owns the cgroups, the command goes behind {@code systemd-run --scope}, and the launcher makes the two
 * cgroups below that scope itself. An agent in a container goes through {@code nsenter} into the host's namespaces first:
 * from there on every program and every file is the host's ({@link HostEntry}).
 */
final class Launcher {
    private static final Duration PID_PATIENCE = Duration.ofSeconds(10);

    // dash and busybox sh read this as well as bash. Kept small: it lives as long as the guest.
    private static final String SCRIPT = """
            #!/bin/sh
            # vmlet's launcher: --run DIR --boot ID [--delegated CGROUP] [--home CGROUP]... [--leaf CGROUP]... -- COMMAND...
            # Stays as the parent of COMMAND: writes DIR/pid before it starts and DIR/exit when it has ended.
            set -uf
            umask 077
            nl='
            '
            run= boot= delegated= homes= leaves=
            fail() {
                echo "vmlet launcher: $*" >&2
                exit 125
            }
            start_of() {
                IFS= read -r stat <"/proc/$1/stat" || return 1
                # Fields count from the last parenthesis: the name before it may hold anything.
                IFS=' '
                set -- ${stat##*) }
                echo "${20}"
            }
            while [ "$1" != -- ]; do
                case $1 in
                --run) run=$2 ;;
                --boot) boot=$2 ;;
                --delegated) delegated=$2 ;;
                --home) homes=$homes$2$nl ;;
                --leaf) leaves=$leaves$2$nl ;;
                *) fail "unknown option $1" ;;
                esac
                shift 2
            done
            shift

            # Nothing inherited from the agent: neither its cgroups, nor its place in the queue of the OOM killer, nor a
            # device of its container.
            exec </dev/null
            IFS=$nl
            for home in $homes; do
                [ -d "$home" ] || mkdir "$home" || fail "cannot make $home"
                echo $$ >"$home/cgroup.procs" || fail "cannot join $home"
            done
            IFS=' '
            { echo 0 >/proc/$$/oom_score_adj; } 2>/dev/null || echo "vmlet launcher: oom_score_adj stays" >&2
            if [ -n "$delegated" ]; then
                # Only now, when it holds no process itself (cgroups(7)); what is missing shows in the limits.
                for controller in memory cpu pids; do
                    { echo "+$controller" >"$delegated/cgroup.subtree_control"; } 2>/dev/null
                done
            fi
            trap '' HUP INT TERM

            # A pipe between parent and child that ends when the parent does: a fifo, opened at both ends, then unlinked.
            gate=$run/gate
            rm -f "$gate"
            mkfifo "$gate" || fail "cannot make $gate"
            exec 3<>"$gate" 4>"$gate" 5<"$gate" 3>&-
            rm -f "$gate"

            (
                exec 4>&-
                trap - HUP INT TERM
                ulimit -c 0
                IFS= read -r go <&5 || exit 125
                exec 5<&-
                exec "$@" </dev/null
            ) &
            pid=$!
            exec 5<&-
            IFS=$nl
            for leaf in $leaves; do
                [ -d "$leaf" ] || mkdir "$leaf" || fail "cannot make $leaf"
                echo $pid >"$leaf/cgroup.procs" || fail "cannot put the VMM into $leaf"
            done
            start=$(start_of $pid) && own=$(start_of $$) || fail "cannot read /proc"
            echo "$pid $start $boot $$ $own" >"$run/pid.new" && chmod 644 "$run/pid.new" &&
                mv "$run/pid.new" "$run/pid" || fail "cannot write $run/pid"
            echo go >&4
            exec 4>&-

            wait $pid
            code=$?
            # The run directory may have been cleared, or belong to the next launch by now.
            IFS=' '
            read -r p s rest 2>/dev/null <"$run/pid" && [ "$p $s" = "$pid $start" ] || exit 0
            # Noted here: a scope goes, with its counters, when this ends.
            IFS=$nl
            for leaf in $leaves; do
                { while IFS=' ' read -r key count; do
                    [ "$key" != oom_kill ] || [ "$count" = 0 ] || : >"$run/oom"
                done <"$leaf/memory.events"; } 2>/dev/null
            done
            echo $code >"$run/exit.new" && chmod 644 "$run/exit.new" && mv "$run/exit.new" "$run/exit"
            """;

    private final Path script;
    private final String bootId;
    private final HostEntry entry;

    /** On the host itself. */
    Launcher(Path binDir, String bootId) {
        this(binDir, bootId, HostEntry.none());
    }

    /** @param binDir of the state directory, on the host */
    Launcher(Path binDir, String bootId, HostEntry entry) {
        this.entry = entry;
        // Named after its content: a shell reads its script as it goes, so a running one must never change.
        this.script = binDir.resolve("launcher-" + HostNames.fingerprint(SCRIPT).substring(0, 8) + ".sh");
        this.bootId = bootId;
    }

    /** Whom the VMM runs as. */
    record Credentials(int userId, OptionalInt group) {
        /** setpriv(1): everything dropped, nothing can be gained again. */
        List<String> command() {
            return List.of(
                    "setpriv",
                    "--reuid",
                    Integer.toString(userId),
                    "--regid",
                    Integer.toString(userId),
                    group.isPresent() ? "--groups=" + group.getAsInt() : "--clear-groups",
                    "--bounding-set=-all",
                    "--inh-caps=-all",
                    "--ambient-caps=-all",
                    "--no-new-privs");
        }
    }

    /**
     * Returns once the pid file is on disk and the gate open.
     *
     * @param place cgroups of the launcher and of the VMM
     * @throws HostException.Refused when the launcher gave up, with the end of its log
     * @throws HostException.TimedOut when neither pid nor end came in time; the launcher is then ended
     */
    void launch(VmFiles files, Cgroups.Place place, Credentials credentials, List<String> vmm) throws HostException {
        List<String> command = new ArrayList<>(entry.words());
        command.addAll(place.before());
        command.addAll(
                List.of("setsid", "sh", script.toString(), "--run", files.run().toString(), "--boot", bootId));
        place.delegated().ifPresent(scope -> command.addAll(List.of("--delegated", scope.toString())));
        place.homes().forEach(home -> command.addAll(List.of("--home", home.toString())));
        place.leaves().forEach(leaf -> command.addAll(List.of("--leaf", leaf.toString())));
        command.add("--");
        command.addAll(credentials.command());
        command.addAll(vmm);
        String what = "start the VMM of VM " + files.vmUid();
        Process process;
        try {
            install();
            ProcessBuilder builder = new ProcessBuilder(command)
                    .directory(Path.of("/").toFile())
                    .redirectInput(
                            ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                    .redirectOutput(
                            ProcessBuilder.Redirect.appendTo(files.vmmLog().toFile()))
                    .redirectErrorStream(true);
            // Given, not inherited: RUST_BACKTRACE alone turns a panicking vCPU thread into SIGSYS (#8806).
            builder.environment().clear();
            builder.environment().putAll(Map.of("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL", "C"));
            process = builder.start();
        } catch (IOException e) {
            throw new HostException.Refused(what, e);
        }
        boolean settled = Waiting.until(PID_PATIENCE, () -> Files.exists(files.pid()) || !process.isAlive());
        if (Files.exists(files.pid())) {
            return;
        }
        if (settled) {
            throw new HostException.Refused(
                    what + ": the launcher ended with code " + process.exitValue() + ": "
                            + LogFiles.tail(files.vmmLog()),
                    null);
        }
        // A child at the gate ends with its parent.
        process.destroyForcibly();
        awaitEnd(process);
        throw new HostException.TimedOut(what + ": no pid file within " + PID_PATIENCE.toSeconds() + " s", null);
    }

    private static void awaitEnd(Process process) {
        try {
            process.waitFor(1, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Compared, not only looked for: a power cut may have left a name without its content. */
    private void install() throws IOException {
        byte[] content = SCRIPT.getBytes(StandardCharsets.UTF_8);
        if (Files.exists(script) && Arrays.equals(Files.readAllBytes(script), content)) {
            return;
        }
        DurableFiles.createFolders(DurableFiles.folderOf(script), "rwxr-xr-x");
        DurableFiles.write(script, content, "rwxr-xr-x");
    }
}
