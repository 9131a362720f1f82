package dev.vmlet.plan;

import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageCache.CachedImage;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Plans which images a full file system has to do without: those that nobody needs, least recently used first, until it
 * is down at the lower threshold. What was half made and belongs to nobody goes at any time.
 */
public final class ImagePlanner {
    /** What was used so lately may be wanted again at once: VMs of one image are often made one after the other. */
    static final Duration FRESH = Duration.ofMinutes(2);

    private static final Duration SOON = Duration.ofSeconds(2);
    private static final Duration LATER = Duration.ofSeconds(30);

    private ImagePlanner() {}

    /**
     * @param needed files of images that a VM of this node asks for and whose disk is not made yet; may be empty where
     *     the file system is not pressed
     */
    public static Plan plan(Seen<ImageCache> look, Set<String> needed, Instant now) {
        return switch (look) {
            // No folder, no images.
            case Seen.Missing<ImageCache> _ -> Plan.nothing();
            case Seen.Unknown<ImageCache>(String cause) -> Plan.waiting(Reason.CannotLook, cause, SOON);
            case Seen.Present<ImageCache>(ImageCache cache) -> plan(cache, needed, now);
        };
    }

    private static Plan plan(ImageCache cache, Set<String> needed, Instant now) {
        List<PlannedStep> steps = new ArrayList<>();
        for (String name : cache.abandoned().stream().sorted().toList()) {
            steps.add(new PlannedStep(new Step.DeletePartialImage(name), "nobody works on it any more"));
        }
        if (!cache.isPressed()) {
            return new Plan(steps, Optional.empty());
        }
        List<CachedImage> unused = cache.images().stream()
                .filter(i -> !i.inUse() && !needed.contains(i.file()) && !isFresh(i, now))
                .sorted(Comparator.comparing(CachedImage::lastUsed).thenComparing(CachedImage::file))
                .toList();
        long left = cache.excessBytes();
        for (CachedImage image : unused) {
            if (left <= 0) {
                break;
            }
            steps.add(new PlannedStep(
                    new Step.DeleteImage(image.file(), image.bytes()),
                    "the file system of the images is " + cache.usedPercent() + " % full, "
                            + cache.thresholds().high() + " % is the limit (--image-gc-high), and no disk was made"
                            + " from it since " + image.lastUsed().truncatedTo(ChronoUnit.SECONDS)));
            left -= image.bytes();
        }
        return new Plan(steps, left > 0 ? Optional.of(pressed(cache, unused.size())) : Optional.empty());
    }

    private static boolean isFresh(CachedImage image, Instant now) {
        return Duration.between(image.lastUsed(), now).compareTo(FRESH) < 0;
    }

    /** Without figures that change by the minute: it becomes an Event and a condition. */
    private static Plan.Wait pressed(ImageCache cache, int going) {
        int kept = cache.images().size() - going;
        return new Plan.Wait(
                Reason.NoSpace,
                "the file system of the images is more than "
                        + cache.thresholds().high()
                        + " % full (--image-gc-high), and "
                        + (kept == 0 ? "no image is left that could go" : "the images that are left are needed")
                        + "; free some space, or give the state directory a larger file system",
                LATER);
    }
}
