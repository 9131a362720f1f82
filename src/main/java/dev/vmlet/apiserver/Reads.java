package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.schema.Tables;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.Stored;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.Predicate;

/** Gets and lists objects, in the form that was asked for. For many threads. */
final class Reads {
    private final Store store;
    private final Clock clock;

    Reads(Store store, Clock clock) {
        this.store = store;
        this.clock = clock;
    }

    ObjectNode get(Call call) throws ApiException {
        Stored stored = store.get(call.key());
        if (stored == null) throw ApiException.notFound(call.type(), call.name());
        return shown(call, object(call.type(), stored));
    }

    static ObjectNode object(ResourceType type, Stored stored) {
        return Versions.fromStored(type, Json.own(stored.json()));
    }

    /** One object in the form that the call asks for. */
    ObjectNode shown(Call call, ObjectNode object) throws ApiException {
        return switch (call.form()) {
            case OBJECT, DISCOVERY -> object;
            case TABLE -> table(call, List.of(object), Json.object().put("resourceVersion", revisionOf(object)), true);
            case PARTIAL -> partial(object);
            case PARTIAL_LIST -> throw ApiException.notAcceptable("application/json;as=PartialObjectMetadata");
        };
    }

    ObjectNode table(Call call, List<ObjectNode> objects, ObjectNode listMetadata, boolean withColumns)
            throws ApiException {
        return Tables.of(call.type(), objects, listMetadata, included(call), withColumns, clock.instant());
    }

    private static Tables.Include included(Call call) throws ApiException {
        String asked = call.query().text("includeObject");
        for (Tables.Include include : Tables.Include.values()) {
            if (include.name().equals(asked)) return include;
        }
        if (asked.isEmpty()) return Tables.Include.Metadata;
        throw ApiException.badRequest("includeObject must be None, Metadata or Object, not \"" + asked + "\"");
    }

    static ObjectNode partial(ObjectNode object) {
        ObjectNode partial = Json.object();
        partial.put("kind", "PartialObjectMetadata").put("apiVersion", "meta.k8s.io/v1");
        partial.set("metadata", object.path("metadata"));
        return partial;
    }

    private static String revisionOf(ObjectNode object) {
        return Json.text(object.path("metadata"), "resourceVersion");
    }

    // Lists

    /** A page of a list, or all of it. */
    ObjectNode list(Call call) throws ApiException {
        Query query = call.query();
        if (query.has("sendInitialEvents")) {
            throw ApiException.invalid(
                    "ListOptions",
                    "",
                    "sendInitialEvents",
                    "FieldValueForbidden",
                    "Forbidden: sendInitialEvents is forbidden for list");
        }
        Predicate<Stored> selected = selected(call);
        String resource = Versions.storedResource(call.type());
        String token = query.text("continue");
        OptionalLong limit = query.number("limit");
        Position position = token.isEmpty() ? new Position(revision(query), "") : Position.read(token);
        Store.Snapshot snapshot = snapshot(call, resource, position);
        List<ObjectNode> page = new ArrayList<>();
        String last = "";
        long remaining = 0;
        for (Stored stored : snapshot.objects()) {
            String place = stored.key().namespace() + "/" + stored.key().name();
            if (after(position.after, stored) && selected.test(stored)) {
                if (limit.orElse(0) > 0 && page.size() == limit.getAsLong()) {
                    remaining++;
                } else {
                    page.add(object(call.type(), stored));
                    last = place;
                }
            }
        }
        ObjectNode metadata = Json.object().put("resourceVersion", Long.toString(snapshot.revision()));
        if (remaining > 0) {
            metadata.put("continue", new Position(snapshot.revision(), last).token());
            boolean all = query.text("labelSelector").isEmpty()
                    && query.text("fieldSelector").isEmpty();
            // As a real server: nobody counts what a selector would leave.
            if (all) metadata.put("remainingItemCount", remaining);
        }
        return listed(call, page, metadata);
    }

