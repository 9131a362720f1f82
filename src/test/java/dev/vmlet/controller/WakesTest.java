package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.Given;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NicObservation;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class WakesTest {
    private final Wakes wakes = new Wakes(Given.NAMES, Given.NODE);
    private final List<ResourceID> woken = new ArrayList<>();

    @BeforeEach
    void knowTwoVms() {
        wakes.vmSource().setEventHandler(event -> woken.add(event.getRelatedCustomResourceID()));
        wakes.vmSource().start();
        wakes.knowVm(Given.vm("web", "vm-1", Given.spec("lan")));
        wakes.knowVm(Given.vm("db", "vm-2", Given.spec("lan")));
    }

    @Test
    void theLinkOfAllClusterIpsWakesEveryVmWhenItComesOrGoes() {
        wakes.wakeLink(NicObservation.CLUSTER_IPS);
        assertThat(woken)
                .containsExactlyInAnyOrder(
                        new ResourceID("web", Given.NAMESPACE), new ResourceID("db", Given.NAMESPACE));
    }

    @Test
    void aTapWakesItsVm() {
        wakes.wakeLink(Given.NAMES.tap("vm-1", "lan"));
        assertThat(woken).containsExactly(new ResourceID("web", Given.NAMESPACE));
    }

    @Test
    void aLinkOfSomebodyElseWakesNobody() {
        wakes.wakeLink(new LinkName("eth0"));
        assertThat(woken).isEmpty();
    }
}
