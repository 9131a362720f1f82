import dev.vmlet.apiserver.ApiServer;
import dev.vmlet.apiserver.Kubeconfig;
import dev.vmlet.apiserver.Settings;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;

/**
 * vmlet's embedded API server without a node: for hack/chaos, where the server must live on while agents die. Arguments:
 * its directory, its port on loopback, where the kubeconfig, the token and the CA certificate go. Ends at SIGTERM.
 */
final class Server {
    public static void main(String[] args) throws Exception {
        CountDownLatch end = new CountDownLatch(1);
        ApiServer server = ApiServer.start(Settings.of(
                Path.of(args[0]),
                new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(args[1]))));
        Files.writeString(Path.of(args[3]), server.token());
        Files.writeString(Path.of(args[4]), server.caCertificatePem());
        Kubeconfig.write(server, Path.of(args[2]));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            server.close();
            end.countDown();
        }));
        System.out.println("serving " + server.uri());
        end.await();
    }
}
