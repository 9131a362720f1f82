package dev.vmlet.apiserver.schema;

import com.google.re2j.Matcher;
import com.google.re2j.Pattern;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** What rules ask of lists, as Kubernetes defines it. Arguments are what CEL's values are made of. */
final class CelLists {
    private CelLists() {}

    static boolean isSorted(List<?> list) {
        for (int i = 1; i < list.size(); i++) {
            if (compare(list.get(i - 1), list.get(i)) > 0) return false;
        }
        return true;
    }

    /** Whole numbers, fractions or durations; 0 for an empty list. */
    static Object sum(List<?> list) {
        Object sum = list.isEmpty() ? Long.valueOf(0) : list.getFirst();
        for (Object next : list.subList(Math.min(1, list.size()), list.size())) sum = plus(sum, next);
        return sum;
    }

    private static Object plus(Object sum, Object next) {
        return switch (sum) {
            case Long whole when next instanceof Long more -> Math.addExact(whole, more);
            case Double fraction when next instanceof Double more -> fraction + more;
            case Duration duration when next instanceof Duration more -> duration.plus(more);
            default -> throw new IllegalArgumentException("no such overload");
        };
    }

    /** @param direction below 0 for the smallest, above for the greatest */
    static Object extreme(List<?> list, int direction, String name) {
        if (list.isEmpty()) throw new IllegalArgumentException(name + " called on empty list");
        Object best = list.getFirst();
        for (Object each : list) if (Integer.signum(compare(each, best)) == direction) best = each;
        return best;
    }

    @SuppressWarnings("unchecked")
    private static int compare(Object one, Object other) {
        if (one instanceof Comparable<?> comparable && one.getClass() == other.getClass()) {
            return ((Comparable<Object>) comparable).compareTo(other);
        }
        throw new IllegalArgumentException("no such overload");
    }

    static long indexOf(List<?> list, Object item, boolean last) {
        return last ? list.lastIndexOf(item) : list.indexOf(item);
    }

    /** @param limit below 0 for all */
    static List<String> findAll(String text, String regex, long limit) {
        List<String> found = new ArrayList<>();
        Matcher matcher = Pattern.compile(regex).matcher(text);
        while ((limit < 0 || found.size() < limit) && matcher.find()) found.add(matcher.group());
        return found;
    }
}
