package dev.vmlet.apiserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;

/** Brings a real API server to where the embedded one starts: with our CRDs established. */
final class RealServer {
    private RealServer() {}

    static void applyCrds(Wire wire) throws IOException {
        List<Path> files;
        try (Stream<Path> crds = Files.list(Path.of("crd"))) {
            files = crds.sorted().toList();
        }
        assertThat(files).isNotEmpty();
        for (Path file : files) {
            String name = file.getFileName().toString();
            String crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
                    + name.substring(name.indexOf('/') + 1, name.length() - ".yaml".length());
            Wire.Answer applied =
                    wire.patch(crd + "?fieldManager=contract&force=true", Wire.APPLY, Files.readString(file));
            assertThat(applied.status()).as("%s: %s", file, applied.body()).isIn(200, 201);
            await().atMost(Duration.ofSeconds(60))
                    .until(() -> wire.get(crd)
                            .body()
                            .at("/status/conditions")
                            .findValuesAsText("type")
                            .contains("Established"));
            String plural = name.substring(0, name.indexOf('.'));
            await().atMost(Duration.ofSeconds(60))
                    .until(() -> wire.get(Contract.GROUP + "/" + plural).status() == 200);
        }
    }
}
