package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.FieldManagement;
import dev.vmlet.apiserver.schema.FieldManagement.Manager;
import dev.vmlet.apiserver.schema.Patches;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.schema.ResourceType;
import dev.vmlet.apiserver.schema.Validation;
import dev.vmlet.apiserver.store.Key;
import dev.vmlet.apiserver.store.Store;
import dev.vmlet.apiserver.store.StoreException;
import dev.vmlet.apiserver.store.Stored;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.function.Predicate;

/**
 * Creates, updates, patches and deletes objects. Each write reads the latest object, makes the new one of it and stores
 * that if nobody was faster; else it begins again. For many threads.
 */
final class Writes {
    static final String JSON_PATCH = "application/json-patch+json";
    static final String MERGE_PATCH = "application/merge-patch+json";
    static final String STRATEGIC_PATCH = "application/strategic-merge-patch+json";
    static final String APPLY_PATCH = "application/apply-patch+yaml";

    private static final Duration ATTEMPTS_FOR = Duration.ofSeconds(20);
    private static final int NAMES_TRIED = 8;

    /** @param code 200 or 201 */
    record Outcome(int code, ObjectNode object, List<String> warnings) {}

    private record Edited(ObjectNode object, List<String> warnings) {}

    /** Makes the new object of the old one, which it must not change. */
    private interface Edit {
        Edited of(ObjectNode old) throws ApiException, Refused;
    }

    /** Fills in who manages which field. */
    private interface Managed {
        ObjectNode of(ObjectNode object);
    }

    private final Store store;
    private final Admission admission;
    private final BuiltIns builtIns;
    private final Clock clock;
    private final Runnable afterDeletion;

    /** @param afterDeletion told when an object went, waits for its finalizers, or names owners */
    Writes(Store store, Admission admission, BuiltIns builtIns, Clock clock, Runnable afterDeletion) {
        this.store = store;
        this.admission = admission;
        this.builtIns = builtIns;
        this.clock = clock;
        this.afterDeletion = afterDeletion;
    }

    // Create

    Outcome create(Call call) throws ApiException, Refused, StoreException {
        WriteOptions options = WriteOptions.of(call);
        Bodies.Body body = Bodies.object(call, options);
        return create(
                call,
                options,
                body.object(),
                body.warnings(),
                object -> FieldManagement.track(
                        call.type(), Optional.empty(), object, new Manager(options.manager(), ""), clock.instant()));
    }

    private Outcome create(Call call, WriteOptions options, ObjectNode body, List<String> warnings, Managed managed)
            throws ApiException, Refused, StoreException {
        ResourceType type = call.type();
        ObjectNode metadata = Json.metadata(body);
        if (!Json.text(metadata, "resourceVersion").isEmpty()) {
            throw ApiException.badRequest("resourceVersion should not be set on objects to be created");
        }
        String given = Json.text(metadata, "name");
        String prefix = Json.text(metadata, "generateName");
        boolean generated = given.isEmpty() && !prefix.isEmpty();
        ObjectNode object = fresh(type, body);
        for (int attempt = 1; ; attempt++) {
            String name = generated ? Names.generate(prefix) : given;
            ObjectNode named = object.deepCopy();
            if (!name.isEmpty()) Json.metadata(named).put("name", name);
            builtIns.mayCreate(type, call.namespace(), name, named);
            Validation.create(type, named);
            ObjectNode made = managed.of(named);
            try {
                return new Outcome(201, store(call.keyOf(name), type, 0, made, options.dryRun()), warnings);
            } catch (Store.Raced e) {
                if (!generated || attempt == NAMES_TRIED) {
                    store.settle();
                    throw ApiException.alreadyExists(type, name, isGoing(call.keyOf(name)));
                }
            }
        }
    }

    private boolean isGoing(Key key) {
        Stored stored = store.latest(key);
        return stored != null && Json.own(stored.json()).path("metadata").has("deletionTimestamp");
    }

    /** The object with what the server gives to a new one. */
    private ObjectNode fresh(ResourceType type, ObjectNode body) throws Refused {
        ObjectNode object = body.deepCopy();
        ObjectNode metadata = Json.metadata(object);
        for (String ours : List.of(
                "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion", "managedFields")) {
            metadata.remove(ours);
        }
        metadata.put("uid", UUID.randomUUID().toString());
        metadata.put("creationTimestamp", Times.seconds(clock.instant()));
        if (hasGeneration(type)) metadata.put("generation", 1);
        else metadata.remove("generation");
        if (type.statusSubresource()) object.remove("status");
        builtIns.prepare(type, object);
        // What admission adds may bring defaults with it.
        return Bodies.shaped(type, admission.admit(type, Bodies.shaped(type, object), Admission.Occasion.CREATE));
    }

