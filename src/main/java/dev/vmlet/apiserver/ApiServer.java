package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import dev.vmlet.apiserver.schema.OpenApi;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.StoreException;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** The server, running. Stops when closed; its objects stay in its directory. */
public final class ApiServer implements AutoCloseable {
    private static final int STOP_SECONDS = 2;

    static {
        // Else each answer waits for the client's delayed acknowledgement: 40 ms instead of one.
        setUnlessSet("sun.net.httpserver.nodelay", "true");
        // Seconds for a request to arrive; one that dribbles is cut off.
        setUnlessSet("sun.net.httpserver.maxReqTime", "60");
        // Each costs some 80 KiB of heap before anybody has shown a token, and any user of this machine can connect:
        // more
        // than there is memory for would end the process.
        setUnlessSet("jdk.httpserver.maxConnections", "500");
    }

    private final HttpsServer http;
    private final ExecutorService threads;
    private final Front front;
    private final Housekeeping housekeeping;
    private final Store store;
    private final Credentials credentials;

    private ApiServer(
            HttpsServer http,
            ExecutorService threads,
            Front front,
            Housekeeping housekeeping,
            Store store,
            Credentials credentials) {
        this.http = http;
        this.threads = threads;
        this.front = front;
        this.housekeeping = housekeeping;
        this.store = store;
        this.credentials = credentials;
    }

    private static void setUnlessSet(String property, String value) {
        if (System.getProperty(property) == null) System.setProperty(property, value);
    }

    /**
     * Starts a server; it answers when this returns.
     *
     * @throws StoreException when the directory is in use, from a newer version, damaged, or cannot be written
     * @throws IOException when certificates cannot be made or the port is taken; the message says what to do
     */
    public static ApiServer start(Settings settings) throws IOException, StoreException {
        try {
            PrivateFiles.makeFolder(settings.directory());
        } catch (IOException e) {
            throw new IOException("make " + settings.directory() + ": " + e + "; choose another state directory", e);
        }
        Types types = types(settings.crds());
        String holder = "process " + ProcessHandle.current().pid() + ", started at "
                + Times.seconds(settings.clock().instant());
        Store store = Store.open(settings.directory(), holder, new Indexes(types));
        try {
            return start(settings, types, store);
        } catch (IOException | StoreException | RuntimeException e) {
            store.close();
            throw e;
        }
    }

    private static Types types(List<ObjectNode> crds) {
        try {
            return new Types(crds);
        } catch (Refused e) {
            throw new IllegalArgumentException("a CustomResourceDefinition cannot be served: " + e.getMessage(), e);
        }
    }

    private static ApiServer start(Settings settings, Types types, Store store) throws IOException, StoreException {
        new Seeds(store, settings.clock()).plant(settings.crds());
        store.beginHistory();
        Credentials credentials =
                Credentials.of(settings.directory(), settings.listen().getAddress(), settings.clock());
        HttpsServer http = bind(settings.listen());
        http.setHttpsConfigurator(new HttpsConfigurator(credentials.tls()));
        ExecutorService threads = Executors.newThreadPerTaskExecutor(
                Thread.ofVirtual().name("api-", 0).factory());
        http.setExecutor(threads);
        Reads reads = new Reads(store, settings.clock());
        Waker waker = new Waker();
        Writes writes = new Writes(store, settings.admission(), new BuiltIns(store), settings.clock(), waker);
        Housekeeping housekeeping = new Housekeeping(types, store, writes, settings.clock());
        waker.housekeeping = housekeeping;
        Front front = new Front(
                credentials.token(),
                new Router(types),
                new Discovery(types.all(), hostAndPort(http)),
                once(() -> OpenApi.of(types.all())),
                store,
                reads,
                writes);
        http.createContext("/", front);
        http.start();
        housekeeping.start();
        return new ApiServer(http, threads, front, housekeeping, store, credentials);
    }

    /** Writes and housekeeping know each other. */
    private static final class Waker implements Runnable {
        private volatile @Nullable Housekeeping housekeeping;

        @Override
        public void run() {
            Housekeeping woken = housekeeping;
            if (woken != null) woken.wake();
        }
    }

    private static HttpsServer bind(InetSocketAddress listen) throws IOException {
        try {
            return HttpsServer.create(listen, 0);
        } catch (BindException e) {
            throw new IOException(
                    "cannot listen on " + listen.getAddress().getHostAddress() + ":" + listen.getPort() + ": "
                            + e.getMessage() + "; stop what uses that port, or choose another",
                    e);
        }
    }

    private static <T> Supplier<T> once(Supplier<T> maker) {
        return new Supplier<>() {
            private @Nullable T made;

            @Override
            public synchronized T get() {
                T value = made;
                if (value == null) {
                    value = maker.get();
                    made = value;
                }
                return value;
            }
        };
    }

    private static String hostAndPort(HttpsServer http) {
        InetSocketAddress address = http.getAddress();
        String host = address.getAddress().getHostAddress();
        return (host.indexOf(':') >= 0 ? "[" + host + "]" : host) + ":" + address.getPort();
    }

    /** {@code https://127.0.0.1:6443}. */
    public URI uri() {
        return URI.create("https://" + hostAndPort(http));
    }

    /** What clients send as bearer token; a secret. */
    public String token() {
        return credentials.token();
    }

    /** What clients trust. */
    public String caCertificatePem() {
        return credentials.caCertificatePem();
    }

    /** Ends watches, lets requests that are under way finish for two seconds, and closes the store. */
    @Override
    public void close() {
        front.stop();
        housekeeping.close();
        http.stop(STOP_SECONDS);
        threads.shutdownNow();
        store.close();
    }
}
