package dev.vmlet.apiserver.schema;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A resource.Quantity by value: 1.5G, 512Mi, 200m, 3e6. Equal where the amount is, however it was written. */
record Quantity(BigDecimal amount) implements Comparable<Quantity> {
    private static final Pattern TEXT =
            Pattern.compile("([+-]?)([0-9]+\\.?[0-9]*|\\.[0-9]+)(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)");
    private static final Map<String, Integer> DECIMAL =
            Map.of("n", -9, "u", -6, "m", -3, "", 0, "k", 3, "M", 6, "G", 9, "T", 12, "P", 15, "E", 18);
    private static final String BINARY = "KMGTPE";

    /** Smaller parts than a billionth do not exist. */
    private static final int SCALE_MAX = 9;

    Quantity {
        amount = amount.signum() == 0 ? BigDecimal.ZERO : amount.stripTrailingZeros();
    }

    static Optional<Quantity> parse(String text) {
        Matcher parts = TEXT.matcher(text);
        if (!parts.matches()) return Optional.empty();
        String number = parts.group(2);
        BigDecimal amount = new BigDecimal(number.endsWith(".") ? number + "0" : number);
        if (parts.group(1).equals("-")) amount = amount.negate();
        return Optional.of(new Quantity(scaled(amount, parts.group(3)).setScale(SCALE_MAX, RoundingMode.UP)));
    }

    private static BigDecimal scaled(BigDecimal amount, String suffix) {
        if (suffix.endsWith("i")) {
            int power = BINARY.indexOf(suffix.charAt(0)) + 1;
            return amount.multiply(BigDecimal.valueOf(1024).pow(power));
        }
        Integer decimal = DECIMAL.get(suffix);
        if (decimal != null) return amount.scaleByPowerOfTen(decimal);
        // More digits than any exponent that is still a number; the amount is capped like one.
        int exponent = suffix.length() > 5 ? 0 : Integer.parseInt(suffix.substring(1));
        return amount.scaleByPowerOfTen(Math.clamp(exponent, -40, 40));
    }

    Quantity plus(Quantity other) {
        return new Quantity(amount.add(other.amount));
    }

    Quantity minus(Quantity other) {
        return new Quantity(amount.subtract(other.amount));
    }

    /** Empty where the amount is no whole number of 64 bits. */
    Optional<Long> asInteger() {
        try {
            return Optional.of(amount.longValueExact());
        } catch (ArithmeticException _) {
            return Optional.empty();
        }
    }

    @Override
    public int compareTo(Quantity other) {
        return amount.compareTo(other.amount);
    }
}
