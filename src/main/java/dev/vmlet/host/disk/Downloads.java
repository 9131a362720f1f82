package dev.vmlet.host.disk;

import dev.vmlet.model.ImageSource;
import dev.vmlet.model.Reason;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.UnknownHostException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.hc.client5.http.classic.methods.HttpGet;
import org.apache.hc.client5.http.config.ConnectionConfig;
import org.apache.hc.client5.http.config.RequestConfig;
import org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.apache.hc.core5.http.ClassicHttpResponse;
import org.apache.hc.core5.http.Header;
import org.apache.hc.core5.http.HttpEntity;
import org.apache.hc.core5.http.io.SocketConfig;
import org.apache.hc.core5.util.Timeout;
import org.jspecify.annotations.Nullable;

/**
 * Fetches images by http and https. A transfer that was cut goes on where it ended (RFC 9110, Range and If-Range); holes
 * are written as holes. Must run on a virtual thread: there an interrupt closes the socket that is waited for.
 */
final class Downloads implements AutoCloseable {
    private static final int HOPS_MAX = 5;
    /** A server that drips would hold one of the few lines for the whole time limit. */
    private static final long BYTES_PER_SECOND_MIN = 16 << 10;

    private static final long JUDGED_AFTER = Duration.ofSeconds(60).toNanos();

    private final ImageSettings.Limits limits;
    private final ImageStore.SpaceCheck spaceCheck;
    private final Optional<ImageSettings.Mirror> mirror;
    private final ImageSettings settings;
    /** Made at the first download: an agent may never see one, and each start would pay for two hundred classes. */
    private @Nullable Clients clients;

    /** @param mirror reaches the mirror besides, wherever it is; what a tenant names is never fetched by it */
    private record Clients(CloseableHttpClient tenants, CloseableHttpClient mirror) {}

    Downloads(ImageSettings settings, ImageStore.SpaceCheck spaceCheck) {
        this.limits = settings.limits();
        this.spaceCheck = spaceCheck;
        this.mirror = settings.mirror();
        this.settings = settings;
    }

    private synchronized Clients clients() {
        if (clients == null) {
            List<String> allowed = new ArrayList<>(settings.urlAllow());
            mirror.ifPresent(m -> allowed.add(m.prefix().getHost().replaceAll("[\\[\\]]", "")));
            clients = new Clients(
                    client(new UrlPolicy(settings.urlAllow(), settings.urlDeny())),
                    client(new UrlPolicy(allowed, settings.urlDeny())));
        }
        return clients;
    }

    private CloseableHttpClient client(UrlPolicy policy) {
        Timeout silence = Timeout.of(limits.silence());
        var connections = PoolingHttpClientConnectionManagerBuilder.create()
                .setDnsResolver(policy)
                .setDefaultConnectionConfig(ConnectionConfig.custom()
                        .setConnectTimeout(Timeout.of(limits.connect()))
                        .setSocketTimeout(silence)
                        .build())
                .setDefaultSocketConfig(
                        SocketConfig.custom().setSoTimeout(silence).build())
                .build();
        return HttpClients.custom()
                .setConnectionManager(connections)
                .setDefaultRequestConfig(
                        RequestConfig.custom().setResponseTimeout(silence).build())
                // A connection is used once, so that none outlives the check of its address.
                .setConnectionReuseStrategy((request, response, context) -> false)
                // Followed by hand: each hop is checked, and the number of them is bounded.
                .disableRedirectHandling()
                .disableAutomaticRetries()
                .disableContentCompression()
                .disableCookieManagement()
                .disableAuthCaching()
                .setUserAgent("vmlet")
                .build();
    }

    /** One download with all its attempts. */
    private static final class Transfer {
        final ImageSource source;
        final CloseableHttpClient client;
        final FileChannel out;
        final Progress progress;
        final long deadline;
        final MessageDigest sha256 = Digests.newSha256();
        /** Only where the image is known by it. */
        final Optional<MessageDigest> sha512;

