package dev.vmlet.host.net;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PortHolderTest {
    private static final String TABLE = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0
               1: 0100007F:192C 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 43 1 0
            """;

    @TempDir
    private Path proc;

    @Test
    void namesThisProcessForAPortOfItsOwn() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            assertThat(PortHolder.of(socket.getLocalPort()))
                    .hasValueSatisfying(words -> assertThat(words)
                            .startsWith("process " + ProcessHandle.current().pid() + " ("));
        }
    }

    @Test
    void readsTheTablesOfTheKernel() throws IOException {
        write("net/tcp", TABLE);
        write("17/comm", "kube-apiserver\n");
        Files.createDirectories(proc.resolve("17/fd"));
        Files.createSymbolicLink(proc.resolve("17/fd/3"), Path.of("socket:[42]"));
        Files.createDirectories(proc.resolve("16/fd"));
        Files.createSymbolicLink(proc.resolve("16/fd/3"), Path.of("socket:[43]"));
        assertThat(PortHolder.of(6443, proc)).hasValue("process 17 (kube-apiserver)");
        assertThat(PortHolder.of(6444, proc)).as("a connection, no listener").isEmpty();
        assertThat(PortHolder.of(6445, proc)).isEmpty();
    }

    @Test
    void knowsNobodyWhereItMayNotLook() throws IOException {
        assertThat(PortHolder.of(6443, proc)).isEmpty();
        write("net/tcp6", TABLE);
        Files.createDirectories(proc.resolve("17"));
        assertThat(PortHolder.of(6443, proc)).isEmpty();
    }

    private void write(String file, String text) throws IOException {
        Path path = proc.resolve(file);
        Files.createDirectories(path.getParent());
        Files.writeString(path, text);
    }
}
