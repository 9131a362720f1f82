package dev.vmlet.host.disk;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** How many bytes may still be written where the folder lies. Tests have file systems of any size. */
interface Space {
    long usable(Path folder) throws IOException;

    /** How large that file system is. */
    default long total(Path folder) throws IOException {
        return Files.getFileStore(folder).getTotalSpace();
    }

    static Space ofFileSystem() {
        return folder -> Files.getFileStore(folder).getUsableSpace();
    }
}
