package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.machine;
import static dev.vmlet.apiserver.Contract.version;
import static dev.vmlet.apiserver.Wire.MERGE;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntFunction;
import org.junit.jupiter.api.Test;

/** Many writers at once: nobody's write is lost, and a name is given once. */
interface ConcurrencyContract extends Contract {
    int WRITERS = 8;
    int WRITES = 10;

    private static <T> List<T> atOnce(int count, IntFunction<T> what) throws InterruptedException, ExecutionException {
        try (ExecutorService threads = Executors.newFixedThreadPool(count)) {
            List<Future<T>> running = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                int index = i;
                running.add(threads.submit(() -> what.apply(index)));
            }
            List<T> results = new ArrayList<>();
            for (Future<T> each : running) results.add(each.get());
            return results;
        }
    }

    @Test
    default void losesNoPatch() throws InterruptedException, ExecutionException {
        create("a");
        atOnce(WRITERS, writer -> {
            for (int i = 0; i < WRITES; i++) {
                String label = "w" + writer + "-" + i;
                // A server may give up after some collisions and say so; then nothing was written, and one asks again.
                int status;
                do {
                    status = wire().patch(vm("a"), MERGE, "{metadata: {labels: {" + label + ": x}}}")
                            .status();
                } while (status == 409);
                assertThat(status).isEqualTo(200);
            }
            return writer;
        });
        assertThat(get("a").at("/metadata/labels")).hasSize(WRITERS * WRITES);
    }

    @Test
    default void losesNoUpdateOfThoseWhoReadFirst() throws InterruptedException, ExecutionException {
        ObjectNode counter = machine("a");
        counter.withObject("/metadata/annotations").put("count", "0");
        create(counter);
        atOnce(WRITERS, writer -> {
            for (int i = 0; i < WRITES / 2; i++) {
                int status;
                do {
                    ObjectNode read = get("a");
                    int count = read.at("/metadata/annotations/count").asInt();
                    read.withObject("/metadata/annotations").put("count", Integer.toString(count + 1));
                    status = wire().put(vm("a"), read).status();
                } while (status == 409);
                assertThat(status).isEqualTo(200);
            }
            return writer;
        });
        assertThat(get("a").at("/metadata/annotations/count").asInt()).isEqualTo(WRITERS * (WRITES / 2));
    }

    @Test
    default void givesANameToOneOfMany() throws InterruptedException, ExecutionException {
        List<Integer> answers =
                atOnce(16, writer -> wire().post(vms(), machine("a")).status());
        assertThat(Collections.frequency(answers, 201)).isEqualTo(1);
        assertThat(Collections.frequency(answers, 409)).isEqualTo(15);
    }

    @Test
    default void tellsEveryWatcherTheSameInTheSameOrder() throws IOException, InterruptedException, ExecutionException {
        long before = version(wire().get(vms()).expect(200));
        String query = vms() + "?watch=true&resourceVersion=" + before;
        try (Wire.Watching first = wire().watch(query);
                Wire.Watching second = wire().watch(query)) {
            atOnce(WRITERS, writer -> create("vm-" + writer));
            atOnce(WRITERS, writer -> wire().delete(vm("vm-" + writer)).expect(200));
            List<JsonNode> seen = new ArrayList<>();
            for (int i = 0; i < 2 * WRITERS; i++) {
                JsonNode event = first.next();
                assertThat(second.next()).isEqualTo(event);
                seen.add(event);
            }
            List<Long> versions =
                    seen.stream().map(event -> version(event.path("object"))).toList();
            assertThat(versions).isSorted().doesNotHaveDuplicates();
        }
    }
}