    private static boolean after(String place, Stored stored) {
        if (place.isEmpty()) return true;
        int slash = place.indexOf('/');
        int byNamespace = stored.key().namespace().compareTo(place.substring(0, slash));
        return byNamespace > 0 || (byNamespace == 0 && stored.key().name().compareTo(place.substring(slash + 1)) > 0);
    }

    private Store.Snapshot snapshot(Call call, String resource, Position position) throws ApiException {
        if (position.revision == 0) return store.list(resource, call.namespace());
        try {
            return store.listAt(resource, call.namespace(), position.revision);
        } catch (Store.TooOld e) {
            if (position.after.isEmpty()) throw ApiException.expired(e.sentence());
            throw ApiException.continueExpired(new Position(0, position.after).token());
        }
    }

    /** The revision that is asked for exactly; 0 for the list of now. */
    private long revision(Query query) throws ApiException {
        OptionalLong asked = query.revision();
        String match = query.text("resourceVersionMatch");
        long current = store.revision();
        if (asked.isEmpty() || asked.getAsLong() == 0) {
            if (match.equals("Exact")) {
                throw ApiException.badRequest("resourceVersionMatch Exact needs a resourceVersion above 0");
            }
            return 0;
        }
        if (asked.getAsLong() > current) throw ApiException.tooLargeRevision(asked.getAsLong(), current);
        return switch (match) {
            case "", "NotOlderThan" -> 0;
            case "Exact" -> asked.getAsLong();
            default ->
                throw ApiException.badRequest(
                        "resourceVersionMatch must be Exact or NotOlderThan, not \"" + match + "\"");
        };
    }

    private ObjectNode listed(Call call, List<ObjectNode> page, ObjectNode metadata) throws ApiException {
        if (call.form() == Form.TABLE) return table(call, page, metadata, true);
        boolean partial = call.form() == Form.PARTIAL_LIST || call.form() == Form.PARTIAL;
        ObjectNode list = Json.object();
        list.put("kind", partial ? "PartialObjectMetadataList" : call.type().listKind());
        list.put("apiVersion", partial ? "meta.k8s.io/v1" : call.type().apiVersion());
        list.set("metadata", metadata);
        ArrayNode items = list.putArray("items");
        page.forEach(object -> items.add(partial ? partial(object) : object));
        return list;
    }

    /** The objects that were deleted together, as a list. */
    ObjectNode gone(Call call, List<ObjectNode> objects) throws ApiException {
        ObjectNode metadata = Json.object().put("resourceVersion", Long.toString(store.revision()));
        return listed(call, objects, metadata);
    }

    /** What label and field selector and a name leave. */
    static Predicate<Stored> selected(Call call) throws ApiException {
        Query query = call.query();
        Predicate<Stored> selectors =
                Selectors.of(call.type(), query.text("labelSelector"), query.text("fieldSelector"));
        // A watch of one object names it in its path.
        return call.name().isEmpty()
                ? selectors
                : selectors.and(stored -> stored.key().name().equals(call.name()));
    }

    /**
     * Where a list goes on.
     *
     * @param revision of the first page; 0 for the list of now
     * @param after namespace/name of the last object that was told; empty for none
     */
    private record Position(long revision, String after) {
        String token() {
            byte[] text = Json.bytes(Json.object().put("rv", revision).put("after", after));
            return Base64.getUrlEncoder().withoutPadding().encodeToString(text);
        }

        static Position read(String token) throws ApiException {
            try {
                String text = new String(Base64.getUrlDecoder().decode(token), StandardCharsets.UTF_8);
                JsonNode read =
                        Json.read(text.getBytes(StandardCharsets.UTF_8), false).tree();
                String after = Json.text(read, "after");
                if (after.indexOf('/') >= 0) return new Position(read.path("rv").asLong(-1), after);
            } catch (IllegalArgumentException | ApiException e) {
                // Told below.
            }
            throw ApiException.badRequest("invalid continue token: it must be one that this server gave");
        }
    }
}
