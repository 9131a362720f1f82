package dev.vmlet.host.disk;

import dev.vmlet.host.Disks;
import dev.vmlet.host.files.DurableFiles;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.HostPaths;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import dev.vmlet.model.RetainedDisk;
import dev.vmlet.model.Seed;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Disks as files of the state directory. Each preparation is a thread of its own; a disk bears its name only when it is
 * finished, so that a file that is there is whole.
 *
 * <pre>
 *   Missing --prepare--> Preparing --done--> Ready
 *                            |                 | larger size asked: prepare grows it
 *                            +--failed--> Failed --prepare--> Preparing
 * </pre>
 */
public final class LinuxDisks implements Disks, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(LinuxDisks.class);

    private final HostPaths paths;
    private final Consumer<String> wake;
    private final ImageStore store;
    private final DiskMaker maker;
    private final RetainedDisks retained;
    private final ReentrantLock lock = new ReentrantLock();
    /** Those under way and those that failed last. Guarded by the lock. */
    private final Map<Key, Job> jobs = new HashMap<>();

    private record Key(String vmUid, String disk) {}

    private static final class Job {
        final VmId vm;
        final DesiredDisk disk;
        final Progress progress = new Progress();
        /** All guarded by the lock. */
        @Nullable
        Thread thread;

        boolean cancelled;
        DiskState.@Nullable Failed failed;

        Job(VmId vm, DesiredDisk disk) {
            this.vm = vm;
            this.disk = disk;
        }
    }

    /**
     * Removes what a crashed agent left half done.
     *
     * @param wake told the uid of a VM when one of its preparations has ended; called on a thread of ours
     */
    public LinuxDisks(ImageSettings settings, Consumer<String> wake) throws HostException {
        this(settings, wake, Space.ofFileSystem());
    }

    /** For commands that only look, beside the agent that holds the directory: nothing is cleaned up or made. */
    public static LinuxDisks toLook(ImageSettings settings) throws HostException {
        return new LinuxDisks(settings, _ -> {}, Space.ofFileSystem(), false);
    }

    LinuxDisks(ImageSettings settings, Consumer<String> wake, Space space) throws HostException {
        this(settings, wake, space, true);
    }

    private LinuxDisks(ImageSettings settings, Consumer<String> wake, Space space, boolean holder)
            throws HostException {
        this.paths = settings.paths();
        this.wake = wake;
        try {
            this.store = new ImageStore(settings, space);
            this.retained = new RetainedDisks(paths);
            this.maker = new DiskMaker(paths, store, retained);
            if (holder) {
                store.folder().prepare();
            }
            for (String vmUid : holder ? folders() : Set.<String>of()) {
                Folders.deleteTemps(Path.of(paths.vmDir(vmUid)));
                Folders.deleteTemps(Path.of(paths.disksDir(vmUid)));
            }
        } catch (IOException e) {
            throw DurableFiles.refusal("clean up in " + paths.stateDir(), e);
        }
    }

    @Override
    public DiskState observe(VmId vm, DesiredDisk disk) {
        DiskState.Failed failed = null;
        lock.lock();
        try {
            Job job = jobs.get(new Key(vm.uid(), disk.name()));
            if (job != null && job.thread != null) {
                return new DiskState.Preparing(job.progress.text());
            }
            // What failed for another wish says nothing about this one.
            if (job != null && job.disk.equals(disk)) {
                failed = job.failed;
            }
        } finally {
            lock.unlock();
        }
        try {
            Optional<Long> size = maker.finished(vm, disk);
            if (size.isPresent() && (failed == null || size.get() >= disk.sizeBytes())) {
                return new DiskState.Ready(size.get());
            }
            return failed != null ? failed : new DiskState.Missing();
        } catch (IOException e) {
            return new DiskState.Failed(
                    Reason.CannotLook,
                    "disk " + disk.name() + ": look at " + paths.disk(vm.uid(), disk) + ": " + DurableFiles.cause(e),
                    true,
                    Instant.now());
        }
    }

    @Override
    public void prepare(VmId vm, DesiredDisk disk, int userId) throws HostException {
        Key key = new Key(vm.uid(), disk.name());
        lock.lock();
        try {
            Job running = jobs.get(key);
            if (running != null && running.thread != null) {
                return;
            }
            Job job = new Job(vm, disk);
            Thread thread =
                    Thread.ofVirtual().name("disk " + vm + " " + disk.name()).unstarted(() -> run(key, job, userId));
            job.thread = thread;
            jobs.put(key, job);
            thread.start();
        } finally {
            lock.unlock();
        }
    }

    private void run(Key key, Job job, int userId) {
        DiskState.@Nullable Failed failed = null;
        String what = "disk " + job.disk.name();
        try {
            maker.make(job.vm, job.disk, userId, job.progress, gate(job));
        } catch (DiskFailure e) {
            failed = new DiskState.Failed(e.reason(), what + ": " + e.getMessage(), e.retry(), Instant.now());
        } catch (IOException e) {
            DiskFailure failure = DiskFailure.of("prepare " + paths.disk(job.vm.uid(), job.disk), e);
            failed = new DiskState.Failed(
                    failure.reason(), what + ": " + failure.getMessage(), failure.retry(), Instant.now());
        } catch (InterruptedException e) {
            failed = new DiskState.Failed(Reason.HostRefused, what + ": preparation was given up", true, Instant.now());
        } catch (RuntimeException | Error e) {
            LOG.atError()
                    .addKeyValue("vm", job.vm)
                    .addKeyValue("disk", job.disk.name())
                    .setCause(e)
                    .log("bug");
            failed = new DiskState.Failed(Reason.HostRefused, what + ": a bug in vmlet: " + e, true, Instant.now());
        }
        if (finish(key, job, failed)) {
            wake.accept(job.vm.uid());
        }
    }

    private boolean finish(Key key, Job job, DiskState.@Nullable Failed failed) {
        lock.lock();
        try {
            job.thread = null;
            job.failed = failed;
            if (failed == null) {
                jobs.remove(key, job);
            }
            return !job.cancelled;
        } finally {
            lock.unlock();
        }
    }

    /** What changes the VM's folder passes here: after {@link #delete} has begun, nothing does any more. */
    private DiskMaker.Gate gate(Job job) {
        return change -> {
            lock.lock();
            try {
                if (job.cancelled) {
                    throw new InterruptedException();
                }
                change.run();
            } finally {
                lock.unlock();
            }
        };
    }

    @Override
    public Seen<String> seed(VmId vm) {
        return SeedImage.fingerprint(Path.of(paths.seed(vm.uid())));
    }

    @Override
    public void writeSeed(VmId vm, Seed seed, int userId) throws HostException {
        SeedImage.write(Path.of(paths.seed(vm.uid())), seed, userId);
    }

    @Override
    public Seen<Boolean> leftovers(VmId vm) {
        Path folder = Path.of(paths.vmDir(vm.uid()));
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, entry -> !isRecord(vm, entry))) {
            return Seen.present(entries.iterator().hasNext());
        } catch (NoSuchFileException e) {
            return Seen.present(false);
        } catch (IOException e) {
            return Seen.unknown(
                    "The files of VM " + vm + " in " + folder + " cannot be listed: " + DurableFiles.cause(e));
        }
    }

    @Override
    public Seen<List<String>> names(VmId vm) {
        Path folder = Path.of(paths.disksDir(vm.uid()));
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, "*" + RetainedDisks.SUFFIX)) {
            for (Path entry : entries) {
                String name = entry.getFileName().toString();
                if (!DurableFiles.isTemp(entry) && Files.isRegularFile(entry, LinkOption.NOFOLLOW_LINKS)) {
                    names.add(name.substring(0, name.length() - RetainedDisks.SUFFIX.length()));
                }
            }
        } catch (NoSuchFileException e) {
            return Seen.present(List.of());
        } catch (IOException | DirectoryIteratorException e) {
            return Seen.unknown("The disks of VM " + vm + " in " + folder + " cannot be listed: " + e.getMessage());
        }
        names.sort(Comparator.naturalOrder());
        return Seen.present(List.copyOf(names));
    }

    /** The record, its temporary files and damaged ones that were set aside belong to another door. */
    private boolean isRecord(VmId vm, Path entry) {
        String record = Path.of(paths.vmRecord(vm.uid())).getFileName().toString();
        String name = entry.getFileName().toString();
        return name.startsWith(record) || DurableFiles.isTemp(entry) && name.contains(record);
    }

    @Override
    public void delete(VmId vm, List<String> retainedNames) throws HostException {
        cancel(vm);
        Path folder = Path.of(paths.vmDir(vm.uid()));
        if (Files.notExists(folder)) {
            return;
        }
        try {
            for (String disk : retainedNames) {
                retained.keep(vm, disk);
            }
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, entry -> !isRecord(vm, entry))) {
                for (Path entry : entries) {
                    Folders.delete(entry);
                }
            }
            DurableFiles.sync(folder);
            if (!holdsRecord(vm, folder)) {
                DurableFiles.delete(folder);
            }
        } catch (DirectoryNotEmptyException | NoSuchFileException e) {
            throw new HostException.Busy("delete the files of VM " + vm + ": a preparation is still ending", e);
        } catch (IOException e) {
            throw DurableFiles.refusal("delete the files of VM " + vm + " in " + folder, e);
        }
    }

    private boolean holdsRecord(VmId vm, Path folder) throws IOException {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder, entry -> isRecord(vm, entry))) {
            return entries.iterator().hasNext();
        }
    }

    private void cancel(VmId vm) {
        lock.lock();
        try {
            jobs.entrySet().removeIf(entry -> {
                if (!entry.getKey().vmUid().equals(vm.uid())) {
                    return false;
                }
                Job job = entry.getValue();
                job.cancelled = true;
                if (job.thread != null) {
                    job.thread.interrupt();
                }
                return true;
            });
        } finally {
            lock.unlock();
        }
    }

    @Override
    public Set<String> traces() throws HostException {
        try {
            return folders();
        } catch (IOException e) {
            throw DurableFiles.refusal("list " + paths.vmsDir(), e);
        }
    }

    private Set<String> folders() throws IOException {
        Set<String> names = new TreeSet<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(Path.of(paths.vmsDir()), Files::isDirectory)) {
            entries.forEach(entry -> names.add(entry.getFileName().toString()));
        } catch (NoSuchFileException e) {
            return Set.of();
        } catch (NotDirectoryException e) {
            throw new IOException(paths.vmsDir() + " is not a folder", e);
        }
        return names;
    }

    @Override
    public Seen<ImageCache> images() {
        try {
            return Seen.present(store.folder().look());
        } catch (NoSuchFileException e) {
            return Seen.missing();
        } catch (IOException e) {
            return Seen.unknown("The images in " + paths.imagesDir() + " cannot be listed: " + DurableFiles.cause(e));
        }
    }

    @Override
    public Seen<String> imageFile(ImageSource image) {
        try {
            return store.file(image).map(Seen::present).orElseGet(Seen::missing);
        } catch (IOException e) {
            return Seen.unknown("What is known of image " + image + " in " + paths.imagesDir() + " cannot be read: "
                    + DurableFiles.cause(e));
        }
    }

    @Override
    public void deleteImage(String file) throws HostException {
        try {
            store.folder().delete(file);
        } catch (IOException e) {
            throw DurableFiles.refusal("remove the image " + file + " in " + paths.imagesDir(), e);
        }
    }

    @Override
    public void deletePartialImage(String name) throws HostException {
        try {
            store.folder().deletePartial(name);
        } catch (IOException e) {
            throw DurableFiles.refusal("remove " + name + " in " + paths.imagesDir(), e);
        }
    }

    @Override
    public List<RetainedDisk> retained() throws HostException {
        try {
            return retained.list();
        } catch (IOException e) {
            throw DurableFiles.refusal("list " + paths.retainedDir(), e);
        }
    }

    /** Interrupts all preparation; what was half done is removed at the next start at the latest. */
    @Override
    public void close() {
        lock.lock();
        try {
            for (Job job : jobs.values()) {
                job.cancelled = true;
                if (job.thread != null) {
                    job.thread.interrupt();
                }
            }
        } finally {
            lock.unlock();
        }
        store.close();
    }
}
