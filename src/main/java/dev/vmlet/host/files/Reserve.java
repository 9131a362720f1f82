package dev.vmlet.host.files;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Space kept back, so that the stop of a guest can still be written down on a full file system: to delete a VM is how a
 * person makes room, and every rung of a stop is recorded before it is climbed.
 */
final class Reserve {
    /** Some dozens of records; next to nothing beside a disk. */
    private static final int BYTES = 256 << 10;

    private static final String FILE_MODE = "rw-------";

    private final Path file;

    Reserve(Path file) {
        this.file = file;
    }

    /** Takes the space unless it is taken. Where there is none, there is no reserve, and the next call tries again. */
    void take() {
        if (Files.exists(file)) {
            return;
        }
        try {
            // Written, not only made so large: a sparse file keeps nothing back.
            DurableFiles.write(file, new byte[BYTES], FILE_MODE);
        } catch (IOException e) {
            // Full, or not writable: then there is nothing to keep back.
        }
    }

    /** Writes durably, and gives the reserve for it where nothing else is left. */
    void write(Path target, byte[] content) throws IOException {
        try {
            DurableFiles.write(target, content, FILE_MODE);
        } catch (IOException e) {
            if (!DurableFiles.isNoSpace(e) || !Files.deleteIfExists(file)) {
                throw e;
            }
            DurableFiles.write(target, content, FILE_MODE);
        }
    }

    /** The first file of a folder that is made for it. The reserve is not for what is new. */
    static void writeNew(Path target, byte[] content, String folderMode) throws IOException {
        DurableFiles.createFolders(DurableFiles.folderOf(target), folderMode);
        try {
            DurableFiles.write(target, content, FILE_MODE);
        } catch (IOException e) {
            DurableFiles.deleteEmptyFolder(DurableFiles.folderOf(target));
            throw e;
        }
    }
}
