package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;

/**
 * Reads objects in Kubernetes' protobuf encoding: since 1.33 kubectl sends what {@code kubectl create} makes of the built-in
 * kinds in it, and only in it. Field numbers are those of generated.proto in k8s.io/api and k8s.io/apimachinery; only
 * kinds that kubectl makes by itself are known. Answers are always JSON, which it accepts as well.
 */
final class Protobuf {
    static final String MEDIA_TYPE = "application/vnd.kubernetes.protobuf";
    private static final byte[] PREFIX = {'k', '8', 's', 0};
    private static final int DEPTH_MAX = 16;

    /** How a field is written. */
    private sealed interface Field {
        /** A string, a bool or a whole number. */
        record Plain(String name, Kind kind) implements Field {}

        record Texts(String name) implements Field {}

        /** Map of strings to strings or bytes. */
        record Table(String name, boolean bytes) implements Field {}

        record Message(String name, Map<Integer, Field> fields) implements Field {}

        record Messages(String name, Map<Integer, Field> fields) implements Field {}

        record Time(String name) implements Field {}
    }

    private enum Kind {
        TEXT,
        BOOL,
        NUMBER
    }

    private static final Map<Integer, Field> OWNER = Map.of(
            1, text("kind"),
            3, text("name"),
            4, text("uid"),
            5, text("apiVersion"),
            6, new Field.Plain("controller", Kind.BOOL),
            7, new Field.Plain("blockOwnerDeletion", Kind.BOOL));

    private static final Map<Integer, Field> METADATA = Map.ofEntries(
            Map.entry(1, text("name")),
            Map.entry(2, text("generateName")),
            Map.entry(3, text("namespace")),
            Map.entry(5, text("uid")),
            Map.entry(6, text("resourceVersion")),
            Map.entry(11, new Field.Table("labels", false)),
            Map.entry(12, new Field.Table("annotations", false)),
            Map.entry(13, new Field.Messages("ownerReferences", OWNER)),
            Map.entry(14, new Field.Texts("finalizers")));

    private static final Field OF_METADATA = new Field.Message("metadata", METADATA);

    private static final Map<String, Map<Integer, Field>> KINDS = Map.of(
            "Namespace",
            Map.of(
                    1, OF_METADATA,
                    2, new Field.Message("spec", Map.of(1, new Field.Texts("finalizers"))),
                    3, new Field.Message("status", Map.of(1, text("phase")))),
            "ConfigMap",
            Map.of(
                    1, OF_METADATA,
                    2, new Field.Table("data", false),
                    3, new Field.Table("binaryData", true),
                    4, new Field.Plain("immutable", Kind.BOOL)),
            "Secret",
            Map.of(
                    1, OF_METADATA,
                    2, new Field.Table("data", true),
                    3, text("type"),
                    4, new Field.Table("stringData", false),
                    5, new Field.Plain("immutable", Kind.BOOL)),
            "Lease",
            Map.of(
                    1,
                    OF_METADATA,
                    2,
                    new Field.Message(
                            "spec",
                            Map.of(
                                    1, text("holderIdentity"),
                                    2, new Field.Plain("leaseDurationSeconds", Kind.NUMBER),
                                    3, new Field.Time("acquireTime"),
                                    4, new Field.Time("renewTime"),
                                    5, new Field.Plain("leaseTransitions", Kind.NUMBER)))),
            "DeleteOptions",
            Map.of(
                    1,
                    new Field.Plain("gracePeriodSeconds", Kind.NUMBER),
                    2,
                    new Field.Message("preconditions", Map.of(1, text("uid"), 2, text("resourceVersion"))),
                    3,
                    new Field.Plain("orphanDependents", Kind.BOOL),
                    4,
                    text("propagationPolicy"),
                    5,
                    new Field.Texts("dryRun")));

    private Protobuf() {}

    private static Field text(String name) {
        return new Field.Plain(name, Kind.TEXT);
    }

