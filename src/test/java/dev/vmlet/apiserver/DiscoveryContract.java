package dev.vmlet.apiserver;

import static dev.vmlet.apiserver.Contract.refused;
import static dev.vmlet.apiserver.Wire.read;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import org.junit.jupiter.api.Test;

/** How a client finds out what there is, and that not everybody may ask. */
interface DiscoveryContract extends Contract {
    @Test
    default void tellsItsVersion() {
        JsonNode version = wire().get("/version").expect(200);
        assertThat(version.path("major").asText()).isEqualTo("1");
        assertThat(version.path("minor").asInt()).isGreaterThanOrEqualTo(28);
        assertThat(version.path("gitVersion").asText())
                .startsWith("v1." + version.path("minor").asText() + ".");
    }

    @Test
    default void isReady() {
        for (String path : List.of("/readyz", "/livez", "/healthz")) {
            Wire.Answer answer = wire().get(path);
            assertThat(answer.status() + " " + answer.body().asText()).as(path).isEqualTo("200 ok");
        }
    }

    @Test
    default void listsTheCoreVersion() {
        JsonNode versions = wire().get("/api").expect(200);
        assertThat(versions.path("kind").asText()).isEqualTo("APIVersions");
        assertThat(versions.path("versions")).isEqualTo(read("[v1]"));
    }

    @Test
    default void listsTheGroups() {
        JsonNode groups = wire().get("/apis").expect(200);
        assertThat(groups.path("kind").asText()).isEqualTo("APIGroupList");
        assertThat(Contract.texts(groups.path("groups"), "/name"))
                .contains("vmlet.dev", "apiextensions.k8s.io", "coordination.k8s.io", "events.k8s.io");
        JsonNode ours = read("""
                name: vmlet.dev
                versions: [{groupVersion: vmlet.dev/v1alpha1, version: v1alpha1}]
                preferredVersion: {groupVersion: vmlet.dev/v1alpha1, version: v1alpha1}
                """);
        assertThat(groups.path("groups")).contains(ours);
        ObjectNode alone = (ObjectNode) read("{kind: APIGroup, apiVersion: v1}");
        alone.setAll((ObjectNode) ours);
        assertThat(wire().get("/apis/vmlet.dev").expect(200)).isEqualTo(alone);
    }

    @Test
    default void listsTheResourcesOfOurGroup() {
        ObjectNode list = (ObjectNode) wire().get(GROUP).expect(200);
        JsonNode resources = list.path("resources");
        for (JsonNode resource : resources) ((ObjectNode) resource).remove("storageVersionHash");
        ObjectNode expected = (ObjectNode) read("""
                kind: APIResourceList
                apiVersion: v1
                groupVersion: vmlet.dev/v1alpha1
                resources:
                - {name: networks, singularName: network, namespaced: true, kind: Network,
                   verbs: [delete, deletecollection, get, list, patch, create, update, watch],
                   shortNames: [vmnet, vmnets], categories: [vmlet]}
                - {name: networks/status, singularName: '', namespaced: true, kind: Network, verbs: [get, patch, update]}
                - {name: networkslices, singularName: networkslice, namespaced: true, kind: NetworkSlice,
                   verbs: [delete, deletecollection, get, list, patch, create, update, watch],
                   shortNames: [vmslice], categories: [vmlet]}
                - {name: networkslices/status, singularName: '', namespaced: true, kind: NetworkSlice,
                   verbs: [get, patch, update]}
                - {name: virtualmachines, singularName: virtualmachine, namespaced: true, kind: VirtualMachine,
                   verbs: [delete, deletecollection, get, list, patch, create, update, watch],
                   shortNames: [vm, vms], categories: [all, vmlet]}
                - {name: virtualmachines/status, singularName: '', namespaced: true, kind: VirtualMachine,
                   verbs: [get, patch, update]}
                - {name: vmnodes, singularName: vmnode, namespaced: false, kind: VmNode,
                   verbs: [delete, deletecollection, get, list, patch, create, update, watch],
                   shortNames: [vmnode], categories: [vmlet]}
                - {name: vmnodes/status, singularName: '', namespaced: false, kind: VmNode, verbs: [get, patch, update]}
                """);
        // Their order is that in which the server came to know the definitions.
        assertThat(resources).containsExactlyInAnyOrderElementsOf(expected.path("resources"));
        expected.remove("resources");
        list.remove("resources");
        assertThat(list).isEqualTo(expected);
    }

