package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.machine;
import static dev.vmlet.apiserver.Contract.version;
import static dev.vmlet.apiserver.Wire.MERGE;
import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/** What changes, as it changes. */
interface WatchContract extends Contract {
    private Wire.Watching watch(String query) {
        return wire().watch(vms() + "?watch=true" + query);
    }

    private long now() {
        return version(wire().get(vms()).expect(200));
    }

    private void label(String name, String labels) {
        wire().patch(vm(name), MERGE, "{metadata: {labels: " + labels + "}}").expect(200);
    }

    @Test
    default void tellsWhatHappens() throws IOException {
        try (Wire.Watching watch = watch("&resourceVersion=" + now())) {
            JsonNode created = create("a");
            JsonNode changed =
                    wire().patch(vm("a"), MERGE, "{spec: {cpu: {cores: 2}}}").expect(200);
            JsonNode added = watch.next();
            assertThat(added.path("type").asText()).isEqualTo("ADDED");
            assertThat(added.path("object")).isEqualTo(created);
            JsonNode modified = watch.next();
            assertThat(modified.path("type").asText()).isEqualTo("MODIFIED");
            assertThat(modified.path("object")).isEqualTo(changed);
            wire().delete(vm("a")).expect(200);
            JsonNode deleted = watch.next();
            assertThat(deleted.path("type").asText()).isEqualTo("DELETED");
            assertThat(deleted.at("/object/spec")).isEqualTo(changed.path("spec"));
            assertThat(version(deleted.path("object"))).isGreaterThan(version(changed));
        }
    }

    @Test
    default void beginsWithWhatIsThereWhenNoVersionIsGiven() throws IOException {
        create("a");
        create("b");
        for (String query : new String[] {"", "&resourceVersion=0"}) {
            try (Wire.Watching watch = watch(query)) {
                assertThat(watch.next(2)).containsExactlyInAnyOrder("ADDED a", "ADDED b");
            }
        }
    }

    @Test
    default void resumesWhereAListEnded() throws IOException {
        create("a");
        long before = now();
        create("b");
        label("a", "{app: web}");
        wire().delete(vm("b")).expect(200);
        try (Wire.Watching watch = watch("&resourceVersion=" + before)) {
            assertThat(watch.next(3)).containsExactly("ADDED b", "MODIFIED a", "DELETED b");
            create("c");
            assertThat(watch.next(1)).containsExactly("ADDED c");
        }
    }

    @Test
    default void saysThatItHasForgottenAnOldVersion() throws IOException {
        create("a");
        try (Wire.Watching watch = watch("&resourceVersion=1")) {
            JsonNode event = watch.next();
            assertThat(event.path("type").asText()).isEqualTo("ERROR");
            JsonNode status = event.path("object");
            assertThat(status.path("kind").asText()).isEqualTo("Status");
            assertThat(status.path("code").asInt()).isEqualTo(410);
            assertThat(status.path("reason").asText()).isEqualTo("Expired");
            assertThat(status.path("message").asText()).startsWith("too old resource version: 1 (");
            assertThat(watch.next().isMissingNode()).as("end of the stream").isTrue();
        }
    }

    @Test
    default void bringsABookmarkBetweenTheOldAndTheNew() throws IOException {
        create("a");
        long before = now();
        try (Wire.Watching watch =
                watch("&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan")) {
            assertThat(watch.next(1)).containsExactly("ADDED a");
            JsonNode bookmark = watch.next();
            assertThat(bookmark.path("type").asText()).isEqualTo("BOOKMARK");
            assertThat(bookmark.at("/object/kind").asText()).isEqualTo("VirtualMachine");
            assertThat(bookmark.at("/object/metadata/annotations"))
                    .isEqualTo(read("{k8s.io/initial-events-end: 'true'}"));
            assertThat(version(bookmark.path("object"))).isGreaterThanOrEqualTo(before);
            create("b");
            assertThat(watch.next(1)).containsExactly("ADDED b");
        }
    }

    @Test
    default void refusesInitialEventsWithoutTheirConditions() {
        wire().get(vms() + "?watch=true&sendInitialEvents=true").expect(422);
        wire().get(vms() + "?sendInitialEvents=true").expect(422);
    }

    @Test
    default void marksTheEndOfWhatWasThereForAllWhoTakeBookmarks() throws IOException {
        create("a");
        try (Wire.Watching watch = watch("&allowWatchBookmarks=true")) {
            assertThat(watch.next(1)).containsExactly("ADDED a");
            assertThat(watch.next().at("/object/metadata/annotations"))
                    .isEqualTo(read("{k8s.io/initial-events-end: 'true'}"));
        }
    }

