package dev.vmlet.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The library's own reader is the oracle. */
class KubeconfigFileTest {
    @TempDir
    Path directory;

    private Path write(String text) throws IOException {
        return Files.writeString(directory.resolve("kubeconfig"), text);
    }

    private static Config readsAsTheLibraryDoes(Path file) throws IOException {
        Config ours = KubeconfigFile.read(file.toFile());
        Config theirs = Config.fromKubeconfig(file.toFile());
        assertEquals(Serialization.asYaml(theirs), Serialization.asYaml(ours));
        assertEquals(theirs.getFile(), ours.getFile());
        assertEquals(theirs.getCurrentContext(), ours.getCurrentContext());
        assertEquals(theirs.getContexts(), ours.getContexts());
        return ours;
    }

    @Test
    void aTokenAndACaInTheFileAreTaken() throws IOException {
        Config config = readsAsTheLibraryDoes(write("""
                apiVersion: v1
                kind: Config
                clusters:
                - name: one
                  cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: QUJD}
                users:
                - name: node
                  user: {token: secret}
                contexts:
                - name: here
                  context: {cluster: one, user: node, namespace: lab}
                current-context: here
                """));
        assertEquals("https://10.0.0.1:6443/", config.getMasterUrl());
        assertEquals("secret", config.getAutoOAuthToken());
        assertEquals("QUJD", config.getCaCertData());
        assertEquals("lab", config.getNamespace());
    }

    @Test
    void pathsAreRelativeToTheFileThatNamesThem() throws IOException {
        Files.writeString(directory.resolve("ca.crt"), "ca");
        Files.writeString(directory.resolve("node.crt"), "crt");
        Files.writeString(directory.resolve("node.key"), "key");
        Config config = readsAsTheLibraryDoes(write("""
                apiVersion: v1
                kind: Config
                clusters:
                - name: one
                  cluster: {server: 'https://10.0.0.1:6443', certificate-authority: ca.crt}
                users:
                - name: node
                  user: {client-certificate: node.crt, client-key: node.key}
                contexts:
                - name: here
                  context: {cluster: one, user: node}
                current-context: here
                """));
        assertEquals(directory.resolve("ca.crt").toString(), config.getCaCertFile());
        assertEquals(directory.resolve("node.crt").toString(), config.getClientCertFile());
        assertEquals(directory.resolve("node.key").toString(), config.getClientKeyFile());
    }

    @Test
    void aCommandThatGivesCredentialsIsRun() throws IOException {
        Path command = Files.writeString(directory.resolve("login"), """
                #!/bin/sh
                echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "fresh"}}'
                """);
        assertEquals(true, command.toFile().setExecutable(true));
        Config config = readsAsTheLibraryDoes(write("""
                apiVersion: v1
                kind: Config
                clusters:
                - name: one
                  cluster: {server: 'https://10.0.0.1:6443', insecure-skip-tls-verify: true}
                users:
                - name: node
                  user:
                    exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login, interactiveMode: Never}
                contexts:
                - name: here
                  context: {cluster: one, user: node}
                current-context: here
                """));
        assertEquals("fresh", config.getAutoOAuthToken());
    }

    @Test
    void aTokenThatTheFileGetsLaterIsFollowed() throws IOException {
        String text = """
                apiVersion: v1
                kind: Config
                clusters:
                - name: one
                  cluster: {server: 'https://10.0.0.1:6443'}
                users:
                - name: node
                  user: {token: first}
                contexts:
                - name: here
                  context: {cluster: one, user: node, namespace: lab}
                current-context: here
                """;
        Path file = write(text);
        Config config = ApiOptions.configured(KubeconfigFile.read(file.toFile()));
        assertEquals("first", config.getAutoOAuthToken());
        assertEquals("https://10.0.0.1:6443/", config.getMasterUrl());
        assertEquals(true, config.isOnlyHttpWatches());
        assertEquals(10_000, config.getRequestTimeout());
        assertEquals("lab", config.getNamespace());

        write(text.replace("first", "second"));
        assertEquals("second", config.refresh().getAutoOAuthToken());

        write("half a");
        assertEquals("first", config.refresh().getAutoOAuthToken());
    }

    @Test
    void whatMinikubeAddsDoesNoHarm() throws IOException {
        Config config = readsAsTheLibraryDoes(write("""
                apiVersion: v1
                kind: Config
                preferences: {}
                clusters:
                - name: minikube
                  cluster:
                    server: https://192.168.49.2:8443
                    extensions:
                    - extension: {last-update: today, provider: minikube.sigs.k8s.io, version: v1.37.0}
                      name: cluster_info
                users:
                - name: minikube
                  user: {username: admin, password: pass}
                contexts:
                - name: minikube
                  context:
                    cluster: minikube
                    user: minikube
                    extensions:
                    - extension: {kind: Odd, apiVersion: example.com/v1, metadata: {name: odd}}
                      name: context_info
                current-context: minikube
                """));
        assertNotNull(config.getCurrentContext());
        assertEquals("admin", config.getUsername());
    }

    @Test
    void aFileWithoutCurrentContextHasNone() throws IOException {
        Config config = readsAsTheLibraryDoes(write("apiVersion: v1\nkind: Config\n"));
        assertNull(config.getCurrentContext());
    }

    @Test
    void whatIsNoKubeconfigIsRefused() throws IOException {
        Path file = write("- neither\n- nor\n");
        assertThrows(RuntimeException.class, () -> KubeconfigFile.read(file.toFile()));
    }
}
