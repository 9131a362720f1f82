package dev.vmlet.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** The key that leaves a console: a control character, written {@code ^]}, or none. */
record EscapeKey(int code) {
    private static final int NONE = -1;

    boolean is(byte key) {
        return key == code;
    }

    @Override
    public String toString() {
        return code == NONE ? "none" : "Ctrl-" + (char) (code + '@');
    }

    /** For picocli. */
    static final class Converter implements ITypeConverter<EscapeKey> {
        @Override
        public EscapeKey convert(String text) {
            if (text.equals("none")) {
                return new EscapeKey(NONE);
            }
            char key = text.length() == 2 && text.charAt(0) == '^' ? Character.toUpperCase(text.charAt(1)) : 0;
            if (key < 'A' || key > '_') {
                throw new TypeConversionException(
                        "a control key such as ^] or ^A, or none, is expected, not '" + text + "'");
            }
            return new EscapeKey(key - '@');
        }
    }
}
