package dev.vmlet.host.vmm;

import dev.vmlet.model.Seen;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Locale;

/**
 * What /proc/pid/stat says of a process (proc(5)).
 *
 * @param state one letter, {@code Z} and {@code X} for the dead
 * @param parent field 4, pid of its parent
 * @param startTicks field 22, clock ticks from boot to start: with the pid it names a process uniquely in one boot
 */
record ProcStat(char state, int parent, long startTicks) {
    boolean dead() {
        return state == 'Z' || state == 'X' || state == 'x';
    }

    static Seen<ProcStat> read(int pid) {
        return read(Path.of("/proc"), pid);
    }

    static Seen<ProcStat> read(Path proc, int pid) {
        Path file = proc.resolve(pid + "/stat");
        try {
            return Seen.present(parse(Files.readString(file, StandardCharsets.ISO_8859_1)));
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            // A process that ends between open and read answers ESRCH.
            if (String.valueOf(e.getMessage()).toLowerCase(Locale.ROOT).contains("no such process")) {
                return Seen.missing();
            }
            return Seen.unknown("cannot read " + file + ": " + e.getMessage());
        } catch (IllegalArgumentException e) {
            return Seen.unknown(file + ": " + e.getMessage());
        }
    }

    /** Whom it runs as: the real user id. */
    static int user(int pid) throws IOException {
        return user(Path.of("/proc"), pid);
    }

    static int user(Path proc, int pid) throws IOException {
        return Files.readString(proc.resolve(pid + "/status"), StandardCharsets.ISO_8859_1)
                .lines()
                .filter(line -> line.startsWith("Uid:"))
                .map(line -> Integer.valueOf(line.split("\\s+")[1]))
                .findFirst()
                .orElseThrow(() -> new IOException("/proc/" + pid + "/status has no Uid"));
    }

    static ProcStat parse(String line) {
        // The name in parentheses may itself contain blanks and parentheses: fields count from the last one.
        int name = line.lastIndexOf(") ");
        String[] fields = name < 0 ? new String[0] : line.substring(name + 2).split(" ");
        if (fields.length < 20 || fields[0].length() != 1) {
            throw new IllegalArgumentException("not a stat line: " + line.strip());
        }
        return new ProcStat(fields[0].charAt(0), Integer.parseInt(fields[1]), Long.parseLong(fields[19]));
    }
}
