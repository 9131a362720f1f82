package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VmNode;
import io.fabric8.kubernetes.api.model.HasMetadata;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.stream.Stream;

/** The definitions of vmlet's kinds, as they lie in {@code crd/} and on the class path. */
public final class Crds {
    private static final ObjectMapper YAML = new YAMLMapper();

    private Crds() {}

    public static List<ObjectNode> ofVmlet() {
        return Stream.of(Network.class, NetworkSlice.class, VirtualMachine.class, VmNode.class)
                .map(kind -> read("/crd/" + HasMetadata.getFullResourceName(kind) + ".yaml"))
                .toList();
    }

    private static ObjectNode read(String resource) {
        try (InputStream in = Crds.class.getResourceAsStream(resource)) {
            if (in == null) throw new FileNotFoundException(resource + " is not on the class path");
            return (ObjectNode) YAML.readTree(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
