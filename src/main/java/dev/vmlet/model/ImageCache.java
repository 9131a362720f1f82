package dev.vmlet.model;

import java.time.Instant;
import java.util.List;

/**
 * The images that a node keeps and the file system that they fill, at one moment.
 *
 * @param images whole ones that disks are cloned from, by file name
 * @param abandoned names of what was half fetched or converted and that nobody works on
 */
public record ImageCache(
        long totalBytes, long usableBytes, Thresholds thresholds, List<CachedImage> images, List<String> abandoned) {
    public ImageCache {
        images = List.copyOf(images);
        abandoned = List.copyOf(abandoned);
    }

    /**
     * What the operator wants: removal begins when the file system is fuller than {@code high} and ends at {@code low}.
     *
     * @param high percent, 1 to 100; 100 is never passed
     * @param low percent, below {@code high}
     */
    public record Thresholds(int high, int low) {
        public Thresholds {
            if (low < 0 || low >= high || high > 100) {
                throw new IllegalArgumentException(
                        "0 <= low < high <= 100 percent expected, not low " + low + " and high " + high);
            }
        }
    }

    /**
     * @param bytes that its removal frees
     * @param lastUsed when a disk was last cloned from it, or it was made
     * @param inUse a disk is being cloned from it now
     */
    public record CachedImage(String file, long bytes, Instant lastUsed, boolean inUse) {}

    /** Whether the file system is fuller than the threshold. */
    public boolean isPressed() {
        return usedBytes() > share(thresholds.high);
    }

    public int usedPercent() {
        return totalBytes <= 0 ? 0 : (int) Math.ceil(100.0 * usedBytes() / totalBytes);
    }

    /** What must go to come down to the lower threshold; 0 where nothing must. */
    public long excessBytes() {
        return Math.max(0, usedBytes() - share(thresholds.low));
    }

    private long usedBytes() {
        return totalBytes - usableBytes;
    }

    /** So many percent of all, without a product that overflows. */
    private long share(int percent) {
        return totalBytes / 100 * percent + totalBytes % 100 * percent / 100;
    }
}
