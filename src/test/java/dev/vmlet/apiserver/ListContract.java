package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.machine;
import static dev.vmlet.apiserver.Contract.names;
import static dev.vmlet.apiserver.Contract.refused;
import static dev.vmlet.apiserver.Contract.texts;
import static dev.vmlet.apiserver.Wire.MERGE;
import static dev.vmlet.apiserver.Wire.read;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URLEncoder;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Many objects: which, in what order, in what shape. */
interface ListContract extends Contract {
    String TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";

    private JsonNode list(String query) {
        return wire().get(vms() + query).expect(200);
    }

    private List<String> selected(String parameter, String selector) {
        return names(list("?" + parameter + "=" + URLEncoder.encode(selector, UTF_8)));
    }

    private void createLabelled(String name, String labels) {
        ObjectNode machine = machine(name);
        machine.withObject("/metadata").set("labels", read(labels));
        create(machine);
    }

    @Test
    default void listsANamespaceByName() {
        create("b");
        create("a");
        create("c");
        JsonNode list = list("");
        assertThat(names(list)).containsExactly("a", "b", "c");
        assertThat(list.path("kind").asText()).isEqualTo("VirtualMachineList");
        assertThat(list.path("apiVersion").asText()).isEqualTo("vmlet.dev/v1alpha1");
        assertThat(list.path("items").path(0)).isEqualTo(get("a"));
        assertThat(list.at("/metadata/resourceVersion").asText()).matches("[1-9][0-9]*");
    }

    @Test
    default void listsNothingAsAnEmptyList() {
        JsonNode list = list("");
        assertThat(list.path("items")).isEqualTo(read("[]"));
        assertThat(names(
                        wire().get(GROUP + "/namespaces/nosuch/virtualmachines").expect(200)))
                .isEmpty();
    }

    @Test
    default void listsAllNamespaces() {
        create("a");
        JsonNode everywhere = wire().get(GROUP + "/virtualmachines").expect(200);
        assertThat(texts(everywhere.path("items"), "/metadata/namespace")).contains(namespace());
    }

    @Test
    default void selectsByLabel() {
        createLabelled("a", "{app: web, tier: front}");
        createLabelled("b", "{app: db}");
        createLabelled("c", "{}");
        assertThat(selected("labelSelector", "app=web")).containsExactly("a");
        assertThat(selected("labelSelector", "app==web")).containsExactly("a");
        assertThat(selected("labelSelector", "app!=web")).containsExactly("b", "c");
        assertThat(selected("labelSelector", "app in (web, db)")).containsExactly("a", "b");
        assertThat(selected("labelSelector", "app notin (web)")).containsExactly("b", "c");
        assertThat(selected("labelSelector", "app")).containsExactly("a", "b");
        assertThat(selected("labelSelector", "!app")).containsExactly("c");
        assertThat(selected("labelSelector", "app in (web,db),!tier")).containsExactly("b");
        assertThat(selected("labelSelector", "")).containsExactly("a", "b", "c");
        refused(
                wire().get(vms() + "?labelSelector=app%20in%20web"),
                400,
                "BadRequest",
                "unable to parse requirement: found 'web' expected: '('",
                "");
    }

    @Test
    default void selectsByField() {
        create("a");
        create("b");
        ObjectNode elsewhere = machine("c");
        elsewhere.withObject("/spec").put("nodeName", "n2");
        create(elsewhere);
        ObjectNode nowhere = machine("d");
        nowhere.withObject("/spec").remove("nodeName");
        create(nowhere);
        assertThat(selected("fieldSelector", "metadata.name=b")).containsExactly("b");
        assertThat(selected("fieldSelector", "metadata.namespace=" + namespace()))
                .containsExactly("a", "b", "c", "d");
        assertThat(selected("fieldSelector", "metadata.namespace=other")).isEmpty();
        assertThat(selected("fieldSelector", "spec.nodeName=n1")).containsExactly("a", "b");
        assertThat(selected("fieldSelector", "spec.nodeName!=n1")).containsExactly("c", "d");
        assertThat(selected("fieldSelector", "spec.nodeName=")).containsExactly("d");
        assertThat(selected("fieldSelector", "spec.nodeName=n1,metadata.name!=a"))
                .containsExactly("b");
        refused(
                wire().get(vms() + "?fieldSelector=spec.runStrategy%3DAlways"),
                400,
                "BadRequest",
                "field label not supported: spec.runStrategy",
                "");
        refused(
                wire().get(vms() + "?fieldSelector=x"),
                400,
                "BadRequest",
                "invalid selector: 'x'; can't understand 'x'",
                "");
    }

