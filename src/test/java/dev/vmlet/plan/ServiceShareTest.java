package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.Fitness;
import dev.vmlet.model.Frontend;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.Protocol;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import dev.vmlet.model.VmObservation;
import java.time.Duration;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ServiceShareTest {
    private static final String UID = Given.WEB.uid();
    private static final ServicePort HOST = new ServicePort(Protocol.TCP, 8081);
    private static final ServicePort HTTP = new ServicePort(Protocol.TCP, 80);
    private static final DesiredNic NIC = Given.nic()
            .withLivePartOf(Optional.of(new DesiredNic(
                    Given.nic().network(),
                    Given.nic().bridge(),
                    Given.nic().bridgeMark(),
                    Given.nic().tap(),
                    Given.nic().mark(),
                    Given.nic().mac(),
                    Given.nic().ip(),
                    Given.nic().mtu(),
                    false,
                    List.of(new PublishedPort(HOST, 8080)))));
    private static final Frontend FRONT = front(Optional.of("10.96.0.10"), HTTP, false, false);
    private static final Fitness FIT = new Fitness(true, Set.of(HOST));

    private static Frontend front(Optional<String> address, ServicePort port, boolean affinity, boolean notReadyToo) {
        return new Frontend(
                "lab/front",
                address.map(Ipv4Address::parse),
                port,
                affinity,
                notReadyToo,
                Map.of(UID, 8081, "vm-2", 8082));
    }

    private static ServiceShare share(Frontend front, Map<String, Fitness> fit) {
        return ServiceShare.of(UID, List.of(NIC), List.of(front), fit);
    }

    private static Set<FirewallElement> all(Frontend front) {
        return IntStream.range(0, Frontend.SLOTS)
                .mapToObj(slot -> front.element(slot, NIC.ip(), 8080, UID))
                .collect(Collectors.toSet());
    }

    private static VmObservation seen(Set<FirewallElement> inForce) {
        return seen(Seen.present(inForce));
    }

    private static VmObservation seen(Seen<Set<FirewallElement>> inForce) {
        return new VmObservation(
                Seen.present(Given.record()),
                Map.of(
                        NIC.network().uid(),
                        new NicObservation(
                                NIC.tap(), Seen.present(Given.bridge()), Seen.present(Given.tap()), inForce)),
                Seen.present(Map.of()),
                Map.of(),
                Seen.missing(),
                Seen.missing(),
                Seen.missing(),
                GuestState.of(GuestState.Kind.RUNNING),
                Reach.NOT_PROBED,
                Seen.present(false));
    }

    private static Set<FirewallElement> with(Set<FirewallElement> more) {
        Set<FirewallElement> all = new HashSet<>(NIC.elements(UID));
        all.addAll(more);
        return all;
    }

    private static Plan in(ServiceShare share, Set<FirewallElement> inForce) {
        return share.in(Plan.nothing(), Given.WEB, seen(inForce), false);
    }

    @Test
    void theOnlyVmThatIsFitHasAllPlaces() {
        ServiceShare share = share(FRONT, Map.of(UID, FIT, "vm-2", new Fitness(false, Set.of())));
        assertThat(share).isEqualTo(new ServiceShare(all(FRONT), all(FRONT), Set.of("lab/front")));
        assertThat(FRONT.element(3, NIC.ip(), 8080, UID))
                .isEqualTo(new FirewallElement(
                        FirewallSet.SERVED, List.of("3", "10.96.0.10", "tcp", "80", "10.77.4.2", "8080"), UID));
        assertThat(front(Optional.empty(), HTTP, true, false).element(3, NIC.ip(), 8080, UID))
                .isEqualTo(new FirewallElement(
                        FirewallSet.SERVED_PORTS, List.of("19", "tcp", "80", "10.77.4.2", "8080"), UID));
    }

    @Test
    void aVmIsFitWhenItIsReadyAndItsPortIsPublishedAndBehindIt() {
        ServiceShare none = ServiceShare.NONE;
        Fitness notReady = new Fitness(false, Set.of(HOST));
        assertThat(share(FRONT, Map.of(UID, notReady))).isEqualTo(none);
        assertThat(share(front(Optional.of("10.96.0.10"), HTTP, false, true), Map.of(UID, notReady)))
                .as("those that are not ready too")
                .isEqualTo(share(FRONT, Map.of(UID, FIT)));
        assertThat(share(FRONT, Map.of(UID, new Fitness(true, Set.of(new ServicePort(Protocol.UDP, 8081))))))
                .as("another port")
                .isEqualTo(none);
        assertThat(share(FRONT, Map.of())).as("not known").isEqualTo(none);
        assertThat(ServiceShare.of("vm-9", List.of(NIC), List.of(FRONT), Map.of("vm-9", FIT)))
                .as("not behind it")
                .isEqualTo(none);
        assertThat(ServiceShare.of(UID, List.of(Given.nic()), List.of(FRONT), Map.of(UID, FIT)))
                .as("its NICs publish no such port")
                .isEqualTo(none);
    }

    @Test
    void twoVmsShareThePlacesAndEachMayKeepTheOthers() {
        Fitness other = new Fitness(true, Set.of(new ServicePort(Protocol.TCP, 8082)));
        ServiceShare share = share(FRONT, Map.of(UID, FIT, "vm-2", other));
        assertThat(share.wanted()).hasSize(Frontend.SLOTS / 2);
        assertThat(share.allowed()).isEqualTo(all(FRONT));
        assertThat(in(share, with(all(FRONT))))
                .as("the other one takes them over")
                .isEqualTo(Plan.nothing());
    }

    @Test
    void placesAreDealtEvenlyAndMostStayWhenAVmComes() {
        for (int count = 1; count <= 40; count++) {
            List<String> uids =
                    IntStream.range(0, count).mapToObj(i -> "vm-" + i).toList();
            List<String> dealt = ServiceShare.deal(uids);
            assertThat(dealt).hasSize(Frontend.SLOTS);
            List<Integer> each =
                    uids.stream().map(uid -> Collections.frequency(dealt, uid)).toList();
            assertThat(Collections.max(each) - Collections.min(each))
                    .as(count + " VMs: " + each)
                    .isLessThanOrEqualTo(1);
            assertThat(ServiceShare.deal(uids.reversed())).isEqualTo(dealt);
        }
        List<String> three = ServiceShare.deal(List.of("a", "b", "c"));
        List<String> four = ServiceShare.deal(List.of("a", "b", "c", "d"));
        long stay = IntStream.range(0, Frontend.SLOTS)
                .filter(slot -> three.get(slot).equals(four.get(slot)))
                .count();
        assertThat(stay).as(three + " and " + four).isGreaterThanOrEqualTo(8);
    }

    @Test
    void whatIsMissingComesWhenNothingElseIsToBeDone() {
        ServiceShare share = share(FRONT, Map.of(UID, FIT));
        assertThat(in(share, with(Set.of())))
                .isEqualTo(new Plan(
                        List.of(
                                new PlannedStep(
                                        new Step.AddElements(sorted(all(FRONT))),
                                        "VM lab/web is behind Service lab/front, and clients on its own node come to it this way")),
                        Optional.empty()));
        assertThat(in(share, with(all(FRONT)))).isEqualTo(Plan.nothing());
        Plan stop = new Plan(
                List.of(new PlannedStep(new Step.PressPowerButton(Given.WEB), "it is to be halted")), Optional.empty());
        assertThat(share.in(stop, Given.WEB, seen(with(Set.of())), false)).isEqualTo(stop);
    }

    @Test
    void aPersonReadsEachWayOnce() {
        List<FirewallElement> all = sorted(all(FRONT));
        assertThat(new Step.AddElements(all))
                .hasToString("admit served{10.96.0.10 . tcp . 80 . 10.77.4.2 . 8080} (16 places) in the firewall");
        assertThat(new Step.DeleteElements(all.subList(0, 1)))
                .hasToString("remove served{10.96.0.10 . tcp . 80 . 10.77.4.2 . 8080} from the firewall");
    }

    private static List<FirewallElement> sorted(Set<FirewallElement> elements) {
        return elements.stream().sorted(Looks.ELEMENTS).toList();
    }

    @Test
    void whatSomebodyTookAwayIsDrift() {
        Plan plan = share(FRONT, Map.of(UID, FIT)).in(Plan.nothing(), Given.WEB, seen(with(Set.of())), true);
        assertThat(plan.steps().getFirst().cause()).isEqualTo(PlannedStep.Cause.DRIFT);
    }

    @Test
    void whatLeadsThereWithoutRightGoesBeforeAnythingElse() {
        Plan stop = new Plan(
                List.of(new PlannedStep(new Step.PressPowerButton(Given.WEB), "it is to be halted")),
                Optional.of(new Plan.Wait(Reason.Stopping, "it stops", Duration.ofSeconds(1))));
        Plan plan = ServiceShare.NONE.in(stop, Given.WEB, seen(with(all(FRONT))), false);
        assertThat(plan)
                .isEqualTo(new Plan(
                        List.of(
                                new PlannedStep(
                                        new Step.DeleteElements(sorted(all(FRONT))),
                                        "VM lab/web is not ready for clients of these Services, or not behind them"),
                                stop.steps().getFirst()),
                        stop.waitingFor()));
    }

    /** Whatever the status said before: the port may be another guest's in a moment. */
    @Test
    void nothingLeadsToAPortThatIsNotPublishedOrIsBeingTakenBack() {
        ServiceShare share = share(FRONT, Map.of(UID, FIT));
        Set<FirewallElement> unpublished = with(all(FRONT));
        unpublished.removeIf(e -> e.set() == FirewallSet.PUBLISHED_TO);
        assertThat(in(share, unpublished).steps())
                .extracting(PlannedStep::step)
                .containsExactly(new Step.DeleteElements(sorted(all(FRONT))));
        List<FirewallElement> ports = NIC.elements(UID).stream()
                .filter(e -> e.set() == FirewallSet.PUBLISHED || e.set() == FirewallSet.PUBLISHED_TO)
                .toList();
        Plan taking = new Plan(
                List.of(new PlannedStep(new Step.DeleteElements(ports), "it asks for it no longer")), Optional.empty());
        assertThat(share.in(taking, Given.WEB, seen(with(all(FRONT))), false).steps())
                .extracting(PlannedStep::step)
                .containsExactly(
                        new Step.DeleteElements(sorted(all(FRONT))),
                        taking.steps().getFirst().step());
    }

    @Test
    void aLookThatFailedChangesNothing() {
        Plan blind = Plan.waiting(Reason.EvidenceDisagrees, "two processes", Duration.ofSeconds(2));
        assertThat(ServiceShare.NONE.in(blind, Given.WEB, seen(with(all(FRONT))), false))
                .isEqualTo(blind);
        ServiceShare share = share(FRONT, Map.of(UID, FIT));
        assertThat(share.in(Plan.nothing(), Given.WEB, seen(Seen.unknown("nft hangs")), false))
                .isEqualTo(Plan.nothing());
        assertThat(share.in(Plan.nothing(), Given.WEB, seen(Seen.missing()), false))
                .isEqualTo(Plan.nothing());
    }

    @Test
    void strayMembersGoWithTheServiceOrItsBackend() {
        Frontend stays = front(Optional.of("10.96.0.10"), HTTP, true, false);
        FirewallElement ofOther = FRONT.element(0, Ipv4Address.parse("10.77.4.9"), 80, "vm-9");
        Set<FirewallElement> inForce = with(all(FRONT));
        inForce.add(ofOther);
        assertThat(ServiceShare.withoutStrays(Plan.nothing(), List.of(FRONT), inForce)
                        .steps())
                .extracting(PlannedStep::step)
                .containsExactly(new Step.DeleteElements(List.of(ofOther)));
        Set<FirewallElement> all = new HashSet<>(all(FRONT));
        all.add(ofOther);
        for (Frontend other : List.of(stays, front(Optional.of("10.96.0.11"), HTTP, false, false))) {
            assertThat(ServiceShare.withoutStrays(Plan.nothing(), List.of(other), inForce)
                            .steps())
                    .extracting(PlannedStep::step)
                    .containsExactly(new Step.DeleteElements(sorted(all)));
        }
        assertThat(FRONT.place()).containsExactly("10.96.0.10", "tcp", "80", "any");
    }
}
