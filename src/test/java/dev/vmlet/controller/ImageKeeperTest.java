package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNodeStatus.Finding;
import dev.vmlet.host.Applier;
import dev.vmlet.host.FakeDisks;
import dev.vmlet.host.FakeHost;
import dev.vmlet.host.FakeProbes;
import dev.vmlet.host.FakeRecords;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.host.Host;
import dev.vmlet.model.DesiredDisk;
import dev.vmlet.model.Given;
import dev.vmlet.model.ImageCache;
import dev.vmlet.model.ImageCache.CachedImage;
import dev.vmlet.model.Seen;
import dev.vmlet.resolve.VmResolver;
import java.time.Clock;
import java.time.ZoneOffset;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the images' keeper takes for needed, and what it tells. */
class ImageKeeperTest {
    private static final String URL = "https://images.example/debian-13.qcow2";
    private static final VirtualMachine VM = Given.vm();

    private final FakeHost links = new FakeHost(Given.INSTALLATION);
    private final FakeDisks disks = new FakeDisks();
    private final Host host =
            new Host(links, links, new FakeVmms(Given.BOOT), disks, new FakeRecords(), new FakeProbes());
    private final ImageKeeper keeper = new ImageKeeper(
            disks,
            new Applier(host, (_, _, _) -> {}, () -> {}),
            () -> Given.facts(List.of()),
            Clock.fixed(Given.NOW, ZoneOffset.UTC));

    @BeforeEach
    void anImageOnAFullFileSystem() {
        usedPercent(90);
        disks.imageIsIn(URL, Seen.present("image"));
    }

    private void usedPercent(int percent) {
        disks.cache(Seen.present(new ImageCache(
                100,
                100 - percent,
                new ImageCache.Thresholds(85, 80),
                List.of(new CachedImage("image", 20, Given.NOW.minusSeconds(3600), false)),
                List.of())));
    }

    private List<String> left() {
        return disks.images() instanceof Seen.Present<ImageCache>(ImageCache cache)
                ? cache.images().stream().map(CachedImage::file).toList()
                : List.of();
    }

    @Test
    void removesAnImageThatNobodyAsksFor() {
        ImageKeeper.Result result = keeper.pass(List::of);
        assertThat(left()).isEmpty();
        assertThat(result.findings())
                .containsExactly(new Finding(
                        "image",
                        "image",
                        "",
                        "Removed",
                        "the file system of the images is 90 % full, 85 % is the limit (--image-gc-high), and no disk"
                                + " was made from it since 2026-01-01T11:00:00Z"));
        assertThat(result.pressure()).isEmpty();
        assertThat(keeper.pass(List::of).findings()).isEmpty();
    }

    @Test
    void keepsAnImageForAVmWhoseDiskIsNotMadeYet() throws Exception {
        ImageKeeper.Result result = keeper.pass(() -> List.of(VM));
        assertThat(left()).containsExactly("image");
        assertThat(result.findings()).isEmpty();
        assertThat(result.pressure()).get().asString().contains("the images that are left are needed");

        for (DesiredDisk disk : VmResolver.disks(VM, Given.facts(List.of()))) {
            disks.prepare(VmResolver.idOf(VM), disk, 1);
        }
        keeper.pass(() -> List.of(VM));
        assertThat(left()).as("while it is being made").containsExactly("image");

        disks.finishAll();
        keeper.pass(() -> List.of(VM));
        assertThat(left()).as("once the disk is made").isEmpty();
    }

    @Test
    void keepsAnImageAlsoWhereTheVmCannotBeFollowed() {
        VirtualMachine unresolved = Given.vm("web", "vm-1", Given.spec("no-such-network"));
        keeper.pass(() -> List.of(unresolved));
        assertThat(left()).containsExactly("image");
    }

    @Test
    void removesNothingWhereItCannotTellWhichImageIsMeant() {
        disks.imageIsIn(URL, Seen.unknown("the index cannot be read"));
        assertThat(keeper.pass(() -> List.of(VM))
                        .plan()
                        .waitingFor()
                        .orElseThrow()
                        .message())
                .isEqualTo("the index cannot be read");
        assertThat(left()).containsExactly("image");
    }

    @Test
    void asksForNoVmWhileThereIsRoom() {
        usedPercent(85);
        Supplier<List<VirtualMachine>> nobody = () -> {
            throw new AssertionError("asked");
        };
        assertThat(keeper.pass(nobody).plan().isEmpty()).isTrue();
        assertThat(left()).containsExactly("image");
    }
}