    @Test
    default void listsPageByPage() {
        for (String name : List.of("a", "b", "c", "d", "e")) create(name);
        JsonNode page = list("?limit=2");
        assertThat(page.at("/metadata/remainingItemCount").asInt()).isEqualTo(3);
        List<String> pages = new ArrayList<>(List.of(String.join(" ", names(page))));
        // Neither an object that comes between two pages nor one that goes is a reason to lose or repeat others.
        create("bb");
        while (!page.at("/metadata/continue").asText().isEmpty()) {
            page = list("?limit=2&continue="
                    + URLEncoder.encode(page.at("/metadata/continue").asText(), UTF_8));
            pages.add(String.join(" ", names(page)));
        }
        assertThat(pages).containsExactly("a b", "c d", "e");
        assertThat(page.at("/metadata/remainingItemCount").isMissingNode()).isTrue();

        Wire.Answer answer = wire().get(vms() + "?limit=2&continue=nonsense");
        answer.expect(400);
        assertThat(answer.at("/message").asText()).startsWith("invalid continue token: ");
    }

    @Test
    default void drawsATable() {
        create("a");
        wire().patch(vm("a") + "/status", MERGE, """
                status:
                  phase: Running
                  addresses: [{network: lab, ip: 10.77.0.2}]
                  conditions:
                  - {type: Scheduled, status: "False", reason: R, message: m, lastTransitionTime: "2026-01-01T00:00:00Z"}
                  - {type: Ready, status: "True", reason: R, message: m, lastTransitionTime: "2026-01-01T00:00:00Z"}
                """).expect(200);
        create("b");
        JsonNode table = wire().send("GET", vms(), null, null, "Accept", TABLE).expect(200);
        assertThat(table.path("kind").asText() + " " + table.path("apiVersion").asText())
                .isEqualTo("Table meta.k8s.io/v1");
        assertThat(texts(table.path("columnDefinitions"), "/name"))
                .containsExactly(
                        "Name", "Phase", "Ready", "IP", "Node", "Age", "Cores", "Memory", "Image", "VMM", "Restarts");
        assertThat(texts(table.path("columnDefinitions"), "/priority"))
                .containsExactly("0", "0", "0", "0", "0", "0", "1", "1", "1", "1", "1");
        assertThat(texts(table.path("columnDefinitions"), "/type"))
                .containsExactly(
                        "string", "string", "string", "string", "string", "date", "integer", "string", "string",
                        "string", "integer");
        ObjectNode name = (ObjectNode) table.at("/columnDefinitions/0");
        assertThat(name.path("format").asText()).isEqualTo("name");
        JsonNode first = table.at("/rows/0");
        assertThat(first.at("/cells/5").asText()).matches("[0-9]+s");
        ((com.fasterxml.jackson.databind.node.ArrayNode) first.path("cells")).remove(5);
        assertThat(first.path("cells"))
                .isEqualTo(read("[a, Running, 'True', 10.77.0.2, n1, 1, 1Gi, null, null, null]"));
        assertThat(first.at("/object/kind").asText()).isEqualTo("PartialObjectMetadata");
        assertThat(first.at("/object/metadata")).isEqualTo(get("a").path("metadata"));
        assertThat(texts(table.at("/rows/1/cells"), "").subList(0, 5))
                .containsExactly("b", "null", "null", "null", "n1");
        assertThat(table.at("/metadata/resourceVersion").asText()).matches("[1-9][0-9]*");
    }

    @Test
    default void drawsATableOfOneAndWithWholeObjectsOrNone() {
        create("a");
        assertThat(wire().send("GET", vm("a") + "?includeObject=Object", null, null, "Accept", TABLE)
                        .expect(200)
                        .at("/rows/0/object"))
                .isEqualTo(get("a"));
        assertThat(wire().send("GET", vms() + "?includeObject=None", null, null, "Accept", TABLE)
                        .expect(200)
                        .at("/rows/0/object")
                        .isObject())
                .isFalse();
    }

    @Test
    default void drawsOneTableOfManyPages() {
        for (String name : List.of("a", "b", "c")) create(name);
        JsonNode table = wire().send("GET", vms() + "?limit=2", null, null, "Accept", TABLE)
                .expect(200);
        assertThat(table.path("rows")).hasSize(2);
        assertThat(table.at("/metadata/continue").asText()).isNotEmpty();
        assertThat(table.at("/metadata/remainingItemCount").asInt()).isEqualTo(1);
    }

    @Test
    default void fallsBackFromATableThatIsNotAsked() {
        create("a");
        JsonNode answer = wire().send("GET", vms(), null, null, "Accept", TABLE + ",application/json")
                .expect(200);
        assertThat(answer.path("kind").asText()).isEqualTo("Table");
        JsonNode plain = wire().send(
                        "GET",
                        vms(),
                        null,
                        null,
                        "Accept",
                        "application/json;as=Nosuch;v=v1;g=meta.k8s.io,application/json")
                .expect(200);
        assertThat(plain.path("kind").asText()).isEqualTo("VirtualMachineList");
        assertThat(wire().send("GET", vms(), null, null, "Accept", "*/*")
                        .expect(200)
                        .path("kind")
                        .asText())
                .isEqualTo("VirtualMachineList");
    }
}
