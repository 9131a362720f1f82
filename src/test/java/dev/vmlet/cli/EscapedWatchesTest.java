package dev.vmlet.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.ConfigMapBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.Watch;
import io.fabric8.kubernetes.client.Watcher;
import io.fabric8.kubernetes.client.WatcherException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EscapedWatchesTest {
    private static final String BEYOND = "Grüße → 😀";
    private static final String ESCAPED = "Gr\\u00fc\\u00dfe \\u2192 \\ud83d\\ude00";

    @TempDir
    Path directory;

    /** kubernetes-client 7.9.0 alone ends such a watch at its second event. */
    @Test
    void aWatchOutlivesTextBeyondAscii() throws Exception {
        Settings settings =
                Settings.of(directory.resolve("api"), new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        Path kubeconfig = directory.resolve("kubeconfig");
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        try (ApiServer server = ApiServer.start(settings)) {
            Kubeconfig.write(server, kubeconfig);
            try (KubernetesClient client = ApiOptions.client(Config.fromKubeconfig(kubeconfig.toFile()));
                    Watch _ = client.configMaps().inNamespace("default").watch(new Telling(seen))) {
                List<String> created = new ArrayList<>();
                for (String text : List.of(BEYOND, "plain", BEYOND.repeat(5_000), "plain again")) {
                    String name = "text-" + created.size();
                    client.resource(new ConfigMapBuilder()
                                    .withNewMetadata()
                                    .withNamespace("default")
                                    .withName(name)
                                    .endMetadata()
                                    .withData(Map.of("text", text))
                                    .build())
                            .create();
                    created.add("ADDED " + name + " " + text);
                    assertThat(seen.poll(60, TimeUnit.SECONDS)).isEqualTo(created.getLast());
                }
            }
        }
    }

    @Test
    void whateverTheCutTheTextIsTheSame() {
        byte[] bytes = ("{\"a\": \"" + BEYOND + "\"}\n").getBytes(StandardCharsets.UTF_8);
        for (int cut = 0; cut <= bytes.length; cut++) {
            for (int second = cut; second <= bytes.length; second++) {
                EscapedWatches.Escaper escaper = new EscapedWatches.Escaper();
                assertThat(escaped(escaper, Arrays.copyOfRange(bytes, 0, cut))
                                + escaped(escaper, Arrays.copyOfRange(bytes, cut, second))
                                + escaped(escaper, Arrays.copyOfRange(bytes, second, bytes.length)))
                        .as("cut at %d and %d", cut, second)
                        .isEqualTo("{\"a\": \"" + ESCAPED + "\"}\n");
            }
        }
    }

    @Test
    void plainChunksAreHandedOnAsTheyAre() {
        ByteBuffer chunk = ByteBuffer.wrap("{\"type\": \"ADDED\"}\n".getBytes(StandardCharsets.UTF_8));
        assertThat(new EscapedWatches.Escaper().escape(chunk)).isSameAs(chunk);
    }

    @Test
    void bytesThatAreNoTextBecomeTheReplacementCharacter() {
        EscapedWatches.Escaper escaper = new EscapedWatches.Escaper();
        assertThat(escaped(escaper, new byte[] {'a', (byte) 0xff, 'b', (byte) 0xe2})
                        + escaped(escaper, new byte[] {'c'}))
                .isEqualTo("a\\ufffdb\\ufffdc");
    }

    private static String escaped(EscapedWatches.Escaper escaper, byte[] bytes) {
        return StandardCharsets.US_ASCII
                .decode(escaper.escape(ByteBuffer.wrap(bytes)))
                .toString();
    }

    private record Telling(BlockingQueue<String> seen) implements Watcher<ConfigMap> {
        @Override
        public void eventReceived(Action action, ConfigMap map) {
            seen.add(action + " " + map.getMetadata().getName() + " "
                    + map.getData().get("text"));
        }

        @Override
        public void onClose(WatcherException cause) {
            seen.add("closed: " + cause);
        }
    }
}
