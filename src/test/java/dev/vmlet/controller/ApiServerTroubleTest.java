package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineStatus;
import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import io.fabric8.kubernetes.client.Config;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.Objects;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Against the embedded API server. */
class ApiServerTroubleTest extends ApiServerTroubleContract {
    @TempDir
    Path directory;

    private ApiServer server;

    @Override
    @BeforeEach
    void runOneGuest() throws Exception {
        server = ApiServer.start(Settings.of(directory, new InetSocketAddress(InetAddress.getLoopbackAddress(), 0)));
        super.runOneGuest();
    }

    @Override
    @AfterEach
    void closeAll() throws Exception {
        super.closeAll();
        server.close();
    }

    @Override
    Config config() {
        return Config.fromKubeconfig(Kubeconfig.text(server));
    }

    /** It keeps a thousand changes of each kind. */
    @Test
    void anAgentThatWasCutOffForLongerThanTheServerRemembersMissesNothing() {
        VirtualMachine gone = client.resource(vm("gone")).create();
        await().atMost(PATIENCE).until(() -> isReady(gone));
        VirtualMachineStatus before =
                Objects.requireNonNull(client.resource(kept).get().getStatus());
        wire.cut();
        int asked = lists.asked.get();
        client.resource(gone).delete();
        VirtualMachine late = client.resource(vm("late")).create();
        for (int i = 0; i < 1_100; i++) {
            annotate(late, "count", "" + i);
        }
        assertThat(node.lives(gone.getMetadata().getUid())).isTrue();
        wire.mend();
        await().atMost(PATIENCE).until(() -> isReady(late));
        await().atMost(PATIENCE).until(() -> client.resource(gone).get() == null);
        assertThat(lists.asked.get()).as("lists").isGreaterThan(asked);
        assertKeptUnharmed(before);
    }
}
