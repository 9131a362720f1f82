package dev.vmlet.host.disk;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Turns qcow2 into raw by qemu-img, which reads what a stranger wrote: as a user without rights where the agent is root,
 * without a way to gain any, with limits on time, memory and file size. It reads one file and writes one, both in a
 * folder of its own.
 */
final class QemuImg {
    /** Room for qemu-img itself and its caches; it takes 25 MB (measured) and maps far more than it uses. */
    private static final long ADDRESS_SPACE = 2L << 30;

    private static final Duration INFO = Duration.ofSeconds(30);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final ImageSettings settings;

    QemuImg(ImageSettings settings) {
        this.settings = settings;
    }

    /** Hands the folder over, so that qemu-img may create its output there. */
    void open(Path work) throws IOException {
        if (Tool.isRoot()) {
            DurableFiles.giveTo(work, settings.unprivilegedUser());
        }
    }

    /**
     * What a qcow2 file unfolds to.
     *
     * @param size of the disk
     * @param dataBytes at most so many of it are not holes
     */
    record Contents(long size, long dataBytes) {}

    /**
     * Looks into the image.
     *
     * @param input in a folder given to {@link #open}; made readable
     * @throws DiskFailure ImageFormatMismatch when it is no qcow2, ImageRefused when it refers to other files, is
     *     encrypted or unfolds beyond the limit
     */
    Contents inspect(Path input, ImageSource source) throws DiskFailure, IOException, InterruptedException {
        if (Tool.isRoot()) {
            // The content is the tenant's own, and the folder lets nobody else in.
            Files.setPosixFilePermissions(input, PosixFilePermissions.fromString("rw-r--r--"));
        }
        // Without --backing-chain: the named backing file is never opened.
        JsonNode info = JSON.readTree(run(
                input,
                source,
                INFO,
                4L << 10,
                List.of(
                        "info",
                        "--output=json",
                        "-f",
                        "qcow2",
                        input.getFileName().toString())));
        JsonNode format = info.path("format-specific").path("data");
        if (info.hasNonNull("backing-filename") || info.hasNonNull("full-backing-filename")) {
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": it builds on another file, "
                            + printable(info.path("backing-filename").asText()) + "; flatten it with qemu-img convert");
        }
        if (format.hasNonNull("data-file")) {
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": its data is in another file; flatten it with qemu-img convert");
        }
        if (info.path("encrypted").asBoolean() || format.has("encrypt")) {
            throw DiskFailure.last(Reason.ImageRefused, "image " + source + ": it is encrypted");
        }
        long size = info.path("virtual-size").asLong(-1);
        if (size <= 0) {
            throw DiskFailure.last(Reason.ImageFormatMismatch, "image " + source + ": it has no size");
        }
        if (size > settings.limits().virtualBytes()) {
            throw DiskFailure.last(
                    Reason.ImageRefused,
                    "image " + source + ": its disk is " + Bytes.exact(size) + " large, more than the limit of "
                            + Bytes.exact(settings.limits().virtualBytes())
                            + "; make it smaller (qemu-img resize --shrink), and ask for the size of the VM's disk in"
                            + " the VM");
        }
        return new Contents(
                size,
                Math.min(
                        size, dataBytes(input, source, info.path("cluster-size").asLong(65_536))));
    }

    /** By the clusters that are allocated; compressed ones count as what they unfold to. */
    private long dataBytes(Path input, ImageSource source, long clusterBytes)
            throws DiskFailure, IOException, InterruptedException {
        // A cluster that leaked (3) costs the image some room and its content nothing.
        JsonNode check = JSON.readTree(run(
                input,
                source,
                settings.limits().convert(),
                4L << 10,
                Set.of(0, 3),
                List.of(
                        "check",
                        "--output=json",
                        "-f",
                        "qcow2",
                        input.getFileName().toString())));
        return check.path("allocated-clusters").asLong() * clusterBytes;
    }

    /** Writes {@code output} beside the input, sparse, {@code size} bytes large, owned by the agent. */
    void convert(Path input, Path output, long size, ImageSource source)
            throws DiskFailure, IOException, InterruptedException {
        String said = run(
                input,
                source,
                settings.limits().convert(),
                size,
                List.of(
                        "convert",
                        "-f",
                        "qcow2",
                        "-O",
                        "raw",
                        "-S",
                        "4k",
                        input.getFileName().toString(),
                        output.getFileName().toString()));
        // Whoever ran it could have put anything there: only a file of the right size under one name is taken.
        Map<String, Object> file =
                Files.readAttributes(output, "unix:nlink,size,isRegularFile", LinkOption.NOFOLLOW_LINKS);
        if (!Boolean.TRUE.equals(file.get("isRegularFile"))
                || !Integer.valueOf(1).equals(file.get("nlink"))
                || !Long.valueOf(size).equals(file.get("size"))) {
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": the conversion gave something else: " + file + " " + printable(said));
        }
        if (Tool.isRoot()) {
            DurableFiles.giveTo(output, 0);
        }
        Files.setPosixFilePermissions(output, PosixFilePermissions.fromString("rw-------"));
    }

    private String run(Path input, ImageSource source, Duration limit, long fileSize, List<String> arguments)
            throws DiskFailure, IOException, InterruptedException {
        return run(input, source, limit, fileSize, Set.of(0), arguments);
    }

    private String run(
            Path input, ImageSource source, Duration limit, long fileSize, Set<Integer> good, List<String> arguments)
            throws DiskFailure, IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                tool("prlimit", "util-linux", source),
                "--cpu=" + limit.toSeconds(),
                "--as=" + ADDRESS_SPACE,
                "--fsize=" + fileSize,
                "--core=0",
                "--nofile=64",
                tool("setpriv", "util-linux", source),
                "--no-new-privs"));
        if (Tool.isRoot()) {
            String user = Integer.toString(settings.unprivilegedUser());
            command.addAll(List.of("--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=-all"));
        }
        command.add(tool(settings.qemuImg(), "qemu-utils", source));
        command.addAll(arguments);
        Tool.Result result;
        try {
            result = Tool.run(DurableFiles.folderOf(input), limit, Map.of(), command);
        } catch (InterruptedIOException e) {
            throw new DiskFailure(Reason.ImageRefused, "image " + source + ": " + e.getMessage(), false, e);
        }
        if (!good.contains(result.code())) {
            if (result.output().contains("No space left")) {
                throw DiskFailure.again(
                        Reason.NoSpace,
                        "convert image " + source + ": " + printable(result.lastLine()) + "; free some space");
            }
            throw DiskFailure.last(
                    Reason.ImageFormatMismatch,
                    "image " + source + ": qemu-img cannot read it as qcow2 (ended with " + result.code() + "): "
                            + printable(result.lastLine()));
        }
        return result.output();
    }

    private static String tool(String name, String pack, ImageSource source) throws DiskFailure {
        return Tool.find(name)
                .orElseThrow(() -> DiskFailure.again(
                        Reason.HostRefused,
                        "image " + source + ": " + name + " is missing on this node; install the package " + pack
                                + ", or offer the image as raw"))
                .toString();
    }

    /** Names out of an image reach status and log: one line, no control characters, not too long. */
    private static String printable(String text) {
        String plain = text.replaceAll("\\p{Cc}", "?");
        return plain.length() > 200 ? plain.substring(0, 200) + "…" : plain;
    }
}