    /** @throws ApiException 415 for a kind that is not known, 400 for what is malformed */
    static ObjectNode read(byte[] body) throws ApiException {
        try {
            if (body.length < PREFIX.length || !Arrays.equals(body, 0, PREFIX.length, PREFIX, 0, PREFIX.length)) {
                throw ApiException.badRequest("the body of the request does not begin as Kubernetes' protobuf does");
            }
            Envelope envelope =
                    envelope(CodedInputStream.newInstance(body, PREFIX.length, body.length - PREFIX.length));
            Map<Integer, Field> fields = KINDS.get(envelope.kind);
            if (fields == null) {
                throw ApiException.unsupportedMediaType(
                        "application/json, application/yaml (and protobuf for some kinds, but not for " + envelope.kind
                                + ")");
            }
            ObjectNode object =
                    Json.object().put("apiVersion", envelope.apiVersion).put("kind", envelope.kind);
            message(CodedInputStream.newInstance(envelope.raw), fields, object, 0);
            return object;
        } catch (IOException e) {
            throw ApiException.badRequest("the body of the request is malformed protobuf: " + e.getMessage());
        }
    }

    @SuppressWarnings("ArrayRecordComponent") // Passed on once.
    private record Envelope(String apiVersion, String kind, byte[] raw) {}

    private static Envelope envelope(CodedInputStream from) throws IOException {
        ObjectNode type = Json.object();
        byte[] raw = new byte[0];
        for (int tag = from.readTag(); tag != 0; tag = from.readTag()) {
            switch (WireFormat.getTagFieldNumber(tag)) {
                case 1 ->
                    message(from.readBytes().newCodedInput(), Map.of(1, text("apiVersion"), 2, text("kind")), type, 0);
                case 2 -> raw = from.readByteArray();
                default -> from.skipField(tag);
            }
        }
        return new Envelope(Json.text(type, "apiVersion"), Json.text(type, "kind"), raw);
    }

    private static void message(CodedInputStream from, Map<Integer, Field> fields, ObjectNode to, int depth)
            throws IOException {
        if (depth > DEPTH_MAX) throw new IOException("nested too deeply");
        for (int tag = from.readTag(); tag != 0; tag = from.readTag()) {
            Field field = fields.get(WireFormat.getTagFieldNumber(tag));
            switch (field) {
                case null -> from.skipField(tag);
                case Field.Plain plain -> plain(from, plain, to);
                case Field.Texts texts -> to.withArray(texts.name()).add(from.readStringRequireUtf8());
                case Field.Table table ->
                    entry(from.readBytes().newCodedInput(), table, to.withObject("/" + table.name()));
                case Field.Message inner -> {
                    ObjectNode read = Json.object();
                    message(from.readBytes().newCodedInput(), inner.fields(), read, depth + 1);
                    if (!read.isEmpty() || inner.name().equals("metadata")) to.set(inner.name(), read);
                }
                case Field.Messages inner ->
                    message(
                            from.readBytes().newCodedInput(),
                            inner.fields(),
                            to.withArray(inner.name()).addObject(),
                            depth + 1);
                case Field.Time time -> time(from.readBytes().newCodedInput(), time.name(), to);
            }
        }
    }

    /** An empty text is one that was not given. */
    private static void plain(CodedInputStream from, Field.Plain field, ObjectNode to) throws IOException {
        switch (field.kind()) {
            case TEXT -> {
                String text = from.readStringRequireUtf8();
                if (!text.isEmpty()) to.put(field.name(), text);
            }
            case BOOL -> to.put(field.name(), from.readBool());
            case NUMBER -> to.put(field.name(), from.readInt64());
        }
    }

    private static void entry(CodedInputStream from, Field.Table table, ObjectNode to) throws IOException {
        String key = "";
        byte[] value = new byte[0];
        for (int tag = from.readTag(); tag != 0; tag = from.readTag()) {
            switch (WireFormat.getTagFieldNumber(tag)) {
                case 1 -> key = from.readStringRequireUtf8();
                case 2 -> value = from.readByteArray();
                default -> from.skipField(tag);
            }
        }
        to.put(
                key,
                table.bytes() ? Base64.getEncoder().encodeToString(value) : new String(value, StandardCharsets.UTF_8));
    }

    private static void time(CodedInputStream from, String name, ObjectNode to) throws IOException {
        Map<Integer, Long> parts = new HashMap<>();
        for (int tag = from.readTag(); tag != 0; tag = from.readTag()) {
            parts.put(WireFormat.getTagFieldNumber(tag), from.readInt64());
        }
        if (parts.isEmpty()) return;
        to.put(name, Times.micros(Instant.ofEpochSecond(parts.getOrDefault(1, 0L), parts.getOrDefault(2, 0L))));
    }
}
