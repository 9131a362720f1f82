package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.StreamSupport;

/** What the subjects of {@link ApiServerContract} share: the server under test, and words for its objects. */
interface Contract {
    String GROUP = "/apis/vmlet.dev/v1alpha1";

    Wire wire();

    /** The namespace of the running test, empty at its start. */
    String namespace();

    /** Whether something deletes what has lost its owners and empties deleted namespaces. */
    boolean collectsGarbage();

    default String vms() {
        return GROUP + "/namespaces/" + namespace() + "/virtualmachines";
    }

    default String vm(String name) {
        return vms() + "/" + name;
    }

    /** The least that is valid, as a node's agent would see it. */
    static ObjectNode machine(String name) {
        return (ObjectNode) read("""
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {name: %s}
                spec: {nodeName: n1, memory: {size: 1Gi}, disks: [{name: root, size: 1Gi}]}
                """.formatted(name));
    }

    default ObjectNode create(String name) {
        return create(machine(name));
    }

    default ObjectNode create(JsonNode machine) {
        return (ObjectNode) wire().post(vms(), machine).expect(201);
    }

    default ObjectNode get(String name) {
        return (ObjectNode) wire().get(vm(name)).expect(200);
    }

    static long version(JsonNode object) {
        return object.at("/metadata/resourceVersion").asLong();
    }

    static long generation(JsonNode object) {
        return object.at("/metadata/generation").asLong();
    }

    static List<String> names(JsonNode list) {
        return texts(list.path("items"), "/metadata/name");
    }

    static List<String> texts(JsonNode array, String pointer) {
        return StreamSupport.stream(array.spliterator(), false)
                .map(each -> each.at(pointer).asText())
                .toList();
    }

    static List<String> fields(JsonNode object) {
        List<String> names = new ArrayList<>();
        object.fieldNames().forEachRemaining(names::add);
        return names;
    }

    /** The object without what differs from run to run: identities, times, versions and the namespace of the test. */
    static JsonNode tidy(JsonNode object) {
        ObjectNode copy = object.deepCopy();
        if (copy.path("metadata") instanceof ObjectNode metadata) {
            metadata.remove(List.of("uid", "resourceVersion", "creationTimestamp", "namespace", "managedFields"));
        }
        return copy;
    }

    /** The managed fields without their times. */
    static JsonNode managers(JsonNode object) {
        ArrayNode managers = object.at("/metadata/managedFields").deepCopy();
        managers.forEach(each -> ((ObjectNode) each).remove("time"));
        return managers;
    }

    /** A failure as the wire has it. {@code details} is YAML; empty for none. */
    static void refused(Wire.Answer answer, int code, String reason, String message, String details) {
        ObjectNode wanted = (ObjectNode) read("{kind: Status, apiVersion: v1, metadata: {}, status: Failure}");
        wanted.put("message", message).put("reason", reason);
        if (!details.isEmpty()) wanted.set("details", read(details));
        wanted.put("code", code);
        assertThat(answer.body()).isEqualTo(wanted);
        assertThat(answer.status()).isEqualTo(code);
    }
}
