package dev.vmlet.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Two nodes, {@code mine} and {@code other}, and the real tokens of mine's agent and of the controller: what they may not
 * write, and what they may. No agent runs; kubectl writes in their name.
 */
@ExtendWith(EndToEnd.class)
class RefusedWritesE2E {
    private static final String NS = "refused";

    private Cluster cluster;
    private Path mine;
    private Path controllers;

    /**
     * @param what as the table in README says it
     * @param words what kubectl is told, after {@code --kubeconfig}; {@code -f -} reads {@code input}. {@code status},
     *     a path and a merge patch go without it, which would have to read the status first; {@code bare} the same for what
     *     is not the status
     * @param says the end of what the API server answers; empty when it takes the write
     */
    private record Row(String what, String words, String input, String says) {}

    /** What a broken-into agent would like to do, and RBAC alone would let it do. README has the same rows. */
    private static final List<Row> REFUSED = List.of(
            new Row(
                    "stop a VM of another node, by its finalizer",
                    "patch vm theirs -n refused --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]",
                    "",
                    "the agent of node mine may not change VirtualMachine refused/theirs: it is bound to node other"),
            new Row(
                    "write the status of a VM of another node",
                    "status /namespaces/refused/virtualmachines/theirs {\"status\":{\"phase\":\"Failed\"}}",
                    "",
                    "the agent of node mine may not change VirtualMachine refused/theirs: it is bound to node other"),
            new Row(
                    "take a VM that has no node yet",
                    "patch vm homeless -n refused --type=merge -p {\"spec\":{\"nodeName\":\"mine\"}}",
                    "",
                    "the agent of node mine may not change VirtualMachine refused/homeless: it is bound to no node"),
            new Row(
                    "change the spec of a VM of its own node",
                    "patch vm ours -n refused --type=merge -p {\"spec\":{\"runStrategy\":\"Halted\"}}",
                    "",
                    "the agent of node mine may change of VirtualMachine refused/ours the status and the finalizer"
                            + " vmlet.dev/node-agent, nothing else"),
            new Row(
                    "annotate or label it",
                    "annotate vm ours -n refused vmlet.dev/restartedAt=now",
                    "",
                    "the agent of node mine may change of VirtualMachine refused/ours the status and the finalizer"
                            + " vmlet.dev/node-agent, nothing else"),
            new Row(
                    "put a finalizer of another there",
                    "patch vm ours -n refused --type=merge -p {\"metadata\":{\"finalizers\":[\"example.com/stay\"]}}",
                    "",
                    "the agent of node mine may change of VirtualMachine refused/ours the status and the finalizer"
                            + " vmlet.dev/node-agent, nothing else"),
            new Row(
                    "take a slice of a Network for another node",
                    "create -f -",
                    slice("lab-2", "other", "lab"),
                    "the agent of node mine may not write NetworkSlice refused/lab-2: it is the part of node other"),
            new Row(
                    "take a slice that is no Network's",
                    "create -f -",
                    slice("free-2", "mine", "lab"),
                    "the agent of node mine may not create NetworkSlice refused/free-2: its name is that of its"
                            + " Network, which is its only owner, with a number, and its only finalizer"
                            + " vmlet.dev/node-agent"),
            new Row(
                    "take a slice by the name of another Network's",
                    "create -f -",
                    slice("lab-x-2", "mine", "lab"),
                    "the agent of node mine may not create NetworkSlice refused/lab-x-2: its name is that of its"
                            + " Network, which is its only owner, with a number, and its only finalizer"
                            + " vmlet.dev/node-agent"),
            new Row(
                    "take a slice with a finalizer that nobody takes off",
                    "create -f -",
                    slice("lab-4", "mine", "lab").replace("finalizers: [", "finalizers: [example.com/for-ever, "),
                    "the agent of node mine may not create NetworkSlice refused/lab-4: its name is that of its"
                            + " Network, which is its only owner, with a number, and its only finalizer"
                            + " vmlet.dev/node-agent"),
            new Row(
                    "write the status of another node's slice",
                    "status /namespaces/refused/networkslices/lab-1 {\"status\":{\"ready\":true}}",
                    "",
                    "the agent of node mine may not write NetworkSlice refused/lab-1: it is the part of node other"),
            new Row(
                    "give up another node's slice",
                    "patch networkslice lab-1 -n refused --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]",
                    "",
                    "the agent of node mine may not write NetworkSlice refused/lab-1: it is the part of node other"),
            new Row(
                    "make the VmNode of another node",
                    "create -f -",
                    "{apiVersion: vmlet.dev/v1alpha1, kind: VmNode, metadata: {name: third}}",
                    "the agent of node mine may not write VmNode third: it stands for another node"),
            new Row(
                    "write its status",
                    "status /vmnodes/other {\"status\":{\"bootId\":\"x\"}}",
                    "",
                    "the agent of node mine may not write VmNode other: it stands for another node"),
            new Row(
                    "renew the Lease of another node",
                    "apply --server-side --force-conflicts -f -",
                    lease("other", "mine"),
                    "the agent of node mine may not write Lease vmlet-system/other: it keeps the one that bears its name,"
                            + " holds it itself and labels it vmlet.dev/lease=agent"),
            new Row(
                    "take the Lease that elects the controller",
                    "apply --server-side --force-conflicts -f -",
                    lease("vmlet-controller", "mine"),
                    "the agent of node mine may not write Lease vmlet-system/vmlet-controller: it keeps the one that bears"
                            + " its name, holds it itself and labels it vmlet.dev/lease=agent"),
            new Row(
                    "tell an Event in another agent's name",
                    "create -f -",
                    event("told", "other"),
                    "the agent of node mine may not write Event refused/told: its own name it as reportingInstance, and"
                            + " vmlet.dev/agent as reportingComponent"),
            new Row(
                    "change an Event of another",
                    "patch event theirs -n refused --type=merge -p {\"message\":\"all is well\"}",
                    "",
                    "the agent of node mine may not write Event refused/theirs: its own name it as reportingInstance, and"
                            + " vmlet.dev/agent as reportingComponent"));