    @Test
    default void listsWhatVmletNeedsOfTheCore() {
        JsonNode resources = wire().get("/api/v1").expect(200);
        assertThat(Contract.texts(resources.path("resources"), "/name"))
                .contains("namespaces", "nodes", "nodes/status", "secrets", "events", "configmaps");
        for (JsonNode resource : resources.path("resources")) {
            if (resource.path("name").asText().equals("secrets")) {
                assertThat(resource.path("kind").asText()).isEqualTo("Secret");
                assertThat(resource.path("namespaced").asBoolean()).isTrue();
                assertThat(Contract.texts(resource.path("verbs"), ""))
                        .containsExactlyInAnyOrder(
                                "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch");
            }
        }
    }

    @Test
    default void knowsNothingOfWhatIsNotThere() {
        for (String path : List.of(
                "/nosuch",
                "/apis/nosuch.dev/v1",
                GROUP + "/nosuches",
                "/api/v1/nosuches",
                "/apis/vmlet.dev/v9/virtualmachines",
                vm("a") + "/nosuch")) {
            assertThat(wire().get(path).status()).as(path).isEqualTo(404);
        }
    }

    @Test
    default void letsNobodyInWithAWrongToken() {
        refused(
                wire().send("GET", vms(), null, null, "Authorization", "Bearer wrong"),
                401,
                "Unauthorized",
                "Unauthorized",
                "");
        assertThat(wire().send("GET", vms(), null, null, "Authorization", "").status())
                .isIn(401, 403);
    }

    @Test
    default void refusesAVerbThatAResourceDoesNotHave() {
        refused(
                wire().delete(vm("a") + "/status"),
                405,
                "MethodNotAllowed",
                "delete is not supported on resources of kind \"virtualmachines.vmlet.dev\"",
                "{group: vmlet.dev, kind: virtualmachines}");
    }

    @Test
    default void refusesAnAnswerItCannotSpeak() {
        refused(
                wire().send("GET", vms(), null, null, "Accept", "text/csv"),
                406,
                "NotAcceptable",
                "only the following media types are accepted: application/json, application/yaml, "
                        + "application/vnd.kubernetes.protobuf",
                "");
    }

    @Test
    default void describesItselfInOpenApi() {
        JsonNode index = wire().get("/openapi/v3").expect(200);
        assertThat(Contract.fields(index.path("paths")))
                .contains("api/v1", "apis/vmlet.dev/v1alpha1", "apis/coordination.k8s.io/v1");
        String url =
                index.at("/paths/apis~1vmlet.dev~1v1alpha1/serverRelativeURL").asText();
        assertThat(url).startsWith("/openapi/v3/apis/vmlet.dev/v1alpha1?hash=");

        JsonNode document = wire().get(url).expect(200);
        assertThat(document.path("openapi").asText()).startsWith("3.0");
        JsonNode machine = document.at("/components/schemas/dev.vmlet.v1alpha1.VirtualMachine");
        assertThat(machine.path("x-kubernetes-group-version-kind"))
                .isEqualTo(read("[{group: vmlet.dev, kind: VirtualMachine, version: v1alpha1}]"));
        assertThat(Contract.fields(machine.path("properties")))
                .containsExactlyInAnyOrder("apiVersion", "kind", "metadata", "spec", "status");
        assertThat(machine.at("/properties/spec/properties/disks/x-kubernetes-list-map-keys"))
                .isEqualTo(read("[name]"));
        assertThat(machine.at("/properties/spec/properties/runStrategy/default").asText())
                .isEqualTo("Always");

        String one = GROUP + "/namespaces/{namespace}/virtualmachines/{name}";
        JsonNode patch = document.path("paths").path(one).path("patch");
        assertThat(Contract.texts(patch.path("parameters"), "/name"))
                .contains("dryRun", "fieldManager", "fieldValidation", "force");
        assertThat(patch.path("x-kubernetes-group-version-kind"))
                .isEqualTo(read("{group: vmlet.dev, kind: VirtualMachine, version: v1alpha1}"));
        assertThat(Contract.fields(document.path("paths")))
                .contains(GROUP + "/virtualmachines", GROUP + "/vmnodes/{name}", one + "/status");
    }

    @Test
    default void describesTheCoreInOpenApi() {
        JsonNode document = wire().get("/openapi/v3/api/v1").expect(200);
        JsonNode secret = document.at("/components/schemas/io.k8s.api.core.v1.Secret");
        assertThat(Contract.fields(secret.path("properties")))
                .containsExactlyInAnyOrder("apiVersion", "kind", "metadata", "data", "immutable", "stringData", "type");
    }
}
