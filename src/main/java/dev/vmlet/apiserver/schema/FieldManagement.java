package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ManagedFields.Entry;
import dev.vmlet.apiserver.schema.ManagedFields.Writer;
import dev.vmlet.apiserver.schema.Refused.Cause;
import dev.vmlet.apiserver.schema.TypedValues.Comparison;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Server-side apply, and who manages which field (metadata.managedFields). Behaves as kube-apiserver does with
 * structured-merge-diff; versions of a kind are taken to have the same fields, as the only conversion we know is none.
 */
public final class FieldManagement {
    private static final String KUBECTL = "kubectl";
    private static final String LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
    private static final String BEFORE_FIRST_APPLY = "before-first-apply";

    /** Nobody manages these: they identify the object, or are the server's. */
    private static final FieldSet NOBODYS = FieldSet.of(
            FieldPath.of("apiVersion"),
            FieldPath.of("kind"),
            FieldPath.of("metadata"),
            FieldPath.of("metadata", "name"),
            FieldPath.of("metadata", "namespace"),
            FieldPath.of("metadata", "creationTimestamp"),
            FieldPath.of("metadata", "selfLink"),
            FieldPath.of("metadata", "uid"),
            FieldPath.of("metadata", "clusterName"),
            FieldPath.of("metadata", "generation"),
            FieldPath.of("metadata", "managedFields"),
            FieldPath.of("metadata", "resourceVersion"));

    private final ResourceType type;
    private final SchemaNode schema;
    private final Manager manager;
    private final Instant now;

    private FieldManagement(ResourceType type, Manager manager, Instant now) {
        this.type = type;
        this.schema = type.schema().root();
        this.manager = manager;
        this.now = now;
    }

    /**
     * Who writes.
     *
     * @param name from the query parameter fieldManager, else the user agent up to its first slash; empty for unknown
     * @param subresource empty, or {@code status}
     */
    public record Manager(String name, String subresource) {}

    /**
     * Server-side apply. Without a live object the result is what to create. A result that equals {@code live} means: write
     * nothing. What the endpoint may not write (status through the main resource, all else through /status) is the
     * caller's to reset, as are defaults to fill in, and validation.
     *
     * @param applied what the client sent, with metadata.name and, if namespaced, metadata.namespace
     * @throws Refused 409 naming every conflicting field, unless {@code force}; 400 for another kind or version, or with
     *     managedFields; 500, as kube-apiserver answers, for fields or types that the schema does not have
     */
    public static ObjectNode apply(
            ResourceType type,
            Optional<ObjectNode> live,
            ObjectNode applied,
            Manager manager,
            boolean force,
            Instant now)
            throws Refused {
        return new FieldManagement(type, manager, now).apply(live, applied, force);
    }

    /**
     * The managedFields of a create, update or patch. Call it after defaulting, with the object as it is about to be stored;
     * what a client says in managedFields counts, as in kube-apiserver, unless it came through a subresource. Where nothing
     * but times in managedFields would change, the result equals {@code live}.
     */
    public static ObjectNode track(
            ResourceType type, Optional<ObjectNode> live, ObjectNode updated, Manager manager, Instant now) {
        return new FieldManagement(type, manager, now).track(live, updated);
    }

    private ObjectNode track(Optional<ObjectNode> live, ObjectNode updated) {
        ObjectNode result = updated.deepCopy();
        ObjectNode metadata = result.withObjectProperty("metadata");
        ManagedFields managed = managedBefore(live, metadata);
        metadata.remove("managedFields");
        boolean untracked = managed.isEmpty() && live.isPresent();
        if (!untracked) {
            ObjectNode before = live.map(FieldManagement::unmanaged).orElseGet(this::nothing);
            update(managed, before, result, Writer.updater(manager.name(), type.apiVersion(), manager.subresource()));
            managed.capUpdaters();
        }
        managed.writeTo(metadata);
        return unlessUnchanged(live, result);
    }

    /** A client that knows nothing of managedFields must not delete them by sending none. */
    private ManagedFields managedBefore(Optional<ObjectNode> live, ObjectNode metadata) {
        ManagedFields before =
                ManagedFields.of(live.map(each -> each.path("metadata")).orElse(metadata.nullNode()));
        if (!manager.subresource().isEmpty()) return before;
        if (ManagedFields.isReset(metadata)) return new ManagedFields();
        ManagedFields given = ManagedFields.of(metadata);
        return given.isEmpty() ? before : given;
    }

    /** Whatever changed is the writer's now, and no longer anybody else's. */
    private void update(ManagedFields managed, JsonNode before, JsonNode after, Writer writer) {
        Comparison changes = allowed(TypedValues.compare(before, after, schema));
        FieldSet touched = changes.added().plus(changes.modified());
        managed.entries()
                .replaceAll(
                        (_, entry) -> entry.with(entry.fields().minus(touched).minus(changes.removed())));
        managed.removeEmpty();
        FieldSet taken = touched.minus(NOBODYS);
        if (taken.isEmpty()) return;
        FieldSet fields = taken.plus(managed.fieldsOf(writer));
        managed.set(writer, new Entry(type.apiVersion(), fields, Optional.of(now)));
    }