    /** What RBAC refuses already; where somebody has given the agent more, the policy does. */
    private static final List<Row> REFUSED_TWICE = List.of(
            new Row(
                    "delete a VM, even of its own node",
                    "delete vm ours -n refused --wait=false",
                    "",
                    "the agent of node mine may not delete VirtualMachine refused/ours: only people create and delete VMs"),
            new Row(
                    "create a VM",
                    "create -f -",
                    vm("new", "  nodeName: mine"),
                    "the agent of node mine may not create VirtualMachine refused/new: only people create and delete VMs"),
            new Row(
                    "delete a slice, even its own",
                    "delete networkslice lab-0 -n refused --wait=false",
                    "",
                    "the agent of node mine may not delete NetworkSlice refused/lab-0: the controller does, with its Network"),
            new Row(
                    "change a Network",
                    "patch vmnet lab -n refused --type=merge -p {\"spec\":{\"egress\":\"None\"}}",
                    "",
                    "the agent of node mine may not write networks: that is for people and for the controller"),
            new Row(
                    "confirm a removal or ask for evacuation, on its own VmNode",
                    "annotate vmnode mine vmlet.dev/confirm-removal=x",
                    "",
                    "the agent of node mine may create its VmNode, without annotations, and write its status, nothing"
                            + " else: an annotation there is a person's word"),
            new Row(
                    "delete its Lease",
                    "delete lease mine -n vmlet-system",
                    "",
                    "the agent of node mine may not write Lease vmlet-system/mine: it keeps the one that bears its name,"
                            + " holds it itself and labels it vmlet.dev/lease=agent"));

    private static final List<Row> ALLOWED = List.of(
            new Row(
                    "write the status of a VM of its node",
                    "status /namespaces/refused/virtualmachines/ours {\"status\":{\"phase\":\"Failed\"}}",
                    "",
                    ""),
            new Row("put its finalizer on it", "apply --server-side --field-manager=vmlet-agent -f -", """
                    apiVersion: vmlet.dev/v1alpha1
                    kind: VirtualMachine
                    metadata: {namespace: refused, name: ours, finalizers: [vmlet.dev/node-agent]}
                    """, ""),
            new Row(
                    "take the finalizer away",
                    "patch vm ours -n refused --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]",
                    "",
                    ""),
            new Row("take a slice for its node", "create -f -", slice("lab-3", "mine", "lab"), ""),
            new Row(
                    "write its status",
                    "status /namespaces/refused/networkslices/lab-3 {\"status\":{\"ready\":true}}",
                    "",
                    ""),
            new Row(
                    "give it up",
                    "patch networkslice lab-3 -n refused --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]",
                    "",
                    ""),
            new Row("write the status of its VmNode", "status /vmnodes/mine {\"status\":{\"bootId\":\"x\"}}", "", ""),
            new Row("keep its Lease", "apply --server-side --force-conflicts -f -", lease("mine", "mine"), ""),
            new Row("tell an Event", "create -f -", event("ours", "mine"), ""),
            new Row("count it up", "patch event ours -n refused --type=merge -p {\"count\":2}", "", ""));

