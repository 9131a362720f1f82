package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import java.math.BigDecimal;
import java.util.Locale;

/** Values as Go's fmt prints them: messages of kube-apiserver are compared by people and by scripts. */
final class GoText {
    private GoText() {}

    /** {@code %q}. */
    static String quote(String text) {
        StringBuilder out = new StringBuilder(text.length() + 2).append('"');
        text.codePoints().forEach(point -> {
            switch (point) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case 0x07 -> out.append("\\a");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                case 0x0b -> out.append("\\v");
                default -> quoteRest(out, point);
            }
        });
        return out.append('"').toString();
    }

    private static void quoteRest(StringBuilder out, int point) {
        if (point < 0x20 || point == 0x7f) {
            out.append(String.format(Locale.ROOT, "\\x%02x", point));
        } else if (point < 0x7f || isPrintable(point)) {
            out.appendCodePoint(point);
        } else {
            out.append(String.format(Locale.ROOT, point > 0xffff ? "\\U%08x" : "\\u%04x", point));
        }
    }

    private static boolean isPrintable(int point) {
        int type = Character.getType(point);
        return switch (type) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.SURROGATE,
                    Character.PRIVATE_USE,
                    Character.UNASSIGNED,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR,
                    Character.SPACE_SEPARATOR -> false;
            default -> true;
        };
    }

    /** {@code %v} of a float64: exponents from 21 digits on, or for very small values. */
    static String number(BigDecimal number) {
        double value = number.doubleValue();
        if (value == 0) return "0";
        BigDecimal shortest = new BigDecimal(Double.toString(value)).stripTrailingZeros();
        int exponent = shortest.precision() - shortest.scale() - 1;
        if (exponent >= -4 && exponent < 21) return shortest.toPlainString();
        String digits = shortest.unscaledValue().abs().toString();
        String mantissa = digits.length() == 1 ? digits : digits.charAt(0) + "." + digits.substring(1);
        return (value < 0 ? "-" : "") + mantissa + "e" + (exponent < 0 ? "-" : "+")
                + String.format(Locale.ROOT, "%02d", Math.abs(exponent));
    }

    /** A rejected value within a message: numbers and booleans bare, strings quoted, all else as JSON. */
    static String value(JsonNode value) {
        if (value.isTextual()) return quote(value.textValue());
        if (value.isFloatingPointNumber()) return number(value.decimalValue());
        return value.toString();
    }
}
