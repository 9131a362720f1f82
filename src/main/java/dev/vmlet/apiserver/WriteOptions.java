package dev.vmlet.apiserver;

import java.util.Locale;

/**
 * How a write is to be done.
 *
 * @param manager who is told in managedFields
 * @param force an apply takes fields that others manage
 */
record WriteOptions(boolean dryRun, String manager, UnknownFields unknownFields, boolean force) {
    private static final int MANAGER_MAX = 128;

    /** What becomes of a field that the schema does not know; it is never stored. */
    enum UnknownFields {
        IGNORE,
        WARN,
        STRICT
    }

    static WriteOptions of(Call call) throws ApiException {
        Query query = call.query();
        return new WriteOptions(
                dryRun(query.text("dryRun")),
                manager(query.text("fieldManager"), call.userAgent()),
                unknownFields(query.text("fieldValidation")),
                query.flag("force"));
    }

    static boolean dryRun(String value) throws ApiException {
        return switch (value) {
            case "" -> false;
            case "All" -> true;
            default ->
                throw ApiException.invalid(
                        "PatchOptions",
                        "",
                        "dryRun",
                        "FieldValueNotSupported",
                        "Unsupported value: \"" + value + "\": supported values: \"All\"");
        };
    }

    private static UnknownFields unknownFields(String value) throws ApiException {
        return switch (value) {
            case "", "Warn" -> UnknownFields.WARN;
            case "Ignore", "Strict" -> UnknownFields.valueOf(value.toUpperCase(Locale.ROOT));
            default ->
                throw ApiException.invalid(
                        "PatchOptions",
                        "",
                        "fieldValidation",
                        "FieldValueNotSupported",
                        "Unsupported value: \"" + value + "\": supported values: \"Ignore\", \"Strict\", \"Warn\"");
        };
    }

    /** As kube-apiserver does: the part of the user agent before the slash stands in for a manager that is not named. */
    private static String manager(String given, String userAgent) throws ApiException {
        if (given.length() > MANAGER_MAX) {
            throw ApiException.badRequest("fieldManager may have at most " + MANAGER_MAX + " characters");
        }
        if (!given.isEmpty()) return given;
        String program = userAgent.split("/", 2)[0].strip();
        if (program.isEmpty()) return "unknown";
        return program.length() > MANAGER_MAX ? program.substring(0, MANAGER_MAX) : program;
    }
}