    private static final String RELEASE =
            "the controller may take the finalizer vmlet.dev/node-agent off VirtualMachine"
                    + " refused/%s when a person has deleted it and said why by the annotation vmlet.dev/force-delete, and change"
                    + " nothing else";

    private static final String OWN_SLICES =
            "the controller may not write EndpointSlice refused/%s: its own are labelled"
                    + " endpointslice.kubernetes.io/managed-by=controller.vmlet.dev, bear the name of their Service, which owns"
                    + " them, and lead to VirtualMachines";

    /** The same for whoever has the controller's token. */
    private static final List<Row> REFUSED_TO_THE_CONTROLLER = List.of(
            new Row(
                    "stop a VM that nobody has deleted, by its finalizer",
                    "patch vm theirs -n refused --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]",
                    "",
                    RELEASE.formatted("theirs")),
            new Row(
                    "release a deleted VM of which no person has said why",
                    "patch vm leaving -n refused --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]",
                    "",
                    RELEASE.formatted("leaving")),
            new Row(
                    "say why in a person's place",
                    "annotate vm leaving -n refused vmlet.dev/force-delete=because",
                    "",
                    RELEASE.formatted("leaving")),
            new Row(
                    "change the spec of a VM",
                    "patch vm theirs -n refused --type=merge -p {\"spec\":{\"runStrategy\":\"Halted\"}}",
                    "",
                    RELEASE.formatted("theirs")),
            new Row(
                    "place a VM",
                    "patch vm homeless -n refused --type=merge -p {\"spec\":{\"nodeName\":\"mine\"}}",
                    "",
                    RELEASE.formatted("homeless")),
            new Row(
                    "say of a VM that it runs",
                    "status /namespaces/refused/virtualmachines/theirs {\"status\":{\"phase\":\"Running\"}}",
                    "",
                    "the controller may say of VirtualMachine refused/theirs that its node is lost, nothing else"),
            new Row(
                    "give it another address",
                    "status /namespaces/refused/virtualmachines/theirs {\"status\":{\"phase\":\"Unknown\",\"addresses\":[{\"network\":\"lab\",\"ip\":\"10.0.0.1\"}]}}",
                    "",
                    "the controller may say of VirtualMachine refused/theirs that its node is lost, nothing else"),
            new Row(
                    "change the spec of a Network",
                    "patch vmnet lab -n refused --type=merge -p {\"spec\":{\"egress\":\"None\"}}",
                    "",
                    "the controller may change of Network refused/lab the status and the finalizer vmlet.dev/controller,"
                            + " nothing else"),
            new Row(
                    "confirm a removal or ask for evacuation, on a VmNode",
                    "annotate vmnode other vmlet.dev/confirm-removal=x",
                    "",
                    "the controller may write the spec of VmNode other, nothing else: an annotation there is a"
                            + " person's word"),
            new Row(
                    "take the finalizer off a slice that is not deleted",
                    "bare /namespaces/refused/networkslices/lab-1 {\"metadata\":{\"finalizers\":null}}",
                    "",
                    "the controller may delete NetworkSlice refused/lab-1, and then take the finalizer"
                            + " vmlet.dev/node-agent off it, nothing else"),
            new Row(
                    "renew the Lease of a node",
                    "replace -f -",
                    lease("other", "other"),
                    "the controller may not write Lease vmlet-system/other: it keeps the one that elects it,"
                            + " vmlet-system/vmlet-controller"),
            new Row(
                    "lead a Service elsewhere by a slice of another",
                    "replace -f -",
                    endpoints("by-hand", ""),
                    OWN_SLICES.formatted("by-hand")),
            new Row(
                    "mark such a slice as its own",
                    "replace -f -",
                    endpoints("by-hand", ", endpointslice.kubernetes.io/managed-by: controller.vmlet.dev"),
                    OWN_SLICES.formatted("by-hand")),
            new Row(
                    "make a slice that leads to no VM",
                    "create -f -",
                    endpoints("front.x", ", endpointslice.kubernetes.io/managed-by: controller.vmlet.dev")
                            .replace("VirtualMachine", "Pod"),
                    OWN_SLICES.formatted("front.x")),
            new Row(
                    "tell an Event in an agent's name",
                    "create -f -",
                    event("told", "other"),
                    "the controller may not write Event refused/told: its own name vmlet.dev/controller as"
                            + " reportingComponent"));

