package dev.vmlet.apiserver.schema;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class RulesTest {
    /** Each holds; together they use every function that we declare. */
    private static final List<String> HOLD = List.of(
            "quantity('1.5Gi').compareTo(quantity('1Gi')) == 1 && quantity('1k') == quantity('1000')",
            "quantity('1').isLessThan(quantity('2')) && quantity('2').isGreaterThan(quantity('1'))",
            "quantity('50k').add(quantity('20k')) == quantity('70k') && quantity('50k').add(20) == quantity('50020')",
            "quantity('50k').sub(quantity('20k')) == quantity('30k') && quantity('5').sub(2) == quantity('3')",
            "quantity('50k').isInteger() && quantity('50k').asInteger() == 50000 && !quantity('0.5').isInteger()",
            "quantity('-1').sign() == -1 && quantity('0.5').asApproximateFloat() == 0.5",
            "isQuantity('1.3Gi') && !isQuantity('200K') && !isQuantity('Mi') && !isQuantity('')",
            "isIP('10.0.0.1') && isIP('2001:db8::1') && !isIP('10.0.0.01') && !isIP('10.0.0.1/8') && !isIP('::ffff:1.2.3.4')",
            "ip('10.0.0.1').family() == 4 && ip('::1').isLoopback() && ip('0.0.0.0').isUnspecified()",
            "string(ip('2001:DB8:0:0::1')) == '2001:db8::1' && !ip.isCanonical('2001:DB8::1') && ip.isCanonical('::1')",
            "ip('169.254.1.1').isLinkLocalUnicast() && ip('224.0.0.1').isLinkLocalMulticast()",
            "ip('8.8.8.8').isGlobalUnicast() && !ip('127.0.0.1').isGlobalUnicast()",
            "isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33') && cidr('10.1.0.0/8').masked() == cidr('10.0.0.0/8')",
            "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsIP(ip('10.1.2.3'))",
            "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8'))",
            "cidr('10.0.0.0/8').prefixLength() == 8 && cidr('10.0.0.0/8').ip() == ip('10.0.0.0')",
            "string(cidr('10.0.0.0/8')) == '10.0.0.0/8'",
            "isURL('https://a.example:80/p?q=1') && !isURL('nonsense')",
            "url('https://a.example:80/p').getScheme() == 'https' && url('https://a.example:80/').getPort() == '80'",
            "url('https://a.example:80/p').getHost() == 'a.example:80' && url('https://[::1]:80/').getHostname() == '::1'",
            "url('https://a/p%20q?x=1&x=2').getEscapedPath() == '/p%20q' && url('https://a/?x=1&x=2').getQuery()['x'] == ['1', '2']",
            "[1, 2].sum() == 3 && [1.5, 2.5].sum() == 4.0 && [2, 3, 1].min() == 1 && [2, 3, 1].max() == 3",
            "[1, 2, 2].isSorted() && !['b', 'a'].isSorted() && [1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2",
            "'abc 123'.find('[0-9]+') == '123' && 'a1b2'.findAll('[0-9]') == ['1', '2'] && 'a1b2'.findAll('[0-9]', 1) == ['1']",
            "'%s has %d, %.1f and %x'.format(['a', 2, 1.55, 255]) == 'a has 2, 1.6 and ff'",
            "format.dns1123Label().validate('good') == optional.none()",
            "format.dns1123Label().validate('BAD').hasValue() && format.named('uuid').hasValue()",
            "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && ' x '.trim() == 'x' && 'aB'.lowerAscii() == 'ab'",
            "'hello'.substring(1, 3) == 'el' && 'hello'.replace('l', 'L') == 'heLLo' && 'hello'.indexOf('l') == 2",
            "sets.contains([1, 2], [1]) && sets.intersects([1], [1, 2])",
            "cel.bind(x, 2, x * x == 4)",
            "[1, 2].exists_one(x, x == 1) && [1, 2].map(x, x * 2) == [2, 4] && has(self.name) && 1 < 2.5",
            "self.when < timestamp('2027-01-01T00:00:00Z') && self.wait < duration('2h') && size(self.bytes) == 3",
            "self.either == 5 && self.__namespace__ == 'n' && self.a__dash__b == 'c' && self.?nosuch2.orValue('') == ''",
            "self.map['x.y'] == 'z' && self.map.all(k, k.size() > 0) && self.items.all(i, i.x > 0)",
            "self.empty == null || self.empty == 'e'");

    private static final String SPEC = """
            type: object
            properties:
              name: {type: string}
              nosuch2: {type: string}
              when: {type: string, format: date-time}
              wait: {type: string, format: duration}
              bytes: {type: string, format: byte}
              either: {x-kubernetes-int-or-string: true}
              namespace: {type: string}
              a-b: {type: string}
              empty: {type: string, nullable: true}
              map: {type: object, additionalProperties: {type: string}}
              items: {type: array, items: {type: object, properties: {x: {type: integer}}}}
            """;
    private static final String VALUE = "{name: n, when: \"2026-01-01T00:00:00Z\", wait: 1h30m, bytes: YWJj, either: 5,"
            + " namespace: n, a-b: c, empty: null, map: {x.y: z}, items: [{x: 1}]}";

    private static ResourceType withRules(String spec, String rules) throws Refused {
        ObjectNode crd = Samples.crd(spec);
        ObjectNode schema = (ObjectNode) crd.at("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
        schema.set("x-kubernetes-validations", Samples.json(rules));
        return ResourceType.ofCrd(crd).getFirst();
    }

    private static List<String> violations(ResourceType type, String spec, Optional<String> old) {
        return type.schema().rules().violations(Samples.thing(spec), old.map(Samples::thing)).stream()
                .map(FieldError::sentence)
                .toList();
    }

    @TestFactory
    Stream<DynamicTest> holds() {
        return HOLD.stream()
                .map(rule -> DynamicTest.dynamicTest(rule, () -> {
                    ObjectNode rules = Samples.yaml("{list: [{}]}");
                    ((ObjectNode) rules.at("/list/0")).put("rule", rule);
                    ResourceType type = withRules(SPEC, rules.path("list").toString());
                    assertThat(violations(type, VALUE, Optional.empty())).isEmpty();
                }));
    }

    @Test
    void saysTheMessageOrTheRule() throws Refused {
        ResourceType type = withRules(SPEC, """
                - {rule: "self.name == 'x'"}
                - {rule: "self.name == 'x'", message: call it x}
                - {rule: "self.name == 'x'", messageExpression: "'not x but ' + self.name", fieldPath: .name}
                - {rule: "self.name == 'x'", message: never, reason: FieldValueForbidden}
                - {rule: "self.map['nosuch'] == 'x'"}
                """);
        assertThat(violations(type, VALUE, Optional.empty()))
                .containsExactly(
                        "spec: Invalid value: failed rule: self.name == 'x'",
                        "spec: Invalid value: call it x",
                        "spec.name: Invalid value: not x but n",
                        "spec: Forbidden: never",
                        "spec: Invalid value: \"object\": no such key: nosuch evaluating rule: self.map['nosuch'] == 'x'");
    }

    @Test
    void looksBackWhereThereIsSomethingToLookBackAt() throws Refused {
        ResourceType type = withRules("""
                type: object
                properties:
                  fixed: {type: string, x-kubernetes-validations: [{rule: self == oldSelf, message: fixed}]}
                  disks:
                    type: array
                    x-kubernetes-list-type: map
                    x-kubernetes-list-map-keys: [name]
                    items:
                      type: object
                      required: [name]
                      properties: {name: {type: string}, size: {type: integer}}
                      x-kubernetes-validations: [{rule: self.size >= oldSelf.size, message: do not shrink}]
                """, """
                - {rule: "oldSelf.hasValue() || self.fixed != 'new'", optionalOldSelf: true, message: not at first}
                """);
        assertThat(violations(type, "{fixed: new}", Optional.empty()))
                .containsExactly("spec: Invalid value: not at first");
        assertThat(violations(type, "{fixed: b}", Optional.of("{fixed: a}")))
                .containsExactly("spec.fixed: Invalid value: \"b\": fixed");
        assertThat(violations(type, "{fixed: b}", Optional.of("{}"))).isEmpty();
        assertThat(violations(
                        type,
                        "{disks: [{name: new, size: 0}, {name: b, size: 1}]}",
                        Optional.of("{disks: [{name: b, size: 2}]}")))
                .containsExactly("spec.disks[1]: Invalid value: do not shrink");
    }

    @Test
    void forgivesARuleThatWasBrokenBefore() throws Refused {
        ResourceType type = withRules(
                "{type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self > 5}]},"
                        + " b: {type: integer}}}",
                "[]");
        assertThat(violations(type, "{a: 1, b: 2}", Optional.of("{a: 1, b: 1}")))
                .isEmpty();
        assertThat(violations(type, "{a: 2, b: 2}", Optional.of("{a: 1, b: 1}")))
                .hasSize(1);
    }

    @Test
    void refusesADefinitionWithARuleThatItCannotEvaluate() {
        assertThatThrownBy(() -> withRules(SPEC, """
                        - {rule: self.nosuch == 1}
                        - {rule: "semver('1.2.3').major() == 1"}
                        - {rule: self.name}
                        """))
                .hasMessageContaining("spec.versions[0].schema.openAPIV3Schema.properties[spec]"
                        + ".x-kubernetes-validations[0].rule: Invalid value: \"self.nosuch == 1\": compilation failed:"
                        + " ERROR: <input>:1:5: undefined field 'nosuch'")
                .hasMessageContaining(
                        "x-kubernetes-validations[1].rule: Invalid value: \"semver('1.2.3').major() == 1\":"
                                + " compilation failed: ERROR: <input>:1:7: undeclared reference to 'semver'")
                .hasMessageContaining(
                        "x-kubernetes-validations[2].rule: Invalid value: \"self.name\": must evaluate to a" + " bool");
    }

    @Test
    void refusesToLookBackWhereNobodyKnowsWhatWasThereBefore() {
        assertThatThrownBy(() -> withRules(
                        "{type: object, properties: {l: {type: array, items: {type: string, x-kubernetes-validations:"
                                + " [{rule: self == oldSelf}]}}}}",
                        "[]"))
                .hasMessageContaining("oldSelf cannot be used on the uncorrelatable portion of the schema");
    }
}
