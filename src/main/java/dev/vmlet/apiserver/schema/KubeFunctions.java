package dev.vmlet.apiserver.schema;

import static dev.cel.common.CelFunctionDecl.newFunctionDeclaration;
import static dev.cel.common.CelOverloadDecl.newGlobalOverload;
import static dev.cel.common.CelOverloadDecl.newMemberOverload;

import dev.cel.common.CelFunctionDecl;
import dev.cel.common.CelOverloadDecl;
import dev.cel.common.types.CelType;
import dev.cel.common.types.ListType;
import dev.cel.common.types.MapType;
import dev.cel.common.types.OpaqueType;
import dev.cel.common.types.OptionalType;
import dev.cel.common.types.SimpleType;
import dev.cel.common.types.TypeParamType;
import dev.cel.runtime.CelFunctionBinding;
import dev.cel.runtime.CelFunctionOverload;
import java.math.BigDecimal;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The functions that Kubernetes adds to CEL: quantities, addresses, URLs, lists, regular expressions, named formats and
 * formatting. Not here: authorizer, semver and jsonpatch.
 */
final class KubeFunctions {
    private static final CelType QUANTITY = OpaqueType.create("kubernetes.Quantity");
    private static final CelType IP = OpaqueType.create("net.IP");
    private static final CelType CIDR = OpaqueType.create("net.CIDR");
    private static final CelType URL = OpaqueType.create("kubernetes.URL");
    private static final CelType FORMAT = OpaqueType.create("kubernetes.NamedFormat");
    private static final CelType STRING = SimpleType.STRING;
    private static final CelType BOOL = SimpleType.BOOL;
    private static final CelType INT = SimpleType.INT;
    private static final TypeParamType ANY = TypeParamType.create("T");
    private static final CelType LIST = ListType.create(ANY);
    private static final CelType STRINGS = ListType.create(STRING);

    private final Map<String, List<CelOverloadDecl>> overloads = new LinkedHashMap<>();
    private final List<CelFunctionBinding> bindings = new ArrayList<>();

    private KubeFunctions() {
        quantities();
        addresses();
        networks();
        urls();
        lists();
        texts();
        formats();
    }

    static List<CelFunctionDecl> declarations() {
        return new KubeFunctions()
                .overloads.entrySet().stream()
                        .map(function -> newFunctionDeclaration(function.getKey(), function.getValue()))
                        .toList();
    }

    static List<CelFunctionBinding> bindings() {
        return new KubeFunctions().bindings;
    }

    private <T> void global(
            String name, CelType result, CelType type, Class<T> java, CelFunctionOverload.Unary<T> body) {
        String id = id(name, type);
        declare(name, newGlobalOverload(id, result, type));
        bindings.add(CelFunctionBinding.from(id, java, body));
    }

    private <T> void member(
            String name, CelType result, CelType type, Class<T> java, CelFunctionOverload.Unary<T> body) {
        String id = id(name, type);
        declare(name, newMemberOverload(id, result, type));
        bindings.add(CelFunctionBinding.from(id, java, body));
    }

    private <T, U> void member(
            String name,
            CelType result,
            CelType type,
            Class<T> java,
            CelType argument,
            Class<U> argumentJava,
            CelFunctionOverload.Binary<T, U> body) {
        String id = id(name, type, argument);
        declare(name, newMemberOverload(id, result, type, argument));
        bindings.add(CelFunctionBinding.from(id, java, argumentJava, body));
    }

    private void declare(String name, CelOverloadDecl overload) {
        overloads.computeIfAbsent(name, _ -> new ArrayList<>()).add(overload);
    }

    private static String id(String name, CelType... types) {
        StringBuilder id = new StringBuilder("kube_").append(name);
        for (CelType type : types) {
            id.append('_').append(type.name());
            type.parameters().forEach(parameter -> id.append('_').append(parameter.name()));
        }
        return id.toString().replace('.', '_');
    }