    private ObjectNode apply(Optional<ObjectNode> live, ObjectNode applied, boolean force) throws Refused {
        check(applied);
        ObjectNode before = live.map(FieldManagement::unmanaged).orElseGet(this::nothing);
        ManagedFields managed = ManagedFields.of(before(live));
        if (managed.isEmpty()) {
            Writer first = Writer.updater(BEFORE_FIRST_APPLY, type.apiVersion(), manager.subresource());
            update(managed, nothing(), before, first);
        }
        Writer writer = Writer.applier(manager.name(), manager.subresource());
        FieldSet last = managed.fieldsOf(writer);
        FieldSet wanted = allowed(TypedValues.fields(applied, schema));
        Optional<Instant> lastTime =
                Optional.ofNullable(managed.entries().get(writer)).flatMap(Entry::time);
        managed.set(writer, new Entry(type.apiVersion(), wanted, lastTime));

        JsonNode merged = TypedMerge.merge(before, applied, schema);
        ObjectNode result = (ObjectNode) prune(merged, managed, last).deepCopy();
        Comparison changes = allowed(TypedValues.compare(before, result, schema));
        refuseConflicts(managed, writer, changes, before, force);
        managed.takeFromOthers(writer, changes.added().plus(changes.modified()).plus(changes.removed()));
        FieldSet owned = wanted.minus(NOBODYS);
        boolean changed = !Json.same(before, result);
        managed.set(writer, new Entry(type.apiVersion(), owned, changed ? Optional.of(now) : lastTime));
        managed.removeEmpty();
        if (manager.name().equals(KUBECTL)) renewLastApplied(result, applied);
        managed.writeTo(result.withObjectProperty("metadata"));
        return unlessUnchanged(live, result);
    }

    private static JsonNode before(Optional<ObjectNode> live) {
        return live.map(each -> each.path("metadata")).orElse(MissingNode.getInstance());
    }

    private void check(ObjectNode applied) throws Refused {
        String kind = Json.text(applied, "kind");
        String version = Json.text(applied, "apiVersion");
        if (!kind.equals(type.kind()) || !version.equals(type.apiVersion())) {
            throw Refused.badRequest("invalid object type: " + groupVersion(version) + ", Kind=" + kind);
        }
        if (applied.path("metadata").has("managedFields")) {
            throw Refused.badRequest("metadata.managedFields must be nil");
        }
        List<String> mistakes = TypedValues.mistakes(applied, schema);
        if (mistakes.isEmpty()) return;
        ObjectNode metadata = Json.object(applied, "metadata");
        String list = mistakes.size() == 1 ? mistakes.getFirst() : "errors:\n  " + String.join("\n  ", mistakes);
        throw Refused.internal("failed to create typed patch object (" + Json.text(metadata, "namespace") + "/"
                + Json.text(metadata, "name") + "; " + groupVersion(version) + ", Kind=" + kind + "): " + list);
    }

    private static String groupVersion(String apiVersion) {
        return apiVersion.contains("/") ? apiVersion : "/" + apiVersion;
    }

    /**
     * Removes what this applier applied last time and does not any more, unless somebody else manages it too, or it was
     * never the applier's.
     */
    private JsonNode prune(JsonNode merged, ManagedFields managed, FieldSet last) {
        if (last.isEmpty()) return merged;
        FieldSet lastMembers = TypedValues.withNamedFields(last, schema);
        FieldSet mergedMembers = TypedValues.withNamedFields(TypedValues.fields(merged, schema), schema);
        JsonNode pruned = TypedValues.without(merged, schema, lastMembers);

        FieldSet keep = members(pruned).plus(TypedValues.withNamedFields(managed.all(), schema));
        pruned = TypedValues.without(merged, schema, mergedMembers.minus(keep));

        FieldSet remove = mergedMembers.minus(members(pruned)).and(lastMembers);
        return TypedValues.without(merged, schema, remove);
    }

    private FieldSet members(JsonNode value) {
        return TypedValues.withNamedFields(TypedValues.fields(value, schema), schema);
    }

    private record Conflict(Writer with, FieldPath path) {}