        long have;
        /** Strong ETag or Last-Modified of what we have; empty when the server gave none. */
        String validator = "";

        long begun = System.nanoTime();
        long begunAt;

        Transfer(ImageSource source, CloseableHttpClient client, FileChannel out, Progress progress, Duration limit) {
            this.source = source;
            this.client = client;
            this.sha512 = source instanceof ImageSource.Catalog catalog
                            && !catalog.sha512().isEmpty()
                    ? Optional.of(Digests.newSha512())
                    : Optional.empty();
            this.out = out;
            this.progress = progress;
            this.deadline = System.nanoTime() + limit.toNanos();
        }

        void restart() throws IOException {
            out.truncate(0);
            sha256.reset();
            sha512.ifPresent(MessageDigest::reset);
            have = 0;
            begunAt = 0;
        }

        DiskFailure late() {
            return DiskFailure.again(
                    Reason.ImageFetchFailed, "image " + source + ": not fetched within the time limit");
        }
    }

    /** A failure after which another attempt is worthwhile. */
    private static final class Cut extends Exception {
        Cut(String message, @Nullable Throwable cause) {
            super(message, cause);
        }
    }

    /**
     * Fetches into the file, sparse, and answers its digests. Not synced.
     *
     * @throws DiskFailure ImageNotFound, ImageRefused, ImageFetchFailed, NoSpace
     */
    Digests fetch(ImageSource source, Path target, Progress progress)
            throws DiskFailure, IOException, InterruptedException {
        CloseableHttpClient by = source instanceof ImageSource.Catalog && mirror.isPresent()
                ? clients().mirror()
                : clients().tenants();
        URI start = check(url(source), source);
        try (FileChannel out =
                FileChannel.open(target, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE))) {
            Transfer transfer = new Transfer(source, by, out, progress, limits.download());
            Duration pause = limits.pause();
            for (int attempt = 1; ; attempt++) {
                try {
                    attempt(transfer, start);
                    break;
                } catch (Cut cut) {
                    if (attempt >= limits.attempts()) {
                        throw new DiskFailure(
                                Reason.ImageFetchFailed,
                                "image " + source + ": " + cut.getMessage() + " (" + attempt + " attempts)",
                                true,
                                cut);
                    }
                    progress.say("Downloading " + ImageHead.shortName(source) + ": " + cut.getMessage()
                            + "; next attempt in " + pause.toMillis() + " ms");
                    pause(pause);
                    pause = pause.multipliedBy(2);
                }
            }
            SparseCopy.grow(target, transfer.have);
            return new Digests(
                    Digests.text(transfer.sha256),
                    transfer.sha512.map(Digests::text).orElse(""));
        }
    }

    private String url(ImageSource source) {
        return switch (source) {
            case ImageSource.Url url -> url.url();
            case ImageSource.Catalog catalog ->
                mirror.map(m -> m.urlOf(catalog.url())).orElse(catalog.url());
            case ImageSource.File _, ImageSource.Host _ ->
                throw new IllegalStateException("of this node, not to be fetched: " + source);
        };
    }

    /** Waits; an interrupt ends it at once. */
    private static void pause(Duration pause) throws InterruptedException {
        boolean _ = new CountDownLatch(1).await(pause.toNanos(), TimeUnit.NANOSECONDS);
    }

    private static URI check(String text, ImageSource source) throws DiskFailure {
        try {
            URI uri = new URI(text);
            String scheme = String.valueOf(uri.getScheme()).toLowerCase(Locale.ROOT);
            if (!scheme.equals("http") && !scheme.equals("https")) {
                throw DiskFailure.last(Reason.ImageRefused, "image " + source + ": only http and https are fetched");
            }
            if (uri.getHost() == null) {
                throw DiskFailure.last(Reason.ImageRefused, "image " + source + ": the URL names no host");
            }
            if (uri.getRawUserInfo() != null) {
                throw DiskFailure.last(
                        Reason.ImageRefused,
                        "image at " + uri.getHost()
                                + ": the URL carries a user name, which status would show; remove it");
            }
            return uri;
        } catch (URISyntaxException e) {
            throw DiskFailure.last(Reason.ImageRefused, "image " + source + ": no URL: " + e.getMessage());
        }
    }

    private void attempt(Transfer transfer, URI start) throws DiskFailure, IOException, InterruptedException, Cut {
        URI uri = start;
        for (int hop = 0; hop <= HOPS_MAX; hop++) {
            if (System.nanoTime() > transfer.deadline) {
                throw transfer.late();
            }
            HttpGet request = new HttpGet(uri);
            boolean resuming = transfer.have > 0 && !transfer.validator.isEmpty();
            if (resuming) {
                request.setHeader("Range", "bytes=" + transfer.have + "-");
                request.setHeader("If-Range", transfer.validator);
            } else {
                transfer.restart();
            }
            try (ClassicHttpResponse response = transfer.client.executeOpen(null, request, null)) {
                String next = answer(transfer, uri, response);
                // Before close, which would read to the end to save the connection.
                request.cancel();
                if (next.isEmpty()) {
                    return;
                }
                uri = hop(uri, next, transfer.source);
            } catch (UrlPolicy.Refused e) {
                throw DiskFailure.last(Reason.ImageRefused, "image " + transfer.source + ": " + e.getMessage());
            } catch (IOException e) {
                if (Thread.interrupted()) {
                    throw new InterruptedException();
                }
                throw new Cut(uri.getHost() + ": " + network(e), e);
            } finally {
                request.cancel();
            }
        }
        throw DiskFailure.last(
                Reason.ImageRefused, "image " + transfer.source + ": more than " + HOPS_MAX + " redirects");
    }

    private static String network(IOException e) {
        return e instanceof UnknownHostException ? "no such host" : String.valueOf(e.getMessage());
    }

    private static URI hop(URI from, String location, ImageSource source) throws DiskFailure {
        URI to;
        try {
            to = from.resolve(location);
        } catch (IllegalArgumentException e) {
            throw DiskFailure.last(Reason.ImageRefused, "image " + source + ": redirected to no URL");
        }
        URI checked = check(to.toString(), source);
        if ("https".equalsIgnoreCase(from.getScheme())
                && "http".equalsIgnoreCase(checked.getScheme())
                && !source.isPinned()) {
            throw DiskFailure.last(
                    Reason.ImageRefused,
                    "image " + source
                            + ": redirected from https to http, where anybody could change it; declare a sha256");
        }
        return checked;
    }

    /** Where to go next; empty when the body is complete. */
    private String answer(Transfer transfer, URI uri, ClassicHttpResponse response)
            throws DiskFailure, IOException, InterruptedException, Cut {
        int code = response.getCode();
        String said = uri.getHost() + " answers " + code + " " + String.valueOf(response.getReasonPhrase());
        return switch (code) {
            case 200 -> {
                if (transfer.have > 0) {
                    // It does not do ranges, or the image has changed since.
                    transfer.restart();
                }
                receive(transfer, response, uri);
                yield "";
            }
            case 206 -> {
                if (!header(response, "Content-Range").startsWith("bytes " + transfer.have + "-")) {
                    transfer.validator = "";
                    throw new Cut(uri.getHost() + " sent another part than asked for", null);
                }
                receive(transfer, response, uri);
                yield "";
            }
            case 301, 302, 303, 307, 308 -> {
                String location = header(response, "Location");
                if (location.isEmpty()) {
                    throw DiskFailure.again(
                            Reason.ImageFetchFailed, "image " + transfer.source + ": " + said + " to nowhere");
                }
                yield location;
            }
            case 404, 410 ->
                throw DiskFailure.again(
                        Reason.ImageNotFound, "image " + transfer.source + ": " + said + missing(transfer.source));
            case 416 -> {
                transfer.validator = "";
                throw new Cut(said, null);
            }
            default -> {
                if (code == 408 || code == 429 || code >= 500) {
                    throw new Cut(said, null);
                }
                throw DiskFailure.again(Reason.ImageFetchFailed, "image " + transfer.source + ": " + said);
            }
        };
    }

    /** What to do about it. */
    private static String missing(ImageSource source) {
        return source instanceof ImageSource.Catalog
                ? "; publishers keep dated images for some months only: give the agent a newer --image-catalog, or an"
                        + " --image-mirror that still has it"
                : "; correct the url";
    }

    private static String header(ClassicHttpResponse response, String name) {
        Header header = response.getFirstHeader(name);
        return header == null || header.getValue() == null ? "" : header.getValue();
    }

    private void receive(Transfer transfer, ClassicHttpResponse response, URI uri)
            throws DiskFailure, IOException, InterruptedException, Cut {
        String etag = header(response, "ETag");
        // A weak one does not promise the same bytes.
        transfer.validator = !etag.isEmpty() && !etag.startsWith("W/") ? etag : header(response, "Last-Modified");
        HttpEntity entity = response.getEntity();
        if (entity == null) {
            throw new Cut(uri.getHost() + " sent no body", null);
        }
        long length = entity.getContentLength();
        long total = length < 0 ? -1 : transfer.have + length;
        limit(transfer, total);
        if (length > 0) {
            spaceCheck.require(length, "image " + transfer.source);
        }
        transfer.begun = System.nanoTime();
        transfer.begunAt = transfer.have;
        byte[] buffer = new byte[256 << 10];
        try (InputStream in = entity.getContent()) {
            int read = in.read(buffer);
            while (read > 0) {
                take(transfer, buffer, read);
                limit(transfer, transfer.have);
                show(transfer, total);
                checkPace(transfer, uri);
                read = in.read(buffer);
            }
        }
        if (total >= 0 && transfer.have != total) {
            throw new Cut(uri.getHost() + " ended after " + transfer.have + " of " + total + " bytes", null);
        }
    }

    private static void checkPace(Transfer transfer, URI uri) throws DiskFailure, Cut {
        long now = System.nanoTime();
        if (now > transfer.deadline) {
            throw transfer.late();
        }
        long elapsed = now - transfer.begun;
        if (elapsed > JUDGED_AFTER
                && transfer.have - transfer.begunAt < elapsed / 1_000_000_000L * BYTES_PER_SECOND_MIN) {
            throw new Cut(uri.getHost() + " sends less than " + Bytes.text(BYTES_PER_SECOND_MIN) + "/s", null);
        }
    }

    private void limit(Transfer transfer, long bytes) throws DiskFailure {
        if (bytes > limits.downloadBytes()) {
            throw DiskFailure.last(
                    Reason.ImageRefused,
                    "image " + transfer.source + ": larger than the limit of " + Bytes.text(limits.downloadBytes()));
        }
    }

    /** A refusal of the disk must not look like one of the network. */
    private static void take(Transfer transfer, byte[] buffer, int length) throws DiskFailure, InterruptedException {
        try {
            SparseCopy.writeSparse(transfer.out, buffer, length, transfer.have);
        } catch (ClosedByInterruptException e) {
            throw new InterruptedException();
        } catch (IOException e) {
            throw DiskFailure.of("write image " + transfer.source, e);
        }
        transfer.sha256.update(buffer, 0, length);
        transfer.sha512.ifPresent(digest -> digest.update(buffer, 0, length));
        transfer.have += length;
    }

    private static void show(Transfer transfer, long total) {
        double seconds = Math.max(0.001, (System.nanoTime() - transfer.begun) / 1e9);
        String speed = Bytes.text((long) ((transfer.have - transfer.begunAt) / seconds)) + "/s";
        String done =
                total > 0 ? 100 * transfer.have / total + " % of " + Bytes.text(total) : Bytes.text(transfer.have);
        transfer.progress.say("Downloading " + ImageHead.shortName(transfer.source) + ": " + done + ", " + speed);
    }

    @Override
    public synchronized void close() throws IOException {
        if (clients != null) {
            try {
                clients.tenants().close();
            } finally {
                clients.mirror().close();
            }
        }
    }
}
