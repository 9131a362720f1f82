package dev.vmlet.apiserver;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;

/** The parameters after the question mark; of one given twice the first counts. */
record Query(Map<String, String> parameters) {
    /** @param raw still encoded */
    static Query parse(String raw) throws ApiException {
        Map<String, String> parameters = new LinkedHashMap<>();
        try {
            for (String part : raw.split("&", -1)) {
                if (part.isEmpty()) continue;
                int equals = part.indexOf('=');
                String name = equals < 0 ? part : part.substring(0, equals);
                String value = equals < 0 ? "" : part.substring(equals + 1);
                parameters.putIfAbsent(decode(name), decode(value));
            }
        } catch (IllegalArgumentException e) {
            throw ApiException.badRequest("the query of the request is malformed: " + e.getMessage());
        }
        return new Query(parameters);
    }

    private static String decode(String text) {
        return URLDecoder.decode(text, StandardCharsets.UTF_8);
    }

    /** Empty where it is not given. */
    String text(String name) {
        return parameters.getOrDefault(name, "");
    }

    boolean has(String name) {
        return parameters.containsKey(name);
    }

    /** Given, and neither {@code false} nor {@code 0}. */
    boolean flag(String name) {
        String value = parameters.get(name);
        return value != null && !value.equals("false") && !value.equals("0");
    }

    /** @throws ApiException 400 */
    OptionalLong revision() throws ApiException {
        String value = text("resourceVersion");
        if (value.isEmpty()) return OptionalLong.empty();
        try {
            return OptionalLong.of(Long.parseUnsignedLong(value));
        } catch (NumberFormatException e) {
            throw ApiException.badRequest(
                    "resourceVersion: Invalid value: \"" + value + "\": must be a whole number from 0 up");
        }
    }

    /** @throws ApiException 400 for what is no number, or below zero */
    OptionalLong number(String name) throws ApiException {
        String value = text(name);
        if (value.isEmpty()) return OptionalLong.empty();
        try {
            long number = Long.parseLong(value);
            if (number >= 0) return OptionalLong.of(number);
        } catch (NumberFormatException e) {
            // Told below.
        }
        throw ApiException.badRequest(
                "the parameter " + name + " must be a whole number from 0 up, not \"" + value + "\"");
    }
}
