package dev.vmlet.apiserver;

import java.util.Locale;
import java.util.Set;

/** How the client wants its answer, from its Accept header. */
enum Form {
    OBJECT(""),
    TABLE("Table"),
    PARTIAL("PartialObjectMetadata"),
    PARTIAL_LIST("PartialObjectMetadataList"),
    DISCOVERY("APIGroupDiscoveryList");

    static final String YAML = "application/yaml";
    private static final Set<String> READABLE = Set.of("application/json", YAML, "*/*", "application/*");

    private final String as;

    Form(String as) {
        this.as = as;
    }

    /**
     * The first form in the header that we know.
     *
     * @throws ApiException 406 where there is none
     */
    static Form of(String accept) throws ApiException {
        if (accept.isBlank()) return OBJECT;
        for (String range : accept.split(",", -1)) {
            String type = range.split(";", 2)[0].strip().toLowerCase(Locale.ROOT);
            if (!READABLE.contains(type)) continue;
            String as = parameter(range, "as");
            for (Form form : values()) {
                if (form.as.equals(as) && form.inVersion(parameter(range, "v"), parameter(range, "g"))) return form;
            }
        }
        throw ApiException.notAcceptable(ApiException.MEDIA_TYPES);
    }

    /** Whether the first form that we know is wanted in YAML. */
    static boolean inYaml(String accept) {
        for (String range : accept.split(",", -1)) {
            String type = range.split(";", 2)[0].strip().toLowerCase(Locale.ROOT);
            if (READABLE.contains(type)) return type.equals(YAML);
        }
        return false;
    }

    private boolean inVersion(String version, String group) {
        return switch (this) {
            case OBJECT -> true;
            case TABLE, PARTIAL, PARTIAL_LIST -> group.equals("meta.k8s.io") && version.equals("v1");
            case DISCOVERY -> group.equals("apidiscovery.k8s.io") && version.equals("v2");
        };
    }

    private static String parameter(String range, String name) {
        for (String part : range.split(";", -1)) {
            String[] pair = part.strip().split("=", 2);
            if (pair.length == 2 && pair[0].equals(name)) return pair[1];
        }
        return "";
    }
}
