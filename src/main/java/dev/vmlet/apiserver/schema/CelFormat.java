package dev.vmlet.apiserver.schema;

import dev.cel.common.values.CelByteString;
import dev.cel.common.values.NullValue;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** {@code "%s has %d".format([a, b])} of CEL's string extensions, which cel-java lacks. */
final class CelFormat {
    private static final Pattern CLAUSE = Pattern.compile("%(?:\\.([0-9]{1,3}))?(.?)", Pattern.DOTALL);

    private CelFormat() {}

    static String format(String template, List<?> arguments) {
        StringBuilder out = new StringBuilder();
        Iterator<?> rest = arguments.iterator();
        Matcher clause = CLAUSE.matcher(template);
        while (clause.find()) {
            String verb = clause.group(2);
            if (verb.isEmpty()) throw wrong("unexpected end of string");
            String text;
            if (verb.equals("%")) {
                text = "%";
            } else {
                if (!rest.hasNext()) throw wrong("index " + arguments.size() + " out of range");
                int precision = clause.group(1) == null ? 6 : Integer.parseInt(clause.group(1));
                text = one(verb.charAt(0), rest.next(), precision);
            }
            clause.appendReplacement(out, Matcher.quoteReplacement(text));
        }
        return clause.appendTail(out).toString();
    }

    private static String one(char verb, Object value, int precision) {
        return switch (verb) {
            case 's' -> text(value);
            case 'd' -> text(number(value));
            case 'f' -> String.format(Locale.ROOT, "%." + precision + "f", decimal(value));
            case 'e' -> String.format(Locale.ROOT, "%." + precision + "e", decimal(value));
            case 'b' -> value instanceof Boolean flag ? (flag ? "1" : "0") : Long.toBinaryString(whole(value));
            case 'o' -> Long.toOctalString(whole(value));
            case 'x' -> hex(value);
            case 'X' -> hex(value).toUpperCase(Locale.ROOT);
            default -> throw wrong("unrecognized formatting clause \"" + verb + "\"");
        };
    }

    private static Object number(Object value) {
        if (value instanceof Number) return value;
        throw wrong("decimal clause can only be used on integers");
    }

    private static double decimal(Object value) {
        if (value instanceof Number number) return number.doubleValue();
        throw wrong("fixed-point clause can only be used on doubles");
    }

    private static long whole(Object value) {
        if (value instanceof Long number) return number;
        throw wrong("only integers can be formatted with this clause");
    }

    private static String hex(Object value) {
        if (value instanceof Long number) return Long.toHexString(number);
        byte[] bytes = value instanceof CelByteString given
                ? given.toByteArray()
                : text(value).getBytes(StandardCharsets.UTF_8);
        return HexFormat.of().formatHex(bytes);
    }

    private static String text(Object value) {
        return switch (value) {
            case Double number -> GoText.number(BigDecimal.valueOf(number));
            case NullValue _ -> "null";
            case CelByteString bytes -> new String(bytes.toByteArray(), StandardCharsets.UTF_8);
            case Duration duration ->
                BigDecimal.valueOf(duration.toNanos(), 9).stripTrailingZeros().toPlainString() + "s";
            case Instant instant -> instant.toString();
            case List<?> list -> list.stream().map(CelFormat::text).collect(Collectors.joining(", ", "[", "]"));
            case Map<?, ?> map ->
                map.entrySet().stream()
                        .map(entry -> text(entry.getKey()) + ": " + text(entry.getValue()))
                        .sorted()
                        .collect(Collectors.joining(", ", "{", "}"));
            default -> value.toString();
        };
    }

    private static IllegalArgumentException wrong(String what) {
        return new IllegalArgumentException("error during formatting: " + what);
    }
}
