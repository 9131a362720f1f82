package dev.vmlet.cli;

import io.fabric8.kubernetes.client.http.AsyncBody;
import io.fabric8.kubernetes.client.http.BasicBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.HttpResponse;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Opens a watch anew that has told nothing for a while, from where it was. A connection whose other end is gone without a
 * word (a NAT or load balancer that forgot it, a machine that lost its power) looks like a watch on which nothing
 * happens, and the kernel does not ask after it for hours; fabric8 by itself opens watches anew after a fixed time, see {@link LongWatches}.
 *
 * <p>An API server tells a watch by bookmarks that it is alive. Where it sends none a watch is opened anew for nothing,
 * which costs it one request and no event.
 *
 * <p>Safe for use by several threads; has none of its own.
 */
public final class HeardWatches implements Interceptor {
    /** Until the first word: a server answers a watch at once, whatever there is to tell, unless it lets all wait. */
    private static final Duration ANSWER = Duration.ofSeconds(30);

    /** A kube-apiserver (1.36) sends the first bookmark after two minutes and then one each minute. */
    private static final Duration SILENCE = Duration.ofMinutes(3);

    private static final Logger log = LoggerFactory.getLogger(HeardWatches.class);

    private final Duration answer;
    private final Duration silence;

    public HeardWatches() {
        this(ANSWER, SILENCE);
    }

    /**
     * @param answer how long a watch may take until its first word
     * @param silence how long it may be silent then
     */
    public HeardWatches(Duration answer, Duration silence) {
        this.answer = answer;
        this.silence = silence;
    }

    @Override
    public void before(BasicBuilder builder, HttpRequest request, RequestTags tags) {
        // Until the head of the answer is there: in a JDK to come it may mean the whole of it, and a test will say so.
        if (EscapedWatches.isWatch(request) && builder instanceof HttpRequest.Builder whole) {
            whole.timeout(answer.toMillis(), TimeUnit.MILLISECONDS);
        }
    }

    @Override
    public AsyncBody.Consumer<List<ByteBuffer>> consumer(
            AsyncBody.Consumer<List<ByteBuffer>> consumer, HttpRequest request) {
        return EscapedWatches.isWatch(request) ? new Heard(consumer) : consumer;
    }

    @Override
    public void after(HttpRequest request, HttpResponse<?> response, AsyncBody.Consumer<List<ByteBuffer>> consumer) {
        Heard heard = EscapedWatches.isWatch(request) ? consumer.unwrap(Heard.class) : null;
        if (heard != null && response.body() instanceof AsyncBody body) {
            heard.now();
            listen(request, heard, body);
        }
    }

    private void listen(HttpRequest request, Heard heard, AsyncBody body) {
        if (body.done().isDone()) {
            return;
        }
        long left = silence.toNanos() - (System.nanoTime() - heard.at);
        if (left > 0) {
            CompletableFuture.delayedExecutor(left, TimeUnit.NANOSECONDS).execute(() -> listen(request, heard, body));
            return;
        }
        log.atInfo()
                .addKeyValue("watch", request.uri().getPath())
                .addKeyValue("seconds", silence.toSeconds())
                .log("a watch was silent for long; it is opened anew from where it was");
        body.cancel();
    }

    /** One body, read by one thread at a time. */
    private static final class Heard implements AsyncBody.Consumer<List<ByteBuffer>> {
        private final AsyncBody.Consumer<List<ByteBuffer>> next;
        /** On the clock of {@link System#nanoTime}. */
        private volatile long at = System.nanoTime();

        Heard(AsyncBody.Consumer<List<ByteBuffer>> next) {
            this.next = next;
        }

        void now() {
            at = System.nanoTime();
        }

        @Override
        public void consume(List<ByteBuffer> chunks, AsyncBody body) throws Exception {
            now();
            next.consume(chunks, body);
        }

        @Override
        public <U> U unwrap(Class<U> target) {
            return target.isInstance(this) ? target.cast(this) : next.unwrap(target);
        }
    }
}
