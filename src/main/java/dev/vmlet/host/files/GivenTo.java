package dev.vmlet.host.files;

import dev.vmlet.model.HostPaths;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/** Whom a VM's files were given to: the user its guest runs as, where the record that says so is damaged. */
final class GivenTo {
    private GivenTo() {}

    /** The owner of seed and disks; empty when there are none, or of several. */
    static OptionalInt of(HostPaths paths, String uid) {
        Set<Integer> owners = new HashSet<>();
        List<Path> files = new ArrayList<>(List.of(Path.of(paths.seed(uid))));
        try {
            files.addAll(DurableFiles.list(Path.of(paths.disksDir(uid))));
        } catch (IOException e) {
            // No disks, or nobody can tell whose.
        }
        for (Path file : files) {
            try {
                int owner = (int) Files.getAttribute(file, "unix:uid", LinkOption.NOFOLLOW_LINKS);
                if (owner != 0) {
                    owners.add(owner);
                }
            } catch (IOException e) {
                // Gone.
            }
        }
        return owners.size() == 1 ? OptionalInt.of(owners.iterator().next()) : OptionalInt.empty();
    }
}
