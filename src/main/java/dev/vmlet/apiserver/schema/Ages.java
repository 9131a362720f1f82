package dev.vmlet.apiserver.schema;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;

/** Times as kubectl shows them: how long ago, in at most two units. */
final class Ages {
    private Ages() {}

    /** {@code <unknown>} where there is no time, {@code <invalid>} for a text that is none. */
    static String since(JsonNode time, Instant now) {
        if (time.isMissingNode() || time.isNull() || time.asText().isEmpty()) return "<unknown>";
        if (!Formats.isDateTime(time.asText())) return "<invalid>";
        return human(Duration.between(OffsetDateTime.parse(time.asText()).toInstant(), now));
    }

    static String human(Duration age) {
        // Go cuts towards zero; a clock may be a second ahead of ours.
        long seconds = age.toMillis() / 1000;
        if (seconds < -1) return "<invalid>";
        if (seconds < 0) return "0s";
        if (seconds < 60 * 2) return seconds + "s";
        long minutes = seconds / 60;
        if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
        if (minutes < 60 * 3) return minutes + "m";
        long hours = minutes / 60;
        if (hours < 8) return two(hours, "h", minutes % 60, "m");
        if (hours < 48) return hours + "h";
        if (hours < 24 * 8) return two(hours / 24, "d", hours % 24, "h");
        if (hours < 24 * 365 * 2) return hours / 24 + "d";
        long years = hours / 24 / 365;
        return hours < 24 * 365 * 8 ? two(years, "y", hours / 24 % 365, "d") : years + "y";
    }

    private static String two(long large, String largeUnit, long small, String smallUnit) {
        return small == 0 ? large + largeUnit : large + largeUnit + small + smallUnit;
    }
}