    @Test
    default void bringsNoBookmarksToThoseWhoDoNotAsk() throws IOException {
        create("a");
        try (Wire.Watching watch = watch("&timeoutSeconds=2")) {
            assertThat(watch.next(1)).containsExactly("ADDED a");
            assertThat(watch.next().isMissingNode()).as("end of the stream").isTrue();
        }
    }

    @Test
    default void endsWhenItsTimeIsUp() throws IOException {
        long before = now();
        long started = System.nanoTime();
        try (Wire.Watching watch = watch("&timeoutSeconds=1&resourceVersion=" + before)) {
            assertThat(watch.next().isMissingNode()).isTrue();
            assertThat(System.nanoTime() - started).isGreaterThan(900_000_000L);
        }
    }

    @Test
    default void lastsAsLongAsAnyWhenItsTimeIsZero() throws IOException {
        try (Wire.Watching watch = watch("&timeoutSeconds=0&resourceVersion=" + now())) {
            create("a");
            assertThat(watch.next(1)).containsExactly("ADDED a");
        }
    }

    @Test
    default void tellsOfEnteringAndLeavingALabelSelector() throws IOException {
        create("a");
        try (Wire.Watching watch = watch("&labelSelector=app%3Dweb&resourceVersion=" + now())) {
            label("a", "{app: web}");
            label("a", "{tier: front}");
            label("a", "{app: db}");
            label("a", "{tier: back}");
            label("a", "{app: web}");
            wire().delete(vm("a")).expect(200);
            assertThat(watch.next(1)).containsExactly("ADDED a");
            assertThat(watch.next(1)).containsExactly("MODIFIED a");
            JsonNode left = watch.next();
            assertThat(left.path("type").asText()).isEqualTo("DELETED");
            assertThat(left.at("/object/metadata/labels"))
                    .as("as it was while it was selected")
                    .isEqualTo(read("{app: web, tier: front}"));
            assertThat(watch.next(2)).containsExactly("ADDED a", "DELETED a");
        }
    }

    @Test
    default void tellsOfEnteringAFieldSelector() throws IOException {
        ObjectNode nowhere = machine("a");
        nowhere.withObject("/spec").remove("nodeName");
        create(nowhere);
        try (Wire.Watching watch = watch("&fieldSelector=spec.nodeName%3Dn7&resourceVersion=" + now())) {
            create("b");
            wire().patch(vm("a"), MERGE, "{spec: {nodeName: n7}}").expect(200);
            assertThat(watch.next(1)).containsExactly("ADDED a");
        }
    }

    @Test
    default void watchesOneName() throws IOException {
        try (Wire.Watching watch = watch("&fieldSelector=metadata.name%3Db&resourceVersion=" + now())) {
            create("a");
            create("b");
            wire().delete(vm("a")).expect(200);
            wire().delete(vm("b")).expect(200);
            assertThat(watch.next(2)).containsExactly("ADDED b", "DELETED b");
        }
    }

    @Test
    default void watchesAllNamespaces() throws IOException {
        long before = now();
        try (Wire.Watching watch = wire().watch(GROUP + "/virtualmachines?watch=1&resourceVersion=" + before)) {
            create("a");
            JsonNode event = watch.next();
            assertThat(event.at("/object/metadata/namespace").asText()).isEqualTo(namespace());
        }
    }

    @Test
    default void tellsOfDeletionInTwoSteps() throws IOException {
        ObjectNode machine = machine("a");
        machine.withObject("/metadata").set("finalizers", read("[vmlet.dev/x]"));
        create(machine);
        try (Wire.Watching watch = watch("&resourceVersion=" + now())) {
            wire().delete(vm("a")).expect(200);
            JsonNode marked = watch.next();
            assertThat(marked.path("type").asText()).isEqualTo("MODIFIED");
            assertThat(marked.at("/object/metadata/deletionTimestamp").asText()).isNotEmpty();
            wire().patch(vm("a"), MERGE, "{metadata: {finalizers: null}}").expect(200);
            assertThat(watch.next(1)).containsExactly("DELETED a");
        }
    }

    @Test
    default void watchesAsATable() throws IOException {
        create("a");
        Wire.Answer answer =
                wire().send("GET", vms() + "?watch=true&timeoutSeconds=1", null, null, "Accept", ListContract.TABLE);
        answer.expect(200);
        assertThat(answer.at("/type").asText()).isEqualTo("ADDED");
        assertThat(answer.at("/object/kind").asText()).isEqualTo("Table");
        assertThat(answer.at("/object/rows/0/cells/0").asText()).isEqualTo("a");
    }

    @Test
    default void refusesAVersionThatIsNone() {
        Wire.Answer list = wire().get(vms() + "?resourceVersion=zz");
        list.expect(400);
        assertThat(list.at("/message").asText()).contains("resourceVersion: Invalid value: \"zz\"");
        assertThat(wire().get(vms() + "?watch=true&resourceVersion=zz").status())
                .isIn(400, 500);
    }
}
