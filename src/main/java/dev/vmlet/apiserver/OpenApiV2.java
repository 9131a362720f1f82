package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.protobuf.CodedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;

/**
 * An OpenAPI v2 document without a single kind. kubectl before 1.31 does not apply anything unless it can read one, though
 * it asks v3 for all that it needs to know; it wants it in protobuf (message Document of gnostic's OpenAPIv2.proto).
 */
final class OpenApiV2 {
    static final String PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    /** What older clients ask for; it is no media type, so they are answered with the other. */
    private static final String OLD_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

    private static final String SWAGGER = "2.0";
    private static final String TITLE = "vmlet standalone; see /openapi/v3";
    private static final String VERSION = "v1";

    private OpenApiV2() {}

    static boolean inProtobuf(String accept) {
        return accept.contains(PROTOBUF) || accept.contains(OLD_PROTOBUF);
    }

    static ObjectNode json() {
        ObjectNode document = Json.object().put("swagger", SWAGGER);
        document.putObject("info").put("title", TITLE).put("version", VERSION);
        document.putObject("paths");
        return document;
    }

    static byte[] protobuf() {
        byte[] info = message(out -> {
            out.writeString(1, TITLE);
            out.writeString(2, VERSION);
        });
        return message(out -> {
            out.writeString(1, SWAGGER);
            out.writeByteArray(2, info);
            out.writeByteArray(8, new byte[0]);
        });
    }

    private interface Fields {
        void to(CodedOutputStream out) throws IOException;
    }

    private static byte[] message(Fields fields) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        CodedOutputStream out = CodedOutputStream.newInstance(bytes);
        try {
            fields.to(out);
            out.flush();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }
}