    /** What RBAC refuses it already. */
    private static final List<Row> REFUSED_TO_THE_CONTROLLER_TWICE = List.of(
            new Row("delete a VM", "delete vm theirs -n refused --wait=false", "", RELEASE.formatted("theirs")),
            new Row(
                    "delete a Network",
                    "delete vmnet lab -n refused --wait=false",
                    "",
                    "the controller may change of Network refused/lab the status and the finalizer vmlet.dev/controller,"
                            + " nothing else"),
            new Row(
                    "write what a node says of itself, or of its slice",
                    "status /vmnodes/other {\"status\":{\"bootId\":\"x\"}}",
                    "",
                    "the controller may not write vmnodes/status: that is for a node's agent"),
            new Row(
                    "delete the Lease of a node",
                    "delete lease other -n vmlet-system",
                    "",
                    "the controller may not write Lease vmlet-system/other: it keeps the one that elects it,"
                            + " vmlet-system/vmlet-controller"));

    private static final List<Row> ALLOWED_TO_THE_CONTROLLER = List.of(
            new Row(
                    "say that a node is lost",
                    "status /namespaces/refused/virtualmachines/theirs {\"status\":{\"phase\":\"Unknown\",\"conditions\":"
                            + "[{\"type\":\"Ready\",\"status\":\"Unknown\",\"reason\":\"NodeLost\",\"message\":\"gone\","
                            + "\"lastTransitionTime\":\"2026-01-01T12:00:00Z\"}]}}",
                    "",
                    ""),
            new Row(
                    "let a VM go that a person wants gone by force",
                    "patch vm forced -n refused --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]",
                    "",
                    ""),
            new Row("leave a tombstone", "apply --server-side --field-manager=vmlet-controller -f -", """
                    apiVersion: vmlet.dev/v1alpha1
                    kind: VmNode
                    metadata: {name: other}
                    spec: {tombstones: [{uid: 6ba7b810-9dad-41d1-80b4-00c04fd430c8}]}
                    """, ""),
            new Row("delete a slice", "delete networkslice lab-1 -n refused --wait=false", "", ""),
            new Row(
                    "take its finalizer off then",
                    "bare /namespaces/refused/networkslices/lab-1 {\"metadata\":{\"finalizers\":null}}",
                    "",
                    ""),
            new Row(
                    "put a VM behind a Service",
                    "create -f -",
                    endpoints("front.x", ", endpointslice.kubernetes.io/managed-by: controller.vmlet.dev"),
                    ""),
            new Row(
                    "change that",
                    "replace -f -",
                    endpoints("front.x", ", endpointslice.kubernetes.io/managed-by: controller.vmlet.dev")
                            .replace("192.0.2.1", "192.0.2.2"),
                    ""),
            new Row("take it away", "delete endpointslice front.x -n refused", "", ""),
            new Row(
                    "tell an Event as itself",
                    "create -f -",
                    event("controllers", "").replace("vmlet.dev/agent", "vmlet.dev/controller"),
                    ""));

    @BeforeEach
    void twoNodes(Cluster given) {
        cluster = given;
        mine = cluster.identities().agent("mine");
        cluster.identities().agent("other");
        controllers = cluster.identities().controller();
        cluster.namespace(NS);
        cluster.apply(Cluster.network(NS, "lab"));
        cluster.apply(vm("ours", "  nodeName: mine"));
        cluster.apply(vm("theirs", "  nodeName: other")
                .replace("name: theirs}", "name: theirs, finalizers: [vmlet.dev/node-agent]}"));
        cluster.apply(vm("homeless", ""));
        // Of a node without a Lease, on which the controller that runs here has no say.
        cluster.apply(vm("leaving", "  nodeName: third")
                .replace("name: leaving}", "name: leaving, finalizers: [vmlet.dev/node-agent]}"));
        cluster.apply(
                vm("forced", "  nodeName: third")
                        .replace(
                                "name: forced}",
                                "name: forced, finalizers: [vmlet.dev/node-agent], annotations: {vmlet.dev/force-delete: gone}}"));
        cluster.kubectl("delete", "vm", "leaving", "forced", "-n", NS, "--wait=false");
        cluster.apply(endpoints("by-hand", ""));
        cluster.apply(slice("lab-0", "mine", "lab"));
        cluster.apply(slice("lab-1", "other", "lab"));
        for (String node : List.of("mine", "other")) {
            cluster.apply("{apiVersion: vmlet.dev/v1alpha1, kind: VmNode, metadata: {name: " + node + "}}");
            cluster.apply(lease(node, node));
        }
        cluster.apply(event("theirs", "other"));
    }

