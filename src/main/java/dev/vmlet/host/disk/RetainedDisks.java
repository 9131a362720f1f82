package dev.vmlet.host.disk;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.RetainedDisk;
import dev.vmlet.model.VmId;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Disks that outlive their VM: {@code retained/<namespace>/<name>/<disk>.raw}, taken up again by the next VM of that
 * namespace and name. Of a VM whose name is lost they are in {@code retained/_nameless/<uid>}. Only the agent's user may
 * look into the folder.
 */
final class RetainedDisks {
    /** What Kubernetes allows as a name, and so nothing that is a path. */
    private static final Pattern NAME = Pattern.compile("[a-z0-9]([-a-z0-9.]*[a-z0-9])?");

    static final String SUFFIX = ".raw";

    /** For disks of VMs that nobody knows the name of; no namespace can be called so, and no VM takes them up again. */
    private static final String NAMELESS = "_nameless";

    private final HostPaths paths;

    RetainedDisks(HostPaths paths) {
        this.paths = paths;
    }

    private Path folder(VmId vm) throws IOException {
        if (vm.isNameless()) {
            return Path.of(paths.retainedDir(), NAMELESS, vm.uid());
        }
        if (!NAME.matcher(vm.namespace()).matches() || !NAME.matcher(vm.name()).matches()) {
            throw new IOException("VM " + vm + ": namespace or name is not a file name");
        }
        return Path.of(paths.retainedDir(), vm.namespace(), vm.name());
    }

    /** Moves the disk aside, durably; nothing happens where the VM has none of that name. Replaces no other disk. */
    void keep(VmId vm, String disk) throws IOException {
        Path from = Path.of(paths.disksDir(vm.uid()), disk + SUFFIX);
        if (!from.normalize().equals(from) || !Files.isRegularFile(from)) {
            return;
        }
        Path folder = folder(vm);
        DurableFiles.createFolders(folder, "rwx------");
        Path target = folder.resolve(disk + SUFFIX);
        if (Files.exists(target)) {
            // A person's data twice under one name: both are kept, and the later one says whose it was.
            target = folder.resolve(disk + "." + vm.uid() + SUFFIX);
        }
        Files.setPosixFilePermissions(from, PosixFilePermissions.fromString("rw-------"));
        DurableFiles.publish(from, target);
        DurableFiles.sync(Path.of(paths.disksDir(vm.uid())));
    }

    /** The disk that an earlier VM of this namespace and name left. */
    Optional<Path> find(VmId vm, String disk) throws IOException {
        return Optional.of(folder(vm).resolve(disk + SUFFIX)).filter(Files::isRegularFile);
    }

    /** Moves it to the VM, owned by the user. */
    void take(Path retained, Path target, int userId) throws IOException {
        DurableFiles.giveTo(retained, userId);
        DurableFiles.sync(retained);
        Files.move(retained, target, StandardCopyOption.ATOMIC_MOVE);
        DurableFiles.sync(DurableFiles.folderOf(target));
        DurableFiles.sync(DurableFiles.folderOf(retained));
    }

    /** All of them, by path. */
    List<RetainedDisk> list() throws IOException {
        List<RetainedDisk> disks = new ArrayList<>();
        Path top = Path.of(paths.retainedDir());
        if (!Files.isDirectory(top)) {
            return disks;
        }
        try (Stream<Path> files = Files.walk(top, 3)) {
            for (Path file : files.filter(f -> f.getNameCount() == top.getNameCount() + 3)
                    .filter(f -> f.toString().endsWith(SUFFIX) && Files.isRegularFile(f))
                    .sorted()
                    .toList()) {
                Path below = top.relativize(file);
                String name = below.getName(2).toString();
                disks.add(new RetainedDisk(
                        below.getName(0).toString(),
                        below.getName(1).toString(),
                        name.substring(0, name.length() - SUFFIX.length()),
                        Files.size(file),
                        file.toString()));
            }
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        return disks;
    }
}