    private void quantities() {
        global(
                "isQuantity",
                BOOL,
                STRING,
                String.class,
                text -> Quantity.parse(text).isPresent());
        global(
                "quantity",
                QUANTITY,
                STRING,
                String.class,
                text -> Quantity.parse(text)
                        .orElseThrow(() -> new IllegalArgumentException("quantities must match the regular expression"
                                + " '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")));
        member("sign", INT, QUANTITY, Quantity.class, each ->
                (long) each.amount().signum());
        member(
                "isInteger",
                BOOL,
                QUANTITY,
                Quantity.class,
                each -> each.asInteger().isPresent());
        member(
                "asInteger",
                INT,
                QUANTITY,
                Quantity.class,
                each -> each.asInteger()
                        .orElseThrow(() -> new IllegalArgumentException("cannot convert value to integer")));
        member(
                "asApproximateFloat",
                SimpleType.DOUBLE,
                QUANTITY,
                Quantity.class,
                each -> each.amount().doubleValue());
        compare("compareTo", INT, (one, other) -> (long) one.compareTo(other));
        compare("isGreaterThan", BOOL, (one, other) -> one.compareTo(other) > 0);
        compare("isLessThan", BOOL, (one, other) -> one.compareTo(other) < 0);
        compare("add", QUANTITY, Quantity::plus);
        compare("sub", QUANTITY, Quantity::minus);
        member("add", QUANTITY, QUANTITY, Quantity.class, INT, Long.class, (one, other) -> one.plus(whole(other)));
        member("sub", QUANTITY, QUANTITY, Quantity.class, INT, Long.class, (one, other) -> one.minus(whole(other)));
    }

    private void compare(String name, CelType result, CelFunctionOverload.Binary<Quantity, Quantity> body) {
        member(name, result, QUANTITY, Quantity.class, QUANTITY, Quantity.class, body);
    }

    private static Quantity whole(long value) {
        return new Quantity(BigDecimal.valueOf(value));
    }

    private void addresses() {
        global("isIP", BOOL, STRING, String.class, text -> IpAddress.parse(text).isPresent());
        global("ip", IP, STRING, String.class, KubeFunctions::ip);
        global("string", STRING, IP, IpAddress.class, IpAddress::toString);
        global(
                "ip.isCanonical",
                BOOL,
                STRING,
                String.class,
                text -> ip(text).toString().equals(text));
        member("family", INT, IP, IpAddress.class, ip -> (long) ip.family());
        member("isUnspecified", BOOL, IP, IpAddress.class, IpAddress::isUnspecified);
        member("isLoopback", BOOL, IP, IpAddress.class, IpAddress::isLoopback);
        member("isLinkLocalMulticast", BOOL, IP, IpAddress.class, IpAddress::isLinkLocalMulticast);
        member("isLinkLocalUnicast", BOOL, IP, IpAddress.class, IpAddress::isLinkLocalUnicast);
        member("isGlobalUnicast", BOOL, IP, IpAddress.class, IpAddress::isGlobalUnicast);
    }

    private static IpAddress ip(String text) {
        return IpAddress.parse(text)
                .orElseThrow(() -> new IllegalArgumentException("IP Address " + GoText.quote(text)
                        + " parse error during conversion from string: ParseAddr(" + GoText.quote(text)
                        + "): unable to parse IP"));
    }

    private void networks() {
        global("isCIDR", BOOL, STRING, String.class, text -> Cidr.parse(text).isPresent());
        global("cidr", CIDR, STRING, String.class, KubeFunctions::cidr);
        global("string", STRING, CIDR, Cidr.class, Cidr::toString);
        member("containsIP", BOOL, CIDR, Cidr.class, IP, IpAddress.class, Cidr::contains);
        member("containsIP", BOOL, CIDR, Cidr.class, STRING, String.class, (cidr, text) -> cidr.contains(ip(text)));
        member("containsCIDR", BOOL, CIDR, Cidr.class, CIDR, Cidr.class, Cidr::contains);
        member("containsCIDR", BOOL, CIDR, Cidr.class, STRING, String.class, (cidr, text) -> cidr.contains(cidr(text)));
        member("ip", IP, CIDR, Cidr.class, Cidr::ip);
        member("masked", CIDR, CIDR, Cidr.class, Cidr::masked);
        member("prefixLength", INT, CIDR, Cidr.class, cidr -> (long) cidr.prefixLength());
    }

    private static Cidr cidr(String text) {
        return Cidr.parse(text)
                .orElseThrow(() -> new IllegalArgumentException(
                        "network address parse error during conversion from string: netip.ParsePrefix("
                                + GoText.quote(text) + "): invalid"));
    }

