package dev.vmlet.manifests;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ManifestParserTest {
    private static List<Manifest> parse(String text) throws ManifestParser.Broken {
        return ManifestParser.parse("web.yaml", text.getBytes(StandardCharsets.UTF_8));
    }

    private static void refuses(String text, String sentence) {
        assertThatThrownBy(() -> parse(text))
                .isInstanceOf(ManifestParser.Broken.class)
                .hasMessageStartingWith(sentence);
    }

    @Test
    void readsEachDocumentWithTheLineItBeginsAt() throws ManifestParser.Broken {
        List<Manifest> manifests = parse("""
                # A network for guests.
                apiVersion: vmlet.dev/v1alpha1
                kind: Network
                metadata: {name: lab}
                ---
                # nothing here
                ---
                apiVersion: v1
                kind: Secret
                metadata: {namespace: tests, name: data}
                stringData: {a: "1"}
                """);
        assertThat(manifests.stream().map(m -> m.place() + " " + m.words()))
                .containsExactly("web.yaml:2 Network lab", "web.yaml:8 Secret tests/data");
        assertThat(manifests.get(1).object().getAdditionalProperties())
                .isEqualTo(Map.of("stringData", Map.of("a", "1")));
    }

    @Test
    void knowsAnObjectByGroupKindNamespaceAndName() throws ManifestParser.Broken {
        assertThat(parse("{apiVersion: vmlet.dev/v1alpha1, kind: Network, metadata: {name: lab}}")
                        .getFirst()
                        .identity())
                .isEqualTo(new Manifest.Identity("vmlet.dev", "Network", "default", "lab"));
        assertThat(parse("{apiVersion: v1, kind: Secret, metadata: {namespace: a, name: b}}")
                        .getFirst()
                        .identity())
                .isEqualTo(new Manifest.Identity("", "Secret", "a", "b"));
    }

    @Test
    void unfoldsLists() throws ManifestParser.Broken {
        assertThat(parse("""
                        apiVersion: v1
                        kind: List
                        items:
                        - {apiVersion: v1, kind: Secret, metadata: {name: a}}
                        - {apiVersion: v1, kind: Secret, metadata: {name: b}}
                        """).stream().map(Manifest::words)).containsExactly("Secret a", "Secret b");
    }

    @Test
    void readsJson() throws ManifestParser.Broken {
        assertThat(parse("{\"apiVersion\": \"v1\", \"kind\": \"Secret\",\n \"metadata\": {\"name\": \"a\"}}"))
                .hasSize(1);
    }

    @Test
    void aFileWithoutDocumentsAsksForNothing() throws ManifestParser.Broken {
        assertThat(parse("")).isEmpty();
        assertThat(parse("# later\n---\n")).isEmpty();
    }

    @Test
    void namesTheLineThatBreaksTheYaml() {
        refuses("""
                apiVersion: v1
                kind: Secret
                metadata:
                  name: a
                 labels: {}
                """, "web.yaml:5: this is no YAML: ");
        refuses("a: [1, 2", "web.yaml:1: this is no YAML: ");
    }

    @Test
    void refusesOneFieldTwice() {
        refuses("""
                apiVersion: v1
                kind: Secret
                metadata: {name: a}
                data: {}
                data: {}
                """, "web.yaml:5: this is no YAML: Duplicate field 'data'");
    }

    @Test
    void refusesAWholeFileForOneDocument() {
        refuses("""
                apiVersion: v1
                kind: Secret
                metadata: {name: a}
                ---
                apiVersion: v1
                kind: Secret
                """, "web.yaml:5: metadata.name is missing or not a text");
        refuses("kind: Secret\nmetadata: {name: a}", "web.yaml:1: apiVersion is missing or not a text");
        refuses("apiVersion: v1\nmetadata: {name: a}", "web.yaml:1: kind is missing or not a text");
        refuses("{apiVersion: v1, kind: Secret, metadata: {name: 7}}", "web.yaml:1: metadata.name is missing");
    }

    @Test
    void refusesWhatIsNoObject() {
        refuses("- a\n- b\n", "web.yaml:1: a document is a mapping");
        refuses("just words", "web.yaml:1: a document is a mapping");
        refuses(
                "{apiVersion: v1, kind: Secret, metadata: {name: a, labels: [b]}}",
                "web.yaml:1: its metadata cannot be read");
    }
}
