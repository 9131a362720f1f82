package dev.vmlet.host.disk;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.model.HostException;
import dev.vmlet.model.ImageCatalog;
import dev.vmlet.model.ImageCatalog.Pin;
import dev.vmlet.model.ImageFormat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CatalogFileTest {
    private static final String SHA256 = "a".repeat(64);

    @TempDir
    Path folder;

    private ImageCatalog load(String text) throws IOException, HostException {
        return CatalogFile.load(Optional.of(Files.writeString(folder.resolve("c.yaml"), text)));
    }

    @Test
    void theBuiltInCatalogPinsDatedFilesOfFourReleasesForTwoArchitectures() throws Exception {
        ImageCatalog catalog = CatalogFile.load(Optional.empty());
        assertThat(catalog.images()).containsOnlyKeys("debian-12", "debian-13", "ubuntu-24.04", "ubuntu-26.04");
        catalog.images().forEach((name, pins) -> {
            assertThat(pins).as(name).containsOnlyKeys("aarch64", "x86_64");
            pins.forEach((architecture, pin) -> {
                String publishers = architecture.equals("x86_64") ? "amd64" : "arm64";
                assertThat(pin.url())
                        .as(name)
                        .matches("https://(cloud\\.debian\\.org|cloud-images\\.ubuntu\\.com)/.*[-/]20\\d{6}[-/].*")
                        .contains(name + "-", "-" + publishers);
                assertThat(pin.format()).isEqualTo(ImageFormat.QCOW2);
                assertThat(pin.sha256().isEmpty()).as("what Debian signs").isEqualTo(name.startsWith("debian"));
            });
        });
        assertThat(catalog.images().values().stream()
                        .flatMap(pins -> pins.values().stream())
                        .map(pin -> pin.sha256() + pin.sha512()))
                .doesNotHaveDuplicates();
    }

    @Test
    void anOperatorsCatalogIsAddedAndItsNamesGoFirst() throws Exception {
        ImageCatalog catalog = load("""
                images:
                  debian-13: [{architecture: amd64, url: "http://in.house/d13.raw", format: raw, sha256: "%s"}]
                  ours: [{architecture: arm64, url: "http://in.house/ours.raw", format: raw, sha256: "%s"}]
                """.formatted(SHA256, SHA256));
        assertThat(catalog.images())
                .containsOnlyKeys("debian-12", "debian-13", "ours", "ubuntu-24.04", "ubuntu-26.04")
                .containsEntry(
                        "debian-13",
                        new java.util.TreeMap<>(
                                Map.of("x86_64", new Pin("http://in.house/d13.raw", ImageFormat.RAW, SHA256, ""))));
        assertThat(catalog.pins("ours")).containsOnlyKeys("aarch64");
    }

    @Test
    void anOperatorsCatalogCanStandAlone() throws Exception {
        assertThat(load("{builtIn: false, images: {}}")).isEqualTo(ImageCatalog.EMPTY);
    }

    @Test
    void saysWhatIsWrongInAFile() {
        says("images: [", "no valid YAML at line 1");
        says("images: {a: 1}\nimages: {a: 2}", "no valid YAML at line 2");
        says("", "the file: a mapping expected");
        says("image: {}", "the file: image is not known here; there are builtIn, images");
        says("{images: {}, builtIn: nein}", "builtIn: true or false expected, not \"nein\"");
        says("images: {Debian: []}", "images.Debian: a name has at most 63 lower-case letters");
        says("images: {a: []}", "images.a: a list of files expected, one for each architecture");
        says(entry("url: x"), "images.a[0].architecture is missing");
        says(
                entry("architecture: x86_64, url: 'ftp://h/x'"),
                "images.a[0].url: http:// or https://, a host and a path");
        says(entry("architecture: x86_64, url: 'http://u:p@h/x'"), "images.a[0].url: http:// or https://");
        says(
                entry("architecture: x86_64, url: 'http://h/x', format: vmdk"),
                "images.a[0].format: raw or qcow2 expected");
        says(
                entry("architecture: x86_64, url: 'http://h/x', format: raw"),
                "images.a[0]: neither sha256 nor sha512 is given");
        says(
                entry("architecture: x86_64, url: 'http://h/x', format: raw, sha256: 12"),
                "images.a[0].sha256: a text expected; quote it");
        says(
                entry("architecture: x86_64, url: 'http://h/x', format: raw, sha256: ABC"),
                "images.a[0]: sha256: 64 lower-case hex digits expected, not: ABC");
        says(
                entry("architecture: x86_64, url: 'http://h/x', format: raw, sha265: x"),
                "images.a[0]: sha265 is not known here; there are architecture, format, sha256, sha512, url");
        String one = "{architecture: %s, url: 'http://h/x', format: raw, sha256: " + SHA256 + "}";
        says(
                "images: {a: [" + one.formatted("x86_64") + ", " + one.formatted("amd64") + "]}",
                "images.a[1].architecture: x86_64 is there already; one file for each");
        assertThatThrownBy(() -> CatalogFile.load(Optional.of(folder.resolve("none.yaml"))))
                .isInstanceOf(HostException.class)
                .hasMessage("read image catalog " + folder.resolve("none.yaml") + ": no such file or folder");
    }

    private static String entry(String fields) {
        return "images: {a: [{" + fields + "}]}";
    }

    private void says(String text, String message) {
        assertThatThrownBy(() -> load(text))
                .as(text)
                .isInstanceOf(HostException.class)
                .hasMessageStartingWith("image catalog " + folder.resolve("c.yaml") + ": ")
                .hasMessageContaining(message);
    }
}