    @AfterEach
    void clear() {
        if (cluster == null) {
            return;
        }
        cluster.kubectl("delete", "clusterrolebinding", "careless", "more-careless", "--ignore-not-found");
        for (String kind : List.of("vm", "networkslice", "vmnet", "event", "endpointslice")) {
            for (String name :
                    cluster.kubectl("get", kind, "-n", NS, "-o", "name").split("\n")) {
                if (!name.isBlank()) {
                    cluster.tryKubectl("delete", name, "-n", NS, "--wait=false");
                    cluster.tryKubectl(
                            "patch", name, "-n", NS, "--type=merge", "-p", "{\"metadata\":{\"finalizers\":null}}");
                }
            }
        }
        cluster.kubectl("delete", "vmnode", "mine", "other", "--ignore-not-found");
        cluster.kubectl("delete", "lease", "mine", "other", "-n", Identities.NAMESPACE, "--ignore-not-found");
    }

    @Test
    void everyWriteOfAnotherNodesThingsIsRefusedAndSaysWhy(Cluster given) {
        for (Row row : REFUSED) {
            assertThat(refusal(mine, row)).as(row.what).isEqualTo(row.says);
        }
        for (Row row : REFUSED_TWICE) {
            assertThat(write(mine, row).output())
                    .as(row.what)
                    .contains("Forbidden")
                    .contains("User \"system:serviceaccount:vmlet-system:vmlet-agent\" cannot ");
        }
        for (Row row : ALLOWED) {
            assertThat(write(mine, row)).as(row.what).satisfies(ended -> ended.mustSucceed());
        }
    }

    @Test
    void thePolicyAloneRefusesThemWhereSomebodyGaveTheAgentEveryRight(Cluster given) {
        cluster.kubectl(
                "create",
                "clusterrolebinding",
                "careless",
                "--clusterrole=cluster-admin",
                "--serviceaccount=vmlet-system:vmlet-agent");
        List<Row> all = new ArrayList<>(REFUSED);
        all.addAll(REFUSED_TWICE);
        for (Row row : all) {
            assertThat(refusal(mine, row)).as(row.what).isEqualTo(row.says);
        }
    }

    @Test
    void theControllerDecidesWhatIsItsOwnAndNothingElse(Cluster given) {
        for (Row row : REFUSED_TO_THE_CONTROLLER) {
            assertThat(refusal(controllers, row)).as(row.what).isEqualTo(row.says);
        }
        for (Row row : REFUSED_TO_THE_CONTROLLER_TWICE) {
            // curl shows the JSON text.
            assertThat(write(controllers, row).output().replace("\\\"", "\""))
                    .as(row.what)
                    .contains("Forbidden")
                    .contains("User \"system:serviceaccount:vmlet-system:vmlet-controller\" cannot ");
        }
        for (Row row : ALLOWED_TO_THE_CONTROLLER) {
            assertThat(write(controllers, row)).as(row.what).satisfies(ended -> ended.mustSucceed());
        }
    }

    @Test
    void thePolicyAloneRefusesThemToAControllerWithEveryRight(Cluster given) {
        cluster.kubectl(
                "create",
                "clusterrolebinding",
                "more-careless",
                "--clusterrole=cluster-admin",
                "--serviceaccount=vmlet-system:vmlet-controller");
        List<Row> all = new ArrayList<>(REFUSED_TO_THE_CONTROLLER);
        all.addAll(REFUSED_TO_THE_CONTROLLER_TWICE);
        for (Row row : all) {
            assertThat(refusal(controllers, row)).as(row.what).isEqualTo(row.says);
        }
    }

    @Test
    void aTokenThatNamesNoNodeWritesNothing(Cluster given) {
        Path nobody = cluster.identities().agentOfNoNode();
        for (Row row : ALLOWED) {
            // The others go on from one of these.
            if (!row.words.startsWith("patch") && !row.words.contains("lab-3")) {
                assertThat(write(nobody, row).output())
                        .as(row.what)
                        .contains("an agent writes with a token that names its node, and this one names none");
            }
        }
    }