    private void urls() {
        global("isURL", BOOL, STRING, String.class, Urls::isRequestUri);
        global(
                "url",
                URL,
                STRING,
                String.class,
                text -> Urls.parse(text)
                        .orElseThrow(() ->
                                new IllegalArgumentException("URL parse error during conversion from string: parse "
                                        + GoText.quote(text) + ": invalid")));
        member("getScheme", STRING, URL, URI.class, url -> orEmpty(url.getScheme()));
        member(
                "getHost",
                STRING,
                URL,
                URI.class,
                url -> orEmpty(url.getRawAuthority()).replaceFirst("^[^@]*@", ""));
        member(
                "getHostname",
                STRING,
                URL,
                URI.class,
                url -> orEmpty(url.getHost()).replaceAll("[\\[\\]]", ""));
        member("getPort", STRING, URL, URI.class, url -> url.getPort() < 0 ? "" : Integer.toString(url.getPort()));
        member("getEscapedPath", STRING, URL, URI.class, url -> orEmpty(url.getRawPath()));
        member("getQuery", MapType.create(STRING, STRINGS), URL, URI.class, url -> query(orEmpty(url.getRawQuery())));
    }

    private static String orEmpty(@Nullable String text) {
        return text == null ? "" : text;
    }

    private static Map<String, List<String>> query(String query) {
        Map<String, List<String>> values = new LinkedHashMap<>();
        for (String part : query.split("&")) {
            if (part.isEmpty()) continue;
            int equals = part.indexOf('=');
            String name = equals < 0 ? part : part.substring(0, equals);
            values.computeIfAbsent(decoded(name), _ -> new ArrayList<>())
                    .add(equals < 0 ? "" : decoded(part.substring(equals + 1)));
        }
        return values;
    }

    private static String decoded(String text) {
        return URLDecoder.decode(text, StandardCharsets.UTF_8);
    }

    private void lists() {
        member("isSorted", BOOL, LIST, List.class, CelLists::isSorted);
        member("sum", ANY, LIST, List.class, CelLists::sum);
        member("min", ANY, LIST, List.class, list -> CelLists.extreme(list, -1, "min"));
        member("max", ANY, LIST, List.class, list -> CelLists.extreme(list, 1, "max"));
        member(
                "indexOf",
                INT,
                LIST,
                List.class,
                ANY,
                Object.class,
                (list, item) -> CelLists.indexOf(list, item, false));
        member(
                "lastIndexOf",
                INT,
                LIST,
                List.class,
                ANY,
                Object.class,
                (list, item) -> CelLists.indexOf(list, item, true));
    }

    private void texts() {
        member("find", STRING, STRING, String.class, STRING, String.class, (text, regex) -> {
            List<String> found = CelLists.findAll(text, regex, 1);
            return found.isEmpty() ? "" : found.getFirst();
        });
        member(
                "findAll",
                STRINGS,
                STRING,
                String.class,
                STRING,
                String.class,
                (text, regex) -> CelLists.findAll(text, regex, -1));
        String id = "kube_findAll_string_string_int";
        declare("findAll", newMemberOverload(id, STRINGS, STRING, STRING, INT));
        bindings.add(CelFunctionBinding.from(
                id,
                List.<Class<?>>of(String.class, String.class, Long.class),
                arguments -> CelLists.findAll((String) arguments[0], (String) arguments[1], (Long) arguments[2])));
        member("format", STRING, STRING, String.class, ListType.create(SimpleType.DYN), List.class, CelFormat::format);
    }

    private void formats() {
        NamedFormat.ALL.keySet().forEach(name -> {
            String id = "kube_format_" + name;
            declare("format." + name, newGlobalOverload(id, FORMAT, List.of()));
            bindings.add(CelFunctionBinding.from(id, List.<Class<?>>of(), _ -> NamedFormat.named(name)));
        });
        global(
                "format.named",
                OptionalType.create(FORMAT),
                STRING,
                String.class,
                name -> Optional.ofNullable(NamedFormat.ALL.containsKey(name) ? NamedFormat.named(name) : null));
        member(
                "validate",
                OptionalType.create(STRINGS),
                FORMAT,
                NamedFormat.class,
                STRING,
                String.class,
                NamedFormat::validate);
    }
}