    // Update

    Outcome update(Call call) throws ApiException, Refused, StoreException {
        WriteOptions options = WriteOptions.of(call);
        Bodies.Body body = Bodies.object(call, options);
        Checks.identity(call, body.object());
        if (Json.text(body.object().path("metadata"), "resourceVersion").isEmpty()
                && call.type().custom()) {
            throw ApiException.noRevision(call.type(), call.name());
        }
        return modify(call, options, old -> new Edited(tracked(call, options, old, body.object()), body.warnings()));
    }

    Outcome patch(Call call) throws ApiException, Refused, StoreException {
        WriteOptions options = WriteOptions.of(call);
        String mediaType = call.body().mediaType();
        if (mediaType.equals(APPLY_PATCH)) return apply(call, options);
        boolean known = Set.of(JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH).contains(mediaType);
        if (!known || (mediaType.equals(STRATEGIC_PATCH) && call.type().custom())) throw unknownPatch(call.type());
        if (options.force()) {
            throw ApiException.invalid(
                    "PatchOptions",
                    "",
                    "force",
                    "FieldValueForbidden",
                    "Forbidden: may not be specified for non-apply patch");
        }
        JsonNode patch = Json.read(call.body().bytes(), false).tree();
        return modify(call, options, old -> {
            ObjectNode target = old.deepCopy();
            ObjectNode patched = switch (mediaType) {
                case JSON_PATCH -> Patches.json(call.type(), target, patch);
                case MERGE_PATCH -> Patches.merge(call.type(), target, patch);
                default -> Patches.strategic(call.type(), target, patch);
            };
            Checks.identity(call, patched);
            Bodies.Body body = Bodies.patched(call, options, patched);
            return new Edited(tracked(call, options, old, body.object()), body.warnings());
        });
    }

    private static ApiException unknownPatch(ResourceType type) {
        List<String> accepted = new ArrayList<>(List.of(JSON_PATCH, MERGE_PATCH, APPLY_PATCH));
        if (!type.custom()) accepted.add(2, STRATEGIC_PATCH);
        return ApiException.unsupportedMediaType(String.join(", ", accepted));
    }

    private ObjectNode tracked(Call call, WriteOptions options, ObjectNode old, ObjectNode desired)
            throws ApiException, Refused {
        ObjectNode next = successor(call, old, desired);
        Manager manager = new Manager(options.manager(), call.subresource());
        return FieldManagement.track(call.type(), Optional.of(old), next, manager, clock.instant());
    }

    // Server-side apply

    private Outcome apply(Call call, WriteOptions options) throws ApiException, Refused, StoreException {
        ResourceType type = call.type();
        if (call.query().text("fieldManager").isEmpty()) {
            throw ApiException.invalid(
                    "PatchOptions",
                    "",
                    "fieldManager",
                    "FieldValueRequired",
                    "Required value: is required for apply patch");
        }
        if (!(Json.read(call.body().bytes(), true).tree() instanceof ObjectNode given)) {
            throw ApiException.badRequest("an apply patch must be an object");
        }
        Checks.identity(call, given);
        ObjectNode applied = appliedPart(call, given);
        Manager manager = new Manager(options.manager(), call.subresource());
        Instant now = clock.instant();
        if (store.latest(call.key()) == null) {
            store.settle();
            if (call.status()) throw ApiException.notFound(type, call.name());
            ObjectNode object = FieldManagement.apply(type, Optional.empty(), applied, manager, options.force(), now);
            JsonNode managed = object.path("metadata").path("managedFields").deepCopy();
            return create(call, options, object, List.of(), made -> {
                Json.metadata(made).set("managedFields", managed);
                return made;
            });
        }
        return modify(call, options, old -> {
            Checks.preconditions(call, applied, old);
            ObjectNode merged = FieldManagement.apply(type, Optional.of(old), applied, manager, options.force(), now);
            JsonNode managed = merged.path("metadata").path("managedFields").deepCopy();
            ObjectNode next = successor(call, old, merged);
            Json.metadata(next).set("managedFields", managed);
            return new Edited(next, List.of());
        });
    }

    /** What an apply may say: all but status on the object itself, status alone on its subresource. */
    private static ObjectNode appliedPart(Call call, ObjectNode given) {
        ObjectNode applied = given.deepCopy();
        ObjectNode named = Json.metadata(applied).put("name", call.name());
        if (call.type().namespaced()) named.put("namespace", call.namespace());
        if (call.status()) {
            ObjectNode metadata = Json.object();
            for (String kept : List.of("name", "namespace", "uid", "resourceVersion", "managedFields")) {
                JsonNode value = named.get(kept);
                if (value != null) metadata.set(kept, value);
            }
            applied.retain("apiVersion", "kind", "status");
            applied.set("metadata", metadata);
        } else if (call.type().statusSubresource()) {
            applied.remove("status");
        }
        return applied;
    }

