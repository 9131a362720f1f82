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
import java.util.List;
import java.util.Set;

/** The door to images, disks, boot files and seeds. Slow work runs beside the caller. Safe for use by several threads. */
public interface Disks {
    DiskState observe(VmId vm, DesiredDisk disk);

    /**
     * Starts fetching, converting and cloning, unless that is under way. Returns at once; {@link #observe} shows the
     * progress, and the VM is woken when it ends. A disk that exists is grown to its size if it is smaller, and never
     * shrunk or overwritten.
     *
     * @param userId owner of the finished file
     */
    void prepare(VmId vm, DesiredDisk disk, int userId) throws HostException;

    /** Fingerprint of the seed image that was written for this VM. */
    Seen<String> seed(VmId vm);

    /** Writes a FAT image labelled CIDATA, readable by the user only, atomically. */
    void writeSeed(VmId vm, Seed seed, int userId) throws HostException;

    /** Whether files of the VM other than its record exist. */
    Seen<Boolean> leftovers(VmId vm);

    /** Names of the disks that the VM has, sorted; empty when it has none. */
    Seen<List<String>> names(VmId vm);

    /** Deletes every file of the VM but its record, after moving the disks to be retained aside. Ends preparation. */
    void delete(VmId vm, List<String> retained) throws HostException;

    /** Uids of VMs that have a directory of ours. */
    Set<String> traces() throws HostException;

    /** The images that disks are cloned from; Missing before the first one's folder is made. */
    Seen<ImageCache> images();

    /** The file of the cache that holds this image; it need not exist. Missing where it is known by fetching only. */
    Seen<String> imageFile(ImageSource image);

    /**
     * Removes an image from the cache; succeeds when there is none.
     *
     * @throws HostException.Busy while a disk is being cloned from it
     */
    void deleteImage(String file) throws HostException;

    /**
     * Removes what was left half made; succeeds when it is gone.
     *
     * @throws HostException.Busy when somebody works on it
     */
    void deletePartialImage(String name) throws HostException;

    /** Disks that outlived their VM, by namespace, name and disk. */
    List<RetainedDisk> retained() throws HostException;
}
