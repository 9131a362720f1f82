package dev.vmlet.host.disk;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Seed;
import dev.vmlet.model.Seen;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/**
 * The NoCloud seed: a FAT file system labelled CIDATA with three files, by dosfstools and mtools
 * (<a href="https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html">NoCloud</a>). The same seed
 * makes the same bytes.
 */
final class SeedImage {
    private static final Duration LIMIT = Duration.ofSeconds(20);
    /** FAT knows no time before 1980 and would otherwise carry the moment of writing. */
    private static final Instant STAMP = Instant.parse("2020-01-01T00:00:00Z");

    private static final Map<String, String> ENVIRONMENT =
            Map.of("SOURCE_DATE_EPOCH", Long.toString(STAMP.getEpochSecond()), "MTOOLS_SKIP_CHECK", "1", "TZ", "UTC");

    private SeedImage() {}

    private static Path mark(Path image) {
        return image.resolveSibling("seed.sha256");
    }

    /** The fingerprint beside the image. It is written last and removed first: a torn pair reads as Missing. */
    static Seen<String> fingerprint(Path image) {
        Path mark = mark(image);
        try {
            String text = Files.readString(mark, StandardCharsets.US_ASCII).strip();
            if (!Files.isRegularFile(image) || text.isEmpty()) {
                return Seen.missing();
            }
            return Seen.present(text);
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Seen.unknown("The seed's fingerprint " + mark + " cannot be read: " + DurableFiles.cause(e));
        }
    }

    /**
     * @throws HostException.Unsupported where a tool is missing
     * @throws HostException.TimedOut where a tool hangs
     */
    static void write(Path image, Seed seed, int userId) throws HostException {
        Path work = DurableFiles.temp(image.resolveSibling("seed"));
        Path temp = work.resolve("seed.img");
        try {
            DurableFiles.createFolders(DurableFiles.folderOf(image), "rwx--x--x");
            DurableFiles.delete(mark(image));
            Files.createDirectory(
                    work, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            put(work, "meta-data", seed.metaData());
            put(work, "user-data", seed.userData());
            put(work, "network-config", seed.networkConfig());
            format(work, temp, seed);
            run(
                    work,
                    List.of(
                            tool("mcopy", "mtools"),
                            "-m",
                            "-i",
                            temp.toString(),
                            "meta-data",
                            "user-data",
                            "network-config",
                            "::"),
                    image);
            Files.setPosixFilePermissions(temp, PosixFilePermissions.fromString("r--------"));
            DurableFiles.giveTo(temp, userId);
            DurableFiles.publish(temp, image);
            byte[] fingerprint = (seed.fingerprint() + "\n").getBytes(StandardCharsets.US_ASCII);
            DurableFiles.write(mark(image), fingerprint, "rw-------");
        } catch (InterruptedIOException e) {
            throw new HostException.TimedOut("write seed " + image + ": " + e.getMessage(), e);
        } catch (IOException e) {
            throw DurableFiles.refusal("write seed " + image, e);
        } finally {
            Folders.deleteQuietly(work);
        }
    }

    private static void put(Path work, String name, String text) throws IOException {
        Path file = Files.writeString(work.resolve(name), text, StandardCharsets.UTF_8);
        Files.setLastModifiedTime(file, FileTime.from(STAMP));
    }

    private static void format(Path work, Path temp, Seed seed) throws IOException, HostException {
        long content = 0;
        for (String text : List.of(seed.metaData(), seed.userData(), seed.networkConfig())) {
            content += text.getBytes(StandardCharsets.UTF_8).length;
        }
        // A third of a MiB for both tables, the root folder and the ends of clusters.
        long kibibytes = Math.max(1, (content + (341 << 10) + (1 << 20) - 1) >> 20) << 10;
        run(
                work,
                List.of(
                        tool("mkfs.vfat", "dosfstools"),
                        "--invariant",
                        "-n",
                        "CIDATA",
                        "-C",
                        temp.toString(),
                        Long.toString(kibibytes)),
                temp);
    }

    private static String tool(String name, String pack) throws HostException {
        return Tool.find(name)
                .orElseThrow(() -> new HostException.Unsupported(
                        "write seed: " + name + " is missing on this host; install the package " + pack, null))
                .toString();
    }

    private static void run(Path work, List<String> command, Path image) throws IOException, HostException {
        try {
            Tool.Result result = Tool.run(work, LIMIT, ENVIRONMENT, command);
            if (result.code() != 0) {
                throw new HostException.Refused(
                        "write seed " + image + ": " + command.getFirst() + " ended with " + result.code() + ": "
                                + result.lastLine(),
                        null);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HostException.Busy("write seed " + image + ": interrupted", e);
        }
    }
}
