package dev.vmlet.model;

import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Images that have a name, each pinned to one file for each architecture.
 *
 * @param images by name, then by architecture as {@link Architecture} names it
 */
public record ImageCatalog(SortedMap<String, SortedMap<String, Pin>> images) {
    public static final ImageCatalog EMPTY = new ImageCatalog(new TreeMap<>());

    public ImageCatalog {
        SortedMap<String, SortedMap<String, Pin>> copy = new TreeMap<>();
        images.forEach((name, pins) -> copy.put(name, Collections.unmodifiableSortedMap(new TreeMap<>(pins))));
        images = Collections.unmodifiableSortedMap(copy);
    }

    /**
     * A file and how it is known again: by the digests that its publisher signs, of which some give one and some the
     * other.
     *
     * @param sha256 64 lower-case hex digits, or empty
     * @param sha512 128 lower-case hex digits, or empty; not both are
     */
    public record Pin(String url, ImageFormat format, String sha256, String sha512) {
        public Pin {
            ImageSource.checkDigests(sha256, sha512);
            if (sha256.isEmpty() && sha512.isEmpty()) {
                throw new IllegalArgumentException("neither sha256 nor sha512 is given");
            }
        }
    }

    /** With the other's images too; under a name that both have, the other's. */
    public ImageCatalog with(ImageCatalog other) {
        SortedMap<String, SortedMap<String, Pin>> all = new TreeMap<>(images);
        all.putAll(other.images);
        return new ImageCatalog(all);
    }

    /** The files of that name by architecture; empty where the catalog has none. */
    public Map<String, Pin> pins(String name) {
        return images.getOrDefault(name, Collections.emptySortedMap());
    }
}
