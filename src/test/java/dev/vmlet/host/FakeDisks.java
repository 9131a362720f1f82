package dev.vmlet.host;

import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageSource;
import dev.vmlet.model.RetainedDisk;
import dev.vmlet.model.Seed;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Disks and seeds in memory. A preparation ends when the test says so. */
public final class FakeDisks implements Disks {
    /** Disk names by VM uid, and the sizes of those that are finished. */
    private final Map<String, Map<String, Long>> finished = new TreeMap<>();

    private final Map<String, Map<String, DesiredDisk>> preparing = new TreeMap<>();
    private final Map<String, DiskState.Failed> failures = new TreeMap<>();
    private final Map<String, String> seeds = new TreeMap<>();
    private final Set<String> retained = new TreeSet<>();
    private @Nullable String blind;

    /** The next look at a seed or at leftovers fails. */
    public void failNextLook(String cause) {
        blind = cause;
    }

    /** Whether a failing look is still to come. */
    public boolean armed() {
        return blind != null;
    }

    /** Whether the failing look has not happened yet; it is taken back. */
    public boolean takeBackFailure() {
        boolean pending = blind != null;
        blind = null;
        return pending;
    }

    /** Every preparation under way ends well. */
    public void finishAll() {
        preparing.forEach((uid, disks) ->
                disks.forEach((name, disk) -> finished.computeIfAbsent(uid, _ -> new TreeMap<>())
                        .merge(name, Math.max(disk.sizeBytes(), 1), Math::max)));
        preparing.clear();
    }

    /** The preparation of this disk ends so. */
    public void fail(VmId vm, String disk, DiskState.Failed how) {
        preparing.getOrDefault(vm.uid(), new TreeMap<>()).remove(disk);
        failures.put(vm.uid() + "/" + disk, how);
    }

    /** The agent dies: what was under way is lost. */
    public void agentDies() {
        preparing.clear();
        failures.clear();
        blind = null;
    }

    /** Names of the finished disks of the VM. */
    public Set<String> finished(String vmUid) {
        return finished.getOrDefault(vmUid, Map.of()).keySet();
    }

    public boolean hasSeed(String vmUid) {
        return seeds.containsKey(vmUid);
    }

    /** Disks that outlived their VM, as {@code uid/name}. */
    public Set<String> retainedNames() {
        return retained;
    }

    @Override
    public DiskState observe(VmId vm, DesiredDisk disk) {
        if (preparing.getOrDefault(vm.uid(), Map.of()).containsKey(disk.name())) {
            return new DiskState.Preparing("Copying " + disk.name());
        }
        Long size = finished.getOrDefault(vm.uid(), Map.of()).get(disk.name());
        if (size != null) {
            return new DiskState.Ready(size);
        }
        DiskState.Failed failure = failures.get(vm.uid() + "/" + disk.name());
        return failure != null ? failure : new DiskState.Missing();
    }

    @Override
    public void prepare(VmId vm, DesiredDisk disk, int userId) {
        failures.remove(vm.uid() + "/" + disk.name());
        preparing.computeIfAbsent(vm.uid(), _ -> new TreeMap<>()).put(disk.name(), disk);
    }

    @Override
    public Seen<String> seed(VmId vm) {
        if (blind != null) {
            String cause = blind;
            blind = null;
            return Seen.unknown(cause);
        }
        String seed = seeds.get(vm.uid());
        return seed == null ? Seen.missing() : Seen.present(seed);
    }

    @Override
    public void writeSeed(VmId vm, Seed seed, int userId) {
        seeds.put(vm.uid(), seed.fingerprint());
    }

    @Override
    public Seen<Boolean> leftovers(VmId vm) {
        return Seen.present(
                finished.containsKey(vm.uid()) || preparing.containsKey(vm.uid()) || seeds.containsKey(vm.uid()));
    }

    @Override
    public Seen<List<String>> names(VmId vm) {
        return Seen.present(finished(vm.uid()).stream().sorted().toList());
    }

    @Override
    public void delete(VmId vm, List<String> retainedNames) throws HostException {
        preparing.remove(vm.uid());
        Map<String, Long> gone = finished.remove(vm.uid());
        if (gone != null) {
            retainedNames.stream().filter(gone::containsKey).forEach(name -> retained.add(vm.uid() + "/" + name));
        }
        seeds.remove(vm.uid());
    }

    @Override
    public Set<String> traces() {
        Set<String> uids = new HashSet<>(finished.keySet());
        uids.addAll(preparing.keySet());
        uids.addAll(seeds.keySet());
        return uids;
    }

    /** How full the file system of the images is, and what lies there. */
    private Seen<ImageCache> cache = Seen.missing();

    private final Map<String, Seen<String>> imageFiles = new TreeMap<>();

    public void cache(Seen<ImageCache> seen) {
        cache = seen;
    }

    /** The image of that name or URL is known to be in that file. */
    public void imageIsIn(String image, Seen<String> file) {
        imageFiles.put(image, file);
    }

    @Override
    public Seen<ImageCache> images() {
        return cache;
    }

    @Override
    public Seen<String> imageFile(ImageSource image) {
        return imageFiles.getOrDefault(image.toString(), Seen.missing());
    }

    @Override
    public void deleteImage(String file) throws HostException {
        if (!(cache instanceof Seen.Present<ImageCache>(ImageCache c))) {
            return;
        }
        List<ImageCache.CachedImage> left = new ArrayList<>(c.images());
        long freed = 0;
        for (ImageCache.CachedImage image : c.images()) {
            if (image.file().equals(file)) {
                if (image.inUse()) {
                    throw new HostException.Busy("remove the image " + file + ": a disk is being cloned from it", null);
                }
                left.remove(image);
                freed = image.bytes();
            }
        }
        cache = Seen.present(
                new ImageCache(c.totalBytes(), c.usableBytes() + freed, c.thresholds(), left, c.abandoned()));
    }

    @Override
    public void deletePartialImage(String name) {
        if (cache instanceof Seen.Present<ImageCache>(ImageCache c)) {
            List<String> left = new ArrayList<>(c.abandoned());
            left.remove(name);
            cache = Seen.present(new ImageCache(c.totalBytes(), c.usableBytes(), c.thresholds(), c.images(), left));
        }
    }

    @Override
    public List<RetainedDisk> retained() {
        return List.of();
    }
}
