package dev.vmlet.host.disk;

import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmId;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Optional;

/** Makes one disk or boot file of a VM: taken up again, cloned or blank. Keeps no state of its own. */
final class DiskMaker {
    private static final int SECTOR = 512;

    private final HostPaths paths;
    private final ImageStore store;
    private final RetainedDisks retained;

    DiskMaker(HostPaths paths, ImageStore store, RetainedDisks retained) {
        this.paths = paths;
        this.store = store;
        this.retained = retained;
    }

    /** Lets a change of the VM's folder through, or ends the work with InterruptedException when the VM goes. */
    interface Gate {
        void pass(Change change) throws IOException, InterruptedException;

        /** Short: others wait. */
        interface Change {
            void run() throws IOException;
        }
    }

    /**
     * Size of the finished file; empty where there is none. A boot file counts only when it came from the image that is
     * asked for: it holds nothing of the guest's and is simply replaced.
     */
    Optional<Long> finished(VmId vm, DesiredDisk disk) throws IOException {
        Path target = Path.of(paths.disk(vm.uid(), disk));
        try {
            BasicFileAttributes file =
                    Files.readAttributes(target, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
            if (!file.isRegularFile()) {
                throw new IOException("it is not a regular file");
            }
            if (disk.role() != DesiredDisk.Role.DISK
                    && !Files.readString(origin(target), StandardCharsets.US_ASCII)
                            .equals(originOf(disk))) {
                return Optional.empty();
            }
            return Optional.of(file.size());
        } catch (NoSuchFileException e) {
            return Optional.empty();
        }
    }

    private static Path origin(Path target) {
        return target.resolveSibling(target.getFileName() + ".origin");
    }

    private static String originOf(DesiredDisk disk) {
        ImageSource image = disk.image().orElseThrow();
        return HostNames.fingerprint(
                image.getClass().getSimpleName() + " " + image + " " + image.format() + " " + image.sha256());
    }

    void make(VmId vm, DesiredDisk disk, int userId, Progress progress, Gate gate)
            throws DiskFailure, IOException, InterruptedException {
        Path target = Path.of(paths.disk(vm.uid(), disk));
        gate.pass(() -> DurableFiles.createFolders(DurableFiles.folderOf(target), "rwx--x--x"));
        if (disk.role() == DesiredDisk.Role.DISK && Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            grow(target, disk);
            return;
        }
        // A disk that goes with this VM must not take along what an earlier one was told to keep.
        if (disk.role() == DesiredDisk.Role.DISK && disk.retain()) {
            Optional<Path> kept = retained.find(vm, disk.name());
            if (kept.isPresent()) {
                gate.pass(() -> retained.take(kept.get(), target, userId));
                grow(target, disk);
                return;
            }
        }
        Path temp = DurableFiles.temp(target);
        try {
            gate.pass(() -> create(temp));
            if (disk.image().isPresent()) {
                fill(temp, disk, disk.image().get(), progress);
            }
            finish(temp, target, disk, userId, gate);
        } finally {
            Files.deleteIfExists(temp);
        }
    }

    private static void create(Path temp) throws IOException {
        Files.createFile(temp, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    }

    private void fill(Path temp, DesiredDisk disk, ImageSource source, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        try (OpenImage image = store.open(source, disk.role(), progress)) {
            long size = image.size();
            if (disk.sizeBytes() > 0 && size > disk.sizeBytes()) {
                throw DiskFailure.last(
                        Reason.ImageLargerThanDisk,
                        "image " + source + " is " + Bytes.exact(size) + " large and the disk "
                                + Bytes.exact(disk.sizeBytes()) + "; ask for a disk of at least the image's size");
            }
            OpenImage.Stamp before = image.stamp();
            store.requireClone(DurableFiles.folderOf(temp), image.allocated(), "the clone of image " + source);
            String verb = "Cloning " + ImageHead.shortName(source);
            progress.say("Waiting to clone " + ImageHead.shortName(source));
            store.heavy().run(() -> {
                SparseCopy.copy(image, temp, at -> progress.share(verb, at, size));
                DurableFiles.sync(temp);
                return temp;
            });
            if (!image.stamp().equals(before)) {
                throw ImageStore.changed(source);
            }
        }
    }

    private static void finish(Path temp, Path target, DesiredDisk disk, int userId, Gate gate)
            throws IOException, InterruptedException {
        if (disk.role() == DesiredDisk.Role.DISK) {
            SparseCopy.grow(temp, roundUp(Math.max(disk.sizeBytes(), Files.size(temp))));
            DurableFiles.giveTo(temp, userId);
            DurableFiles.sync(temp);
            gate.pass(() -> DurableFiles.publish(temp, target));
            return;
        }
        // Nobody writes to a boot file, and several users may have to read it: it stays the agent's own.
        Files.setPosixFilePermissions(temp, PosixFilePermissions.fromString("r--r--r--"));
        DurableFiles.sync(temp);
        gate.pass(() -> {
            // Gone first, written last: in between the file counts as missing.
            DurableFiles.delete(origin(target));
            DurableFiles.publish(temp, target);
            DurableFiles.write(origin(target), originOf(disk).getBytes(StandardCharsets.US_ASCII), "rw-------");
        });
    }

    private static void grow(Path target, DesiredDisk disk) throws IOException {
        long wanted = roundUp(disk.sizeBytes());
        if (Files.size(target) < wanted) {
            SparseCopy.grow(target, wanted);
            DurableFiles.sync(target);
        }
    }

    /** A VMM passes over the part of a sector at the end. */
    private static long roundUp(long bytes) {
        return (bytes + SECTOR - 1) / SECTOR * SECTOR;
    }
}