    private void refuseConflicts(
            ManagedFields managed, Writer writer, Comparison changes, ObjectNode live, boolean force) throws Refused {
        if (force) return;
        FieldSet touched = changes.added().plus(changes.modified());
        List<Conflict> conflicts = new ArrayList<>();
        managed.entries().forEach((other, entry) -> {
            if (other.equals(writer)) return;
            entry.fields().and(touched).paths().forEach(path -> conflicts.add(new Conflict(other, path)));
        });
        if (conflicts.isEmpty()) return;
        if (manager.name().equals(KUBECTL)) {
            FieldSet own = lastAppliedFields(live);
            conflicts.removeIf(conflict -> own.has(conflict.path()));
            if (conflicts.isEmpty()) return;
        }
        conflicts.sort(
                Comparator.comparing((Conflict conflict) -> conflict.with().shown())
                        .thenComparing(Conflict::path));
        List<Cause> causes = conflicts.stream()
                .map(conflict -> new Cause(
                        "conflict with " + conflict.with().shown(),
                        conflict.path().toString()))
                .toList();
        throw Refused.applyConflict(sentence(conflicts), causes);
    }

    private static String sentence(List<Conflict> conflicts) {
        if (conflicts.size() == 1) {
            Conflict only = conflicts.getFirst();
            return "Apply failed with 1 conflict: conflict with " + only.with().shown() + ": " + only.path();
        }
        Map<String, List<String>> byManager = new TreeMap<>();
        for (Conflict conflict : conflicts) {
            byManager
                    .computeIfAbsent(conflict.with().shown(), _ -> new ArrayList<>())
                    .add("- " + conflict.path());
        }
        List<String> lines = new ArrayList<>();
        byManager.forEach((name, paths) -> {
            lines.add("conflicts with " + name + ":");
            lines.addAll(paths);
        });
        return "Apply failed with " + conflicts.size() + " conflicts: " + String.join("\n", lines);
    }

    /**
     * What kubectl applied client-side, as its annotation tells, and what still is so: kubectl may take that over on the
     * server's side without a conflict with its former self.
     */
    private FieldSet lastAppliedFields(ObjectNode live) {
        String annotation = Json.text(live.path("metadata").path("annotations"), LAST_APPLIED);
        if (annotation.isEmpty()) return FieldSet.EMPTY;
        try {
            JsonNode last = new ObjectMapper().readTree(annotation);
            if (!Json.text(last, "apiVersion").equals(type.apiVersion())) return FieldSet.EMPTY;
            if (!TypedValues.mistakes(last, schema).isEmpty()) return FieldSet.EMPTY;
            Comparison since = TypedValues.compare(last, live, schema);
            return TypedValues.fields(last, schema)
                    .minus(since.modified())
                    .minus(since.added())
                    .minus(since.removed());
        } catch (JsonProcessingException _) {
            return FieldSet.EMPTY;
        }
    }

    /** Keeps kubectl's annotation true, for a kubectl that goes back to applying client-side. */
    private static void renewLastApplied(ObjectNode result, ObjectNode applied) {
        String annotation = Json.text(result.path("metadata").path("annotations"), LAST_APPLIED);
        if (annotation.isEmpty()) return;
        ObjectNode config = applied.deepCopy();
        if (config.path("metadata").path("annotations") instanceof ObjectNode annotations) {
            annotations.remove(LAST_APPLIED);
        }
        ObjectNode annotations = (ObjectNode) result.path("metadata").path("annotations");
        annotations.put(LAST_APPLIED, Json.sorted(config) + "\n");
    }

    /** Through the main resource nobody comes to manage status, through /status nobody anything else. */
    private FieldSet allowed(FieldSet fields) {
        if (!type.statusSubresource()) return fields;
        boolean status = manager.subresource().equals("status");
        return fields.where(path -> {
            String top = path.steps().isEmpty() ? "" : path.steps().getFirst();
            return status ? !top.equals("f:spec") && !isSpecMetadata(path) : !top.equals("f:status");
        });
    }

    /** kube-apiserver resets these metadata for custom resources; for others a status update may not change them. */
    private boolean isSpecMetadata(FieldPath path) {
        return type.custom() && path.steps().getFirst().equals("f:metadata");
    }

    private Comparison allowed(Comparison changes) {
        return new Comparison(allowed(changes.added()), allowed(changes.modified()), allowed(changes.removed()));
    }

    private ObjectNode nothing() {
        ObjectNode nothing = type.schema().openApi().objectNode();
        return nothing.put("apiVersion", type.apiVersion()).put("kind", type.kind());
    }

    private static ObjectNode unmanaged(ObjectNode object) {
        ObjectNode copy = object.deepCopy();
        if (copy.get("metadata") instanceof ObjectNode metadata) metadata.remove("managedFields");
        return copy;
    }

    /** The times of entries are no reason to write. */
    private static ObjectNode unlessUnchanged(Optional<ObjectNode> live, ObjectNode result) {
        boolean same = live.isPresent() && Json.same(timeless(live.get()), timeless(result));
        return same ? live.get().deepCopy() : result;
    }

    private static ObjectNode timeless(ObjectNode object) {
        ObjectNode copy = object.deepCopy();
        for (JsonNode entry : copy.path("metadata").path("managedFields")) ((ObjectNode) entry).remove("time");
        return copy;
    }
}
