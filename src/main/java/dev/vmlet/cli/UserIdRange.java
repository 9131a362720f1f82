package dev.vmlet.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A range of user ids, written {@code FIRST:COUNT}; no id of the system's own is in it. */
public record UserIdRange(int first, int count) {
    /** Ids below are given to the system's and people's accounts by convention (login.defs UID_MAX). */
    private static final int LEAST = 65536;

    public UserIdRange {
        if (first < LEAST || count < 1 || (long) first + count > Integer.MAX_VALUE) {
            throw new TypeConversionException(
                    first + ":" + count + " is no usable range: FIRST is at least " + LEAST + " and COUNT positive");
        }
    }

    /** For picocli. */
    public static final class Converter implements ITypeConverter<UserIdRange> {
        @Override
        public UserIdRange convert(String value) {
            int colon = value.indexOf(':');
            try {
                return new UserIdRange(
                        Integer.parseInt(value.substring(0, Math.max(colon, 0))),
                        Integer.parseInt(value.substring(colon + 1)));
            } catch (NumberFormatException e) {
                throw new TypeConversionException("FIRST:COUNT expected, such as 700000:65536, not '" + value + "'");
            }
        }
    }
}
