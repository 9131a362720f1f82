package dev.vmlet.apiserver;

import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.store.Key;
import java.util.List;
import java.util.Locale;

/**
 * A request for a resource.
 *
 * @param namespace empty for a cluster's object and for all namespaces
 * @param name empty for a collection
 * @param subresource empty, or {@code status}
 */
record Call(
        ResourceType type,
        String namespace,
        String name,
        String subresource,
        Query query,
        Form form,
        String userAgent,
        Body body) {

    /** What came with the request. */
    @SuppressWarnings("ArrayRecordComponent") // Read once, by the one request that has it.
    record Body(String contentType, byte[] bytes) {
        /** Without parameters, in lower case. */
        String mediaType() {
            return contentType.split(";", 2)[0].strip().toLowerCase(Locale.ROOT);
        }

        /** What was sent, as a tree. */
        Json.Parsed read() throws ApiException {
            if (mediaType().equals(Protobuf.MEDIA_TYPE)) return new Json.Parsed(Protobuf.read(bytes), List.of());
            return Json.read(bytes, mediaType().endsWith("yaml"));
        }
    }

    boolean status() {
        return subresource.equals("status");
    }

    /** Where the named object is kept. */
    Key key() {
        return keyOf(name);
    }

    Key keyOf(String named) {
        return new Key(Versions.storedResource(type), namespace, named);
    }
}
