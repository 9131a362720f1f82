package dev.vmlet.host.vmm.qemu;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.vmlet.host.vmm.HostEntry;
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
import java.util.List;
import java.util.Optional;

/** Guests in software emulation, for hosts without KVM: {@code qemu-system-x86_64 -accel tcg}. */
public final class Qemu implements Vmm {
    static final int TRANSLATION_BUFFER_MIB = 256;
    private static final Duration PATIENCE = Duration.ofSeconds(2);
    private static final long MIB = 1 << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path binary;
    private final HostEntry entry;

    /** On the host itself. */
    public Qemu(Path binary) {
        this(binary, HostEntry.none());
    }

    /** @param binary as the host names it */
    public Qemu(Path binary, HostEntry entry) {
        this.binary = binary;
        this.entry = entry;
    }

    @Override
    public List<String> command(LaunchSpec launch, VmFiles files) {
        return QemuArguments.of(binary, launch, files);
    }

    @Override
    public Optional<String> machineOf(List<String> words) {
        String program = words.isEmpty()
                ? ""
                : words.getFirst().substring(words.getFirst().lastIndexOf('/') + 1);
        int option = words.indexOf("-uuid");
        return (program.startsWith("qemu-system-") || program.equals(String.valueOf(binary.getFileName())))
                        && option >= 0
                        && option + 1 < words.size()
                ? Optional.of(words.get(option + 1))
                : Optional.empty();
    }

    @Override
    public Optional<Testimony.Size> sizeOf(List<String> words) {
        return QemuArguments.size(words);
    }

    @Override
    public long overheadBytes(LaunchSpec launch) {
        // Translated code, the emulator itself, page cache of the disks, and page tables.
        return (TRANSLATION_BUFFER_MIB + 512) * MIB + launch.memory().bytes() / 16;
    }

    @Override
    public boolean needsKvm() {
        return false;
    }

    @Override
    public boolean serialNeedsReader() {
        return false;
    }

    @Override
    public Optional<Events> events(VmFiles files) {
        // A monitor of its own: one that serves a client keeps the next waiting (docs/interop/qmp-spec.rst).
        return Optional.of(new Events(files.eventSocket(), "{\"execute\":\"qmp_capabilities\"}\n", Qemu::isReboot));
    }

    /** Event RESET (qapi/run-state.json), asked for by the guest; the monitor's own system_reset is not. */
    static boolean isReboot(String line) {
        if (!line.contains("\"RESET\"")) {
            return false;
        }
        try {
            JsonNode told = JSON.readTree(line);
            return told.path("event").asText().equals("RESET")
                    && told.path("data").path("guest").asBoolean();
        } catch (IOException e) {
            // Not a line of QEMU's: the guest may have a hand in it.
            return false;
        }
    }

    @Override
    public Answer ask(VmFiles files, Optional<VmRecord.Launch> launch) {
        try (QmpClient qmp = new QmpClient(files.control(), PATIENCE)) {
            String status = qmp.execute("query-status").path("status").asText();
            String uuid = qmp.execute("query-uuid").path("UUID").asText();
            GuestState.Kind kind = switch (status) {
                case "running" -> GuestState.Kind.RUNNING;
                case "shutdown" -> GuestState.Kind.POWERED_OFF;
                case "prelaunch", "inmigrate", "preconfig" -> GuestState.Kind.STARTING;
                case "paused" -> GuestState.Kind.PAUSED;
                case "io-error" -> GuestState.Kind.WRITE_FAILED;
                // Asleep by its own wish, panicked, in a debugger, being saved: going on is not ours to order.
                default -> GuestState.Kind.HELD;
            };
            // All zero when none was given: says nothing.
            return new Answer(
                    new GuestState(kind, status.equals("guest-panicked"), qmp.version()),
                    uuid.startsWith("00000000-0000") ? "" : uuid);
        } catch (SocketTimeoutException | EOFException | QmpClient.Refused e) {
            return Answer.of(GuestState.Kind.BUSY);
        } catch (IOException e) {
            // Nobody listens: not yet when it never ran, and not any more when it did.
            return Answer.of(
                    launch.flatMap(VmRecord.Launch::ranAt).isPresent()
                            ? GuestState.Kind.BUSY
                            : GuestState.Kind.STARTING);
        }
    }

    @Override
    public void pressPowerButton(VmFiles files) throws HostException {
        call(files, "system_powerdown");
    }

    @Override
    public void resume(VmFiles files) throws HostException {
        call(files, "cont");
    }

    @Override
    public void powerOff(VmFiles files) throws HostException {
        call(files, "quit");
    }

    private static void call(VmFiles files, String command) throws HostException {
        String what = command + " of VM " + files.vmUid() + " over " + files.control();
        try (QmpClient qmp = new QmpClient(files.control(), PATIENCE)) {
            JsonNode _ = qmp.execute(command);
        } catch (SocketTimeoutException e) {
            throw new HostException.TimedOut(what, e);
        } catch (EOFException e) {
            if (!command.equals("quit")) {
                throw new HostException.Refused(what, e);
            }
            // It may be gone before the answer.
        } catch (IOException e) {
            throw new HostException.Refused(what, e);
        }
    }

    @Override
    public String version() {
        return VersionProbe.ask(entry, binary, "version ");
    }

    @Override
    public Path binary() {
        return binary;
    }
}
