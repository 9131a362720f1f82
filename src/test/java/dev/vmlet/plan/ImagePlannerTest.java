package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.Given;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageCache.CachedImage;
import dev.vmlet.model.ImageCache.Thresholds;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ImagePlannerTest {
    private static final long GIB = 1L << 30;
    private static final Instant NOW = Given.NOW;
    private static final Thresholds THRESHOLDS = new Thresholds(85, 80);

    private static CachedImage image(String file, long gib, int minutesAgo) {
        return new CachedImage(file, gib * GIB, NOW.minusSeconds(60L * minutesAgo), false);
    }

    /** A file system of 100 GiB of which so many are used. */
    private static ImageCache used(long gib, CachedImage... images) {
        return new ImageCache(100 * GIB, (100 - gib) * GIB, THRESHOLDS, List.of(images), List.of());
    }

    private static Plan plan(ImageCache cache, String... needed) {
        return ImagePlanner.plan(Seen.present(cache), Set.of(needed), NOW);
    }

    private static List<String> removed(Plan plan) {
        return plan.steps().stream()
                .map(s -> s.step() instanceof Step.DeleteImage(String file, var _) ? file : s.toString())
                .toList();
    }

    @Test
    void removesNothingUpToTheThreshold() {
        assertThat(plan(used(85, image("old", 10, 600)))).isEqualTo(Plan.nothing());
    }

    @Test
    void removesTheLeastRecentlyUsedUntilItIsDownAtTheLowerThreshold() {
        Plan plan = plan(used(90, image("b", 4, 60), image("a", 7, 30), image("c", 5, 600), image("d", 20, 10)));
        assertThat(plan.waitingFor()).isEmpty();
        assertThat(plan).hasToString("""
                        remove the image c (5120 MiB), because the file system of the images is 90 % full, 85 % is the \
                        limit (--image-gc-high), and no disk was made from it since 2026-01-01T02:00:00Z
                        remove the image b (4096 MiB), because the file system of the images is 90 % full, 85 % is the \
                        limit (--image-gc-high), and no disk was made from it since 2026-01-01T11:00:00Z
                        remove the image a (7168 MiB), because the file system of the images is 90 % full, 85 % is the \
                        limit (--image-gc-high), and no disk was made from it since 2026-01-01T11:30:00Z""");
    }

    @Test
    void removesNeitherWhatIsInUseNorNeededNorFresh() {
        CachedImage inUse = new CachedImage("in-use", 30 * GIB, NOW.minusSeconds(36_000), true);
        CachedImage fresh =
                new CachedImage("fresh", 30 * GIB, NOW.minus(ImagePlanner.FRESH).plusSeconds(1), false);
        CachedImage justNotFresh = new CachedImage("not-fresh", GIB, NOW.minus(ImagePlanner.FRESH), false);
        Plan plan = plan(used(99, inUse, image("needed", 30, 600), fresh, justNotFresh), "needed");
        assertThat(removed(plan)).containsExactly("not-fresh");
        assertThat(plan.waitingFor())
                .contains(new Plan.Wait(
                        Reason.NoSpace,
                        "the file system of the images is more than 85 % full (--image-gc-high), and the images that are"
                                + " left are needed; free some space, or give the state directory a larger file system",
                        Duration.ofSeconds(30)));
    }

    @Test
    void saysWhenNoImageIsToBlame() {
        assertThat(plan(used(86)).waitingFor().orElseThrow().message()).contains("no image is left that could go");
        assertThat(plan(used(95, image("a", 1, 60))).waitingFor().orElseThrow().message())
                .contains("no image is left that could go");
    }

    @Test
    void ofTwoImagesOfOneTimeTheNameDecides() {
        assertThat(removed(plan(used(86, image("b", 6, 60), image("a", 6, 60)))))
                .containsExactly("a");
    }

    @Test
    void removesWhatIsHalfMadeAtAnyTime() {
        ImageCache cache = new ImageCache(100, 90, THRESHOLDS, List.of(), List.of(":work.2.tmp", ":work.1.tmp"));
        assertThat(plan(cache))
                .hasToString("remove the half-made image :work.1.tmp, because nobody works on it any more\nremove the"
                        + " half-made image :work.2.tmp, because nobody works on it any more");
    }

    @Test
    void removesNothingWhenItCannotLook() {
        assertThat(ImagePlanner.plan(Seen.unknown("no answer"), Set.of(), NOW))
                .isEqualTo(Plan.waiting(Reason.CannotLook, "no answer", Duration.ofSeconds(2)));
        assertThat(ImagePlanner.plan(Seen.missing(), Set.of(), NOW)).isEqualTo(Plan.nothing());
    }

    @Test
    void neverPassesAHundredPercent() {
        ImageCache full =
                new ImageCache(Long.MAX_VALUE, 0, new Thresholds(100, 0), List.of(image("a", 1, 60)), List.of());
        assertThat(plan(full)).isEqualTo(Plan.nothing());
        assertThat(full.usedPercent()).isEqualTo(100);
        assertThatThrownBy(() -> new Thresholds(80, 80)).hasMessageContaining("low 80 and high 80");
        assertThatThrownBy(() -> new Thresholds(101, 80)).isInstanceOf(IllegalArgumentException.class);
    }
}