    // What all changes of an object share

    private Outcome modify(Call call, WriteOptions options, Edit edit) throws ApiException, Refused, StoreException {
        ResourceType type = call.type();
        Key key = call.key();
        Instant until = clock.instant().plus(ATTEMPTS_FOR);
        while (true) {
            Stored latest = store.latest(key);
            if (latest == null) {
                store.settle();
                throw ApiException.notFound(type, call.name());
            }
            ObjectNode old = Versions.fromStored(type, Json.own(latest.json()));
            Edited edited = edit.of(old);
            ObjectNode next = Json.normal(edited.object);
            if (next.equals(old)) {
                store.settle();
                return new Outcome(200, old, edited.warnings);
            }
            validate(call, next, old);
            try {
                if (mayGo(type, next)) {
                    if (!options.dryRun()) remove(key, latest.revision());
                    return new Outcome(200, next, edited.warnings);
                }
                ObjectNode kept = store(key, type, latest.revision(), next, options.dryRun());
                return new Outcome(200, kept, edited.warnings);
            } catch (Store.Raced e) {
                if (clock.instant().isAfter(until)) throw ApiException.modified(type, call.name());
            }
        }
    }

    /** The object after a change: identity and what the server owns kept, the other half of it untouched. */
    private ObjectNode successor(Call call, ObjectNode old, ObjectNode desired) throws ApiException, Refused {
        ResourceType type = call.type();
        Checks.preconditions(call, desired, old);
        ObjectNode next = call.status() ? withStatusOf(old, desired) : desired.deepCopy();
        keepServersOwn(old, next);
        if (call.status()) return Bodies.shaped(type, next);
        if (type.statusSubresource()) keep(old, next, "status");
        builtIns.prepare(type, next);
        next = Bodies.shaped(type, admission.admit(type, Bodies.shaped(type, next), Admission.Occasion.UPDATE));
        if (hasGeneration(type) && specChanged(old, Json.normal(next))) raiseGeneration(next);
        return next;
    }

    private void validate(Call call, ObjectNode next, ObjectNode old) throws ApiException, Refused {
        if (call.status()) {
            Validation.updateStatus(call.type(), next, old);
            return;
        }
        builtIns.mayUpdate(call.type(), old, next);
        Checks.finalizers(call.type(), old, next);
        Validation.update(call.type(), next, old);
    }

    private static ObjectNode withStatusOf(ObjectNode old, ObjectNode desired) {
        ObjectNode next = old.deepCopy();
        keep(desired, next, "status");
        JsonNode managed = desired.path("metadata").get("managedFields");
        if (managed != null) Json.metadata(next).set("managedFields", managed);
        return next;
    }

    private static void keepServersOwn(ObjectNode old, ObjectNode next) {
        ObjectNode before = Json.metadata(old);
        ObjectNode metadata = Json.metadata(next);
        metadata.remove("selfLink");
        for (String ours : List.of(
                "name",
                "namespace",
                "uid",
                "creationTimestamp",
                "generation",
                "resourceVersion",
                "deletionTimestamp",
                "deletionGracePeriodSeconds")) {
            keep(before, metadata, ours);
        }
        // Whoever leaves them out, as a client does that does not know them, does not mean to erase them.
        if (metadata.path("managedFields").isMissingNode()) keep(before, metadata, "managedFields");
    }

    private static void keep(ObjectNode from, ObjectNode to, String field) {
        JsonNode value = from.get(field);
        if (value == null) to.remove(field);
        else to.set(field, value.deepCopy());
    }

    private static boolean specChanged(ObjectNode old, ObjectNode next) {
        ObjectNode before = old.deepCopy();
        before.remove(List.of("metadata", "status"));
        ObjectNode after = next.deepCopy();
        after.remove(List.of("metadata", "status"));
        return !before.equals(after);
    }

    /** Of the built-in kinds that we serve, only definitions count their specs. */
    private static boolean hasGeneration(ResourceType type) {
        return type.custom() || type.groupResource().equals(BuiltIns.CRDS);
    }

    private static void raiseGeneration(ObjectNode object) {
        ObjectNode metadata = Json.metadata(object);
        metadata.put("generation", metadata.path("generation").asLong(0) + 1);
    }

    // Delete

