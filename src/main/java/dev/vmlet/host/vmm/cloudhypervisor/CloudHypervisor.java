package dev.vmlet.host.vmm.cloudhypervisor;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.vmlet.host.vmm.HostEntry;
import dev.vmlet.host.vmm.Landlock;
import dev.vmlet.host.vmm.VersionProbe;
import dev.vmlet.host.vmm.VmFiles;
import dev.vmlet.host.vmm.Vmm;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmRecord;
import java.io.EOFException;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * cloud-hypervisor v53.
 *
 * <pre>
 * vm.info says            and                                   the guest is
 * Running                                                       RUNNING
 * Paused                                                        PAUSED
 * Created, Shutdown       it was booted, or the record saw it   POWERED_OFF
 * Created                 otherwise                             STARTING
 * (no VM)                 as Created
 * (nobody listens)        the record never saw it run           STARTING
 * (nothing in time, 503)                                        BUSY
 * </pre>
 */
public final class CloudHypervisor implements Vmm {
    private static final Duration LOOK_PATIENCE = Duration.ofSeconds(2);
    private static final Duration CALL_PATIENCE = Duration.ofSeconds(4);
    private static final long MIB = 1 << 20;
    private static final String SYSTEM_UUID = "system_uuid=";

    private final Path binary;
    private final boolean confined;
    private final HostEntry entry;

    /** Where each VM's event file was read to. An entry is replaced when the file is another one. */
    private final Map<String, EventLog> events = new ConcurrentHashMap<>();

    /** On the host itself. */
    public CloudHypervisor(Path binary) {
        this(binary, HostEntry.none());
    }

    /** @param binary as the host names it */
    public CloudHypervisor(Path binary, HostEntry entry) {
        this(binary, Landlock.available(), entry);
    }

    CloudHypervisor(Path binary, boolean confined) {
        this(binary, confined, HostEntry.none());
    }

    private CloudHypervisor(Path binary, boolean confined, HostEntry entry) {
        this.binary = binary;
        this.confined = confined;
        this.entry = entry;
    }

    /** Whether guests are started under Landlock; it needs Linux 6.2 with Landlock switched on. */
    public boolean confined() {
        return confined;
    }

    @Override
    public List<String> command(LaunchSpec launch, VmFiles files) throws HostException {
        return CommandLine.of(binary, confined, launch, files);
    }

    @Override
    public Optional<String> machineOf(List<String> words) {
        String program = words.isEmpty()
                ? ""
                : words.getFirst().substring(words.getFirst().lastIndexOf('/') + 1);
        if (!program.startsWith("cloud-hypervisor") && !program.equals(String.valueOf(binary.getFileName()))) {
            return Optional.empty();
        }
        return words.stream()
                .flatMap(word -> Arrays.stream(word.split(",")))
                .filter(part -> part.startsWith(SYSTEM_UUID))
                .map(part -> part.substring(SYSTEM_UUID.length()))
                .findFirst();
    }

    @Override
    public Optional<Testimony.Size> sizeOf(List<String> words) {
        return CommandLine.size(words);
    }

    @Override
    public long overheadBytes(LaunchSpec launch) {
        // The VMM itself takes 10 MiB; the rest is page tables and page cache of the disks, charged to this cgroup.
        return 256 * MIB + launch.memory().bytes() / 16;
    }

    @Override
    public boolean needsKvm() {
        return true;
    }

    @Override
    public boolean serialNeedsReader() {
        return true;
    }

    @Override
    public Optional<Events> events(VmFiles files) {
        return Optional.empty();
    }

    @Override
    public Answer ask(VmFiles files, Optional<VmRecord.Launch> launch) {
        ApiClient api = new ApiClient(files.control());
        boolean ran = launch.flatMap(VmRecord.Launch::ranAt).isPresent();
        try {
            EventLog log = eventsOf(files);
            String known = launch.map(VmRecord.Launch::version).orElse("");
            String version = known.isEmpty() ? version(api.get("vmm.ping", LOOK_PATIENCE)) : known;
            JsonNode info = info(api);
            GuestState.Kind down = ran || log.booted() ? GuestState.Kind.POWERED_OFF : GuestState.Kind.STARTING;
            GuestState.Kind kind = switch (info.path("state").asText()) {
                case "Running" -> GuestState.Kind.RUNNING;
                case "Paused" -> GuestState.Kind.PAUSED;
                case "BreakPoint" -> GuestState.Kind.HELD;
                case "Created", "Shutdown", "" -> down;
                default -> GuestState.Kind.BUSY;
            };
            return new Answer(
                    new GuestState(kind, log.panicked(), version, log.reboots()),
                    info.path("config").path("platform").path("system_uuid").asText(""));
        } catch (SocketTimeoutException | EOFException | ApiClient.Crowded | ApiClient.Refused e) {
            return Answer.of(GuestState.Kind.BUSY);
        } catch (IOException e) {
            return Answer.of(ran ? GuestState.Kind.BUSY : GuestState.Kind.STARTING);
        }
    }

    /** As {@code --version} names it: v53.0, where the field {@code version} says 53.0.0. */
    private static String version(JsonNode ping) {
        return VersionProbe.find(ping.path("build_version").asText(), "v");
    }

    /** Missing when the VMM has no VM: 404 since v53. */
    private static JsonNode info(ApiClient api) throws IOException {
        try {
            return api.get("vm.info", LOOK_PATIENCE);
        } catch (ApiClient.Refused e) {
            if (e.status == 404) {
                return MissingNode.getInstance();
            }
            throw e;
        }
    }

    private EventLog eventsOf(VmFiles files) throws IOException {
        EventLog before = events.get(files.vmUid());
        EventLog log = before == null ? EventLog.of(files.events()) : EventLog.of(files.events(), before);
        events.put(files.vmUid(), log);
        synchronized (log) {
            return log.readOn();
        }
    }

    @Override
    public void pressPowerButton(VmFiles files) throws HostException {
        call(files, "vm.power-button");
    }

    /** Asked again it answers 500: somebody else was quicker, and the next look sees it run. */
    @Override
    public void resume(VmFiles files) throws HostException {
        call(files, "vm.resume");
    }

    @Override
    public void powerOff(VmFiles files) throws HostException {
        try {
            call(files, "vm.shutdown");
        } catch (HostException.Refused e) {
            // Not running, or no VM: the process is to end all the same, and says so itself if it cannot.
        }
        call(files, "vmm.shutdown");
        events.remove(files.vmUid());
    }

    private static void call(VmFiles files, String call) throws HostException {
        String what = call + " of VM " + files.vmUid() + " over " + files.control();
        try {
            new ApiClient(files.control()).put(call, CALL_PATIENCE);
        } catch (SocketTimeoutException e) {
            throw new HostException.TimedOut(what, e);
        } catch (ApiClient.Crowded e) {
            throw new HostException.Busy(what, e);
        } catch (EOFException e) {
            if (!call.equals("vmm.shutdown")) {
                throw new HostException.Busy(what, e);
            }
            // The process may be gone before its answer.
        } catch (IOException e) {
            throw new HostException.Refused(what, e);
        }
    }

    @Override
    public String version() {
        return VersionProbe.ask(entry, binary, "v");
    }

    @Override
    public Path binary() {
        return binary;
    }
}
