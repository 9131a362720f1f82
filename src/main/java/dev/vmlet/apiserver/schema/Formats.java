package dev.vmlet.apiserver.schema;

import com.google.re2j.Pattern;
import java.time.LocalDate;
import java.time.format.DateTimeParseException;
import java.util.Base64;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/** The formats of strings that kube-apiserver checks in custom resources. Others are ignored, there as here. */
final class Formats {
    private static final Set<String> INTEGERS = Set.of("int32", "int64");
    private static final Set<String> NUMBERS = Set.of("float", "double");

    private static final Pattern DATE_TIME =
            Pattern.compile("^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$");
    private static final String HEX = "[0-9a-f]";
    private static final String UUID =
            "(?i)^" + HEX + "{8}-?" + HEX + "{4}-?%s" + HEX + "{3}-?%s" + HEX + "{3}-?" + HEX + "{12}$";
    private static final String LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

    private static final Map<String, Predicate<String>> STRINGS = Map.ofEntries(
            Map.entry("datetime", Formats::isDateTime),
            Map.entry("date", Formats::isDate),
            Map.entry("duration", text -> GoDurations.parse(text).isPresent()),
            Map.entry("byte", Formats::isBase64),
            Map.entry("password", text -> true),
            Map.entry("uri", Urls::isRequestUri),
            Map.entry(
                    "ipv4",
                    text -> IpAddress.parse(text).filter(ip -> ip.family() == 4).isPresent()),
            Map.entry(
                    "ipv6",
                    text -> IpAddress.parse(text).filter(ip -> ip.family() == 6).isPresent()),
            Map.entry("cidr", text -> Cidr.parse(text).isPresent()),
            Map.entry("mac", matching("^(?i)([0-9a-f]{2}([:-])){5}[0-9a-f]{2}$|^(?i)([0-9a-f]{4}\\.){2}[0-9a-f]{4}$")),
            Map.entry("email", matching("^([^@<>\\s]+@[^@<>\\s]+|[^<>]*<[^@<>\\s]+@[^@<>\\s]+>)$")),
            Map.entry("hostname", Formats::isHostname),
            Map.entry("uuid", matching(UUID.formatted(HEX, HEX))),
            Map.entry("uuid3", matching(UUID.formatted("3", HEX))),
            Map.entry("uuid4", matching(UUID.formatted("4", "[89ab]"))),
            Map.entry("uuid5", matching(UUID.formatted("5", "[89ab]"))),
            Map.entry("ssn", matching("^\\d{3}[- ]?\\d{2}[- ]?\\d{4}$")),
            Map.entry("hexcolor", matching("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$")),
            Map.entry(
                    "k8sshortname",
                    text -> text.length() <= 63 && matching("^" + LABEL + "$").test(text)),
            Map.entry(
                    "k8slongname",
                    text -> text.length() <= 253
                            && matching("^" + LABEL + "(\\." + LABEL + ")*$").test(text)));

    private Formats() {}

    /** The format if it means something for the type, else empty. */
    static String ofType(String type, String format) {
        String normalized = format.replace("-", "");
        boolean known = switch (type) {
            case "", "string" -> STRINGS.containsKey(normalized);
            case "integer" -> INTEGERS.contains(format);
            case "number" -> NUMBERS.contains(format);
            default -> false;
        };
        return known ? format : "";
    }

    /** @param format one that {@link #ofType} knows for strings */
    static boolean matches(String format, String text) {
        Predicate<String> check = STRINGS.get(format.replace("-", ""));
        return check == null || check.test(text);
    }

    private static Predicate<String> matching(String regex) {
        Pattern pattern = Pattern.compile(regex);
        return text -> pattern.matcher(text).find();
    }

    static boolean isDate(String text) {
        try {
            LocalDate.parse(text);
            return text.length() == "2006-01-02".length();
        } catch (DateTimeParseException _) {
            return false;
        }
    }

    /** Looser than RFC 3339 where kube-apiserver is: a zone's hours are not looked at. */
    static boolean isDateTime(String text) {
        int split = text.indexOf('T') < 0 ? text.indexOf('t') : text.indexOf('T');
        if (split < 0 || !isDate(text.substring(0, split))) return false;
        String time = text.substring(split + 1).toLowerCase(Locale.ROOT);
        if (!DATE_TIME.matcher(time).find()) return false;
        return time.compareTo("24") < 0 && time.charAt(3) <= '5' && time.charAt(6) <= '5';
    }

    private static boolean isBase64(String text) {
        try {
            Base64.getDecoder().decode(text);
            return text.length() % 4 == 0;
        } catch (IllegalArgumentException _) {
            return false;
        }
    }

    private static boolean isHostname(String text) {
        if (text.length() > 255) return false;
        for (String label : text.split("\\.", -1)) if (label.length() > 63) return false;
        return matching("^[a-zA-Z0-9\\p{S}\\p{L}]([-a-zA-Z0-9\\p{S}\\p{L}]*[a-zA-Z0-9\\p{S}\\p{L}])?"
                        + "(\\.[a-zA-Z0-9\\p{S}\\p{L}]([-a-zA-Z0-9\\p{S}\\p{L}]*[a-zA-Z0-9\\p{S}\\p{L}])?)*\\.?$")
                .test(text);
    }
}