    /** The object while it waits for its finalizers, else a Status that says it is gone. */
    ObjectNode delete(ResourceType type, Key key, DeleteOptions options) throws ApiException, StoreException {
        builtIns.mayDelete(type, key.name());
        Instant until = clock.instant().plus(ATTEMPTS_FOR);
        while (true) {
            Stored latest = store.latest(key);
            if (latest == null) {
                store.settle();
                throw ApiException.notFound(type, key.name());
            }
            ObjectNode old = Versions.fromStored(type, Json.own(latest.json()));
            Checks.deletion(type, key.name(), options, old);
            ObjectNode next = marked(type, old, options);
            try {
                if (mayGo(type, next)) {
                    if (!options.dryRun()) remove(key, latest.revision());
                    return deleted(type, old);
                }
                if (next.equals(old)) {
                    store.settle();
                    return old;
                }
                ObjectNode kept = store(key, type, latest.revision(), next, options.dryRun());
                if (!options.dryRun()) afterDeletion.run();
                return kept;
            } catch (Store.Raced e) {
                if (clock.instant().isAfter(until)) throw ApiException.modified(type, key.name());
            }
        }
    }

    /** The object marked for deletion. */
    private ObjectNode marked(ResourceType type, ObjectNode old, DeleteOptions options) {
        ObjectNode next = old.deepCopy();
        ObjectNode metadata = Json.metadata(next);
        Finalizers.propagate(metadata, options.propagation());
        if (!metadata.has("deletionTimestamp")) {
            metadata.put("deletionTimestamp", Times.seconds(clock.instant()));
            metadata.put("deletionGracePeriodSeconds", 0);
            if (hasGeneration(type)) raiseGeneration(next);
            builtIns.terminating(type, next);
        }
        return Json.normal(next);
    }

    private static ObjectNode deleted(ResourceType type, ObjectNode old) {
        ObjectNode status = Json.object();
        status.put("kind", "Status").put("apiVersion", "v1");
        status.putObject("metadata");
        status.put("status", "Success");
        ObjectNode details = status.putObject("details");
        details.put("name", Json.text(old.path("metadata"), "name"));
        if (!type.group().isEmpty()) details.put("group", type.group());
        details.put("kind", type.plural());
        details.put("uid", Json.text(old.path("metadata"), "uid"));
        return status;
    }

    /** Deletes each object that the predicate names; tells those that were there. */
    List<ObjectNode> deleteAll(ResourceType type, String namespace, Predicate<Stored> selected, DeleteOptions options)
            throws ApiException, StoreException {
        List<ObjectNode> gone = new ArrayList<>();
        for (Stored stored :
                store.list(Versions.storedResource(type), namespace).objects()) {
            if (!selected.test(stored)) continue;
            try {
                delete(type, stored.key(), options);
                gone.add(Versions.fromStored(type, Json.own(stored.json())));
            } catch (ApiException e) {
                // Somebody else was faster, and that is what was asked for.
                if (e.code() != 404) throw e;
            }
        }
        return gone;
    }

    /** Changes an object on the server's own account, without anybody's validation; nothing where it is gone. */
    void amend(ResourceType type, Key key, Predicate<ObjectNode> change) throws StoreException {
        while (true) {
            Stored latest = store.latest(key);
            if (latest == null) return;
            ObjectNode next = Json.own(latest.json());
            if (!change.test(next)) return;
            try {
                if (mayGo(type, next)) remove(key, latest.revision());
                else store(key, type, latest.revision(), next, false);
                return;
            } catch (Store.Raced e) {
                // Again, with what the other made of it.
            }
        }
    }

    private boolean mayGo(ResourceType type, ObjectNode object) {
        JsonNode metadata = object.path("metadata");
        return metadata.has("deletionTimestamp")
                && metadata.path("finalizers").isEmpty()
                && builtIns.mayGo(type, object);
    }

    private void remove(Key key, long revision) throws Store.Raced, StoreException {
        store.delete(key, revision);
        afterDeletion.run();
    }

    /** The object as it was kept, with its new resourceVersion. */
    private ObjectNode store(Key key, ResourceType type, long expected, ObjectNode object, boolean dryRun)
            throws Store.Raced, StoreException {
        if (dryRun) {
            Stored latest = store.latest(key);
            if ((latest == null ? 0 : latest.revision()) != expected) throw new Store.Raced();
            return object;
        }
        ObjectNode kept = Versions.toStored(type, object.deepCopy());
        Stored stored = store.put(key, expected, revision -> {
            Json.metadata(kept).put("resourceVersion", Long.toString(revision));
            return Json.bytes(kept);
        });
        // An owner may be gone already, or never have been.
        if (!stored.index().owners().isEmpty()) afterDeletion.run();
        return Versions.fromStored(type, Json.own(stored.json()));
    }
}
