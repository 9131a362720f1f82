package dev.vmlet.apiserver;

import dev.vmlet.apiserver.schema.ResourceType;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** What a path under {@code /api/v1} or {@code /apis/<group>/<version>} names. */
record Router(Types types) {
    /**
     * @param namespace empty for a cluster's object and for all namespaces
     * @param name empty for a collection
     * @param subresource empty, or status
     */
    record Target(ResourceType type, String namespace, String name, String subresource) {}

    /**
     * The parts of a path, decoded.
     *
     * @throws ApiException 400
     */
    static List<String> parts(String rawPath) throws ApiException {
        List<String> parts = new ArrayList<>();
        try {
            for (String part : Arrays.asList(rawPath.split("/"))) {
                if (!part.isEmpty()) parts.add(URLDecoder.decode(part.replace("+", "%2B"), StandardCharsets.UTF_8));
            }
        } catch (IllegalArgumentException e) {
            throw ApiException.badRequest("the path of the request is malformed: " + e.getMessage());
        }
        return parts;
    }

    /** @param rest what follows group and version; not empty */
    Optional<Target> target(String group, String version, List<String> rest) {
        boolean inNamespace = rest.size() >= 3
                && rest.getFirst().equals("namespaces")
                && !(rest.size() == 3 && group.isEmpty() && rest.get(2).equals("status"));
        String namespace = inNamespace ? rest.get(1) : "";
        List<String> named = inNamespace ? rest.subList(2, rest.size()) : rest;
        if (named.size() > 3) return Optional.empty();
        String name = named.size() > 1 ? named.get(1) : "";
        String subresource = named.size() > 2 ? named.get(2) : "";
        return types.find(group, version, named.getFirst())
                .filter(type -> inNamespace == type.namespaced() || (!inNamespace && name.isEmpty()))
                .filter(type -> subresource.isEmpty() || (subresource.equals("status") && type.statusSubresource()))
                .map(type -> new Target(type, namespace, name, subresource));
    }
}
