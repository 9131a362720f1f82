package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.vmlet.model.Egress;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.Given;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How members become nft text; the whole text is held by the golden cases. */
class RulesetTest {
    private static final List<FirewallElement> ALL = all();

    private static List<FirewallElement> all() {
        List<FirewallElement> all = new ArrayList<>(Given.nic().elements("vm-1"));
        all.addAll(Given.desiredNetwork(Egress.MASQUERADE).elements());
        return all;
    }

    @Test
    void rendersEachSetsMembersQuotedAndCommented() {
        assertThat(Ruleset.add(Given.INSTALLATION, ALL)).isEqualTo("""
                add element bridge vmlet_inst2345 taps { "%1$s" comment "vm-1" }
                add element bridge vmlet_inst2345 ok4 { "%1$s" . %3$s . 10.77.4.2 comment "vm-1" }
                add element bridge vmlet_inst2345 held { 10.77.4.2 comment "vm-1" }
                add element inet vmlet_inst2345 bridges { "%2$s" comment "net-1" }
                add element inet vmlet_inst2345 same { "%2$s" . "%2$s" comment "net-1" }
                add element inet vmlet_inst2345 egress { "%2$s" comment "net-1" }
                add element inet vmlet_inst2345 subnets { 10.77.4.0/24 comment "net-1" }
                """.formatted(
                        Given.nic().tap(), Given.nic().bridge(), Given.nic().mac()));
    }

    @Test
    void deletesWithoutComments() {
        assertThat(Ruleset.delete(Given.INSTALLATION, ALL.subList(0, 1)))
                .isEqualTo("delete element bridge vmlet_inst2345 taps { \""
                        + Given.nic().tap() + "\" }\n");
    }

    @Test
    void theSameMembersMakeTheSameText() {
        List<FirewallElement> reversed = new ArrayList<>(ALL).reversed();
        assertThat(Ruleset.add(Given.INSTALLATION, reversed)).isEqualTo(Ruleset.add(Given.INSTALLATION, ALL));
        assertThat(new Ruleset(Given.INSTALLATION, new HashSet<>(reversed)).text())
                .isEqualTo(new Ruleset(Given.INSTALLATION, new HashSet<>(ALL)).text());
    }

    @ParameterizedTest
    @ValueSource(strings = {"a\" }; flush ruleset; #", "a\nflush ruleset", "a b", "a}", "a;b", "a#b", "a\\b", "a'b"})
    void nothingBreaksOutOfAMember(String evil) {
        FirewallElement byKey = new FirewallElement(FirewallSet.TAPS, List.of(evil), "vm-1");
        FirewallElement byUid = new FirewallElement(FirewallSet.TAPS, List.of("tap0"), evil);
        for (FirewallElement element : List.of(byKey, byUid)) {
            assertThatIllegalArgumentException().isThrownBy(() -> Ruleset.add(Given.INSTALLATION, List.of(element)));
        }
        assertThatIllegalArgumentException().isThrownBy(() -> Ruleset.delete(Given.INSTALLATION, List.of(byKey)));
    }

    @Test
    void aForeignCommentDoesNotKeepAMemberFromDeletion() {
        assertThat(Ruleset.delete(
                        Given.INSTALLATION,
                        List.of(new FirewallElement(FirewallSet.TAPS, List.of("tap0"), "by hand; sorry"))))
                .isEqualTo("delete element bridge vmlet_inst2345 taps { \"tap0\" }\n");
    }

    @Test
    void removesBothTablesAndNoOther() {
        assertThat(Ruleset.remove(Given.INSTALLATION)).isEqualTo("""
                table inet vmlet_inst2345
                delete table inet vmlet_inst2345
                table bridge vmlet_inst2345
                delete table bridge vmlet_inst2345
                """);
        assertThat(new Ruleset(Given.INSTALLATION, new HashSet<>(ALL)).text()).doesNotContain("flush");
    }
}
