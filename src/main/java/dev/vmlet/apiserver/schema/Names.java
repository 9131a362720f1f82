package dev.vmlet.apiserver.schema;

import com.google.re2j.Pattern;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Rules for names, and what is said where they are broken: the sentences of k8s.io/apimachinery's validation. */
final class Names {
    private static final int LABEL_MAX = 63;
    private static final int SUBDOMAIN_MAX = 253;

    private static final String LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
    private static final String LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?";
    private static final String SUBDOMAIN = LABEL + "(\\." + LABEL + ")*";
    private static final String QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
    private static final String LABEL_VALUE = "(" + QUALIFIED + ")?";
    private static final String CONFIG_KEY = "[-._a-zA-Z0-9]+";

    private static final Pattern IS_LABEL = whole(LABEL);
    private static final Pattern IS_LABEL_1035 = whole(LABEL_1035);
    private static final Pattern IS_SUBDOMAIN = whole(SUBDOMAIN);
    private static final Pattern IS_QUALIFIED = whole(QUALIFIED);
    private static final Pattern IS_LABEL_VALUE = whole(LABEL_VALUE);
    private static final Pattern IS_CONFIG_KEY = whole(CONFIG_KEY);

    private static final String LABEL_WORDS = "a lowercase RFC 1123 label must consist of lower case alphanumeric"
            + " characters or '-', and must start and end with an alphanumeric character";
    private static final String LABEL_1035_WORDS =
            "a DNS-1035 label must consist of lower case alphanumeric characters or"
                    + " '-', start with an alphabetic character, and end with an alphanumeric character";
    private static final String SUBDOMAIN_WORDS =
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric"
                    + " characters, '-' or '.', and must start and end with an alphanumeric character";
    private static final String QUALIFIED_WORDS = "must consist of alphanumeric characters, '-', '_' or '.', and must"
            + " start and end with an alphanumeric character";
    private static final String LABEL_VALUE_WORDS = "a valid label must be an empty string or consist of alphanumeric"
            + " characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    private static final String CONFIG_KEY_WORDS =
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";

    private Names() {}

    static List<String> label(String value) {
        List<String> wrong = tooLong(value, LABEL_MAX, "characters");
        if (!IS_LABEL.matches(value)) {
            boolean dots = IS_SUBDOMAIN.matches(value);
            wrong.add(dots ? "must not contain dots" : regex(LABEL_WORDS, LABEL, "my-name", "123-abc"));
        }
        return wrong;
    }

    static List<String> label1035(String value) {
        List<String> wrong = tooLong(value, LABEL_MAX, "characters");
        if (!IS_LABEL_1035.matches(value)) {
            wrong.add(regex(LABEL_1035_WORDS, LABEL_1035, "my-name", "abc-123"));
        }
        return wrong;
    }

    static List<String> subdomain(String value) {
        List<String> wrong = tooLong(value, SUBDOMAIN_MAX, "characters");
        if (!IS_SUBDOMAIN.matches(value)) wrong.add(regex(SUBDOMAIN_WORDS, SUBDOMAIN, "example.com"));
        return wrong;
    }

    /** Keys of labels, finalizers, and in lower case of annotations. */
    static List<String> qualified(String value) {
        List<String> wrong = new ArrayList<>();
        String[] parts = value.split("/", -1);
        String words = regex(QUALIFIED_WORDS, QUALIFIED, "MyName", "my.name", "123-abc");
        if (parts.length > 2) {
            wrong.add("a valid label key " + words
                    + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
            return wrong;
        }
        if (parts.length == 2 && parts[0].isEmpty()) wrong.add("prefix part must be non-empty");
        if (parts.length == 2 && !parts[0].isEmpty()) {
            subdomainOfKey(parts[0]).forEach(each -> wrong.add("prefix part " + each));
        }
        String name = parts[parts.length - 1];
        if (name.isEmpty()) {
            wrong.add("name part must be non-empty");
        } else if (utf8Length(name) > LABEL_MAX) {
            wrong.add("name part must be no more than " + LABEL_MAX + " bytes");
        }
        if (!IS_QUALIFIED.matches(name)) wrong.add("name part " + words);
        return wrong;
    }

    /** The same rule as {@link #subdomain}, whose newer copy counts bytes. */
    private static List<String> subdomainOfKey(String prefix) {
        List<String> wrong = tooLong(prefix, SUBDOMAIN_MAX, "bytes");
        if (!IS_SUBDOMAIN.matches(prefix)) wrong.add(regex(SUBDOMAIN_WORDS, SUBDOMAIN, "example.com"));
        return wrong;
    }

    static List<String> labelValue(String value) {
        List<String> wrong = tooLong(value, LABEL_MAX, "bytes");
        if (!IS_LABEL_VALUE.matches(value)) {
            wrong.add(regex(LABEL_VALUE_WORDS, LABEL_VALUE, "MyValue", "my_value", "12345"));
        }
        return wrong;
    }

    /** Keys of the data of Secrets and ConfigMaps. */
    static List<String> configKey(String value) {
        List<String> wrong = tooLong(value, SUBDOMAIN_MAX, "characters");
        if (!IS_CONFIG_KEY.matches(value)) {
            wrong.add(regex(CONFIG_KEY_WORDS, CONFIG_KEY, "key.name", "KEY_NAME", "key-name"));
        }
        if (value.equals(".")) {
            wrong.add("must not be '.'");
        } else if (value.equals("..")) {
            wrong.add("must not be '..'");
        } else if (value.startsWith("..")) {
            wrong.add("must not start with '..'");
        }
        return wrong;
    }

    /** A name that will get a random end may stop at a dash. */
    static String withoutTrailingDash(String prefix) {
        return prefix.length() > 1 && prefix.endsWith("-") ? prefix.substring(0, prefix.length() - 2) + "a" : prefix;
    }

    private static List<String> tooLong(String value, int max, String unit) {
        List<String> wrong = new ArrayList<>();
        if (utf8Length(value) > max) wrong.add("must be no more than " + max + " " + unit);
        return wrong;
    }

    private static int utf8Length(String value) {
        return value.getBytes(StandardCharsets.UTF_8).length;
    }

    private static String regex(String words, String regex, String... examples) {
        String quoted = "'" + String.join("',  or '", examples) + "', ";
        return words + " (e.g. " + quoted + "regex used for validation is '" + regex + "')";
    }

    private static Pattern whole(String regex) {
        return Pattern.compile(regex);
    }

    /** What may stand in a URL: {@code ValidatePathSegmentName} of k8s.io/apimachinery. */
    static List<String> pathSegment(String name) {
        if (name.equals(".") || name.equals("..")) return List.of("may not be '" + name + "'");
        return Stream.of("/", "%")
                .filter(name::contains)
                .map(illegal -> "may not contain '" + illegal + "'")
                .toList();
    }
}