    @Test
    void readmeHasTheseRows() throws IOException {
        String readme = Files.readString(Path.of("README.md"));
        for (List<Row> rows :
                List.of(REFUSED, REFUSED_TWICE, REFUSED_TO_THE_CONTROLLER, REFUSED_TO_THE_CONTROLLER_TWICE)) {
            assertThat(rows)
                    .extracting(row -> "| " + row.what + " |")
                    .allSatisfy(cell -> assertThat(readme).contains(cell));
        }
    }

    private String refusal(Path kubeconfig, Row row) {
        Command.Ended ended = write(kubeconfig, row);
        assertThat(ended.succeeded())
                .as("%s was taken: %s", row.what, ended.output())
                .isFalse();
        // kubectl ends the line there, the bare answer the JSON text.
        Matcher why = Pattern.compile("denied request: (.*?)(\"|\\n|$)").matcher(ended.output());
        return why.find() ? why.group(1) : ended.output();
    }

    private Command.Ended write(Path kubeconfig, Row row) {
        if (!row.words.startsWith("status ") && !row.words.startsWith("bare ")) {
            return cluster.kubectlAt(kubeconfig, row.words.split(" (?![^\\[{]*[\\]}])"))
                    .reading(row.input)
                    .run();
        }
        String[] words = row.words.split(" ", 3);
        return Command.of(
                        "curl",
                        "--silent",
                        "--show-error",
                        "--fail-with-body",
                        "--insecure",
                        "--request",
                        "PATCH",
                        "--header",
                        "Authorization: Bearer " + token(kubeconfig),
                        "--header",
                        "Content-Type: application/merge-patch+json",
                        "--data",
                        words[2],
                        "https://127.0.0.1:" + cluster.apiPort() + "/apis/vmlet.dev/v1alpha1" + words[1]
                                + (words[0].equals("status") ? "/status" : ""))
                .run();
    }

    private static String token(Path kubeconfig) {
        try {
            return Files.readAllLines(kubeconfig).stream()
                    .filter(line -> line.startsWith("    token: "))
                    .map(line -> line.substring("    token: ".length()))
                    .findFirst()
                    .orElseThrow();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String vm(String name, String nodeName) {
        return """
                apiVersion: vmlet.dev/v1alpha1
                kind: VirtualMachine
                metadata: {namespace: refused, name: %s}
                spec:
                  memory: {size: 256Mi}
                  disks: [{name: root, size: 64Mi}]
                  boot: {kernel: {path: vmlinuz}}
                %s
                """.formatted(name, nodeName);
    }

    private static String slice(String name, String node, String network) {
        int index = Integer.parseInt(name.substring(name.length() - 1));
        return """
                apiVersion: vmlet.dev/v1alpha1
                kind: NetworkSlice
                metadata:
                  namespace: refused
                  name: %s
                  finalizers: [vmlet.dev/node-agent]
                  ownerReferences:
                  - {apiVersion: vmlet.dev/v1alpha1, kind: Network, name: %s, uid: 6ba7b810-9dad-41d1-80b4-00c04fd430c8}
                spec: {network: %s, nodeName: %s, cidr: 10.99.%d.0/24}
                """.formatted(name, network, network, node, index);
    }

    /** @param label another, in flow style */
    private static String endpoints(String name, String label) {
        return """
                apiVersion: discovery.k8s.io/v1
                kind: EndpointSlice
                metadata: {namespace: refused, name: %s, labels: {kubernetes.io/service-name: front%s}}
                addressType: IPv4
                endpoints: [{addresses: [192.0.2.1], targetRef: {kind: VirtualMachine, name: x, namespace: refused}}]
                ports: []
                """.formatted(name, label);
    }

    private static String lease(String name, String holder) {
        return """
                apiVersion: coordination.k8s.io/v1
                kind: Lease
                metadata: {namespace: vmlet-system, name: %s, labels: {vmlet.dev/lease: agent}}
                spec: {holderIdentity: %s, leaseDurationSeconds: 40}
                """.formatted(name, holder);
    }

    private static String event(String name, String node) {
        return """
                apiVersion: v1
                kind: Event
                metadata: {namespace: refused, name: %s}
                involvedObject: {kind: VirtualMachine, namespace: refused, name: theirs}
                type: Normal
                reason: Changed
                message: told
                source: {component: agent, host: %s}
                reportingComponent: vmlet.dev/agent
                reportingInstance: %s
                """.formatted(name, node, node);
    }
}
