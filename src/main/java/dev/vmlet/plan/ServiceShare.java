package dev.vmlet.plan;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.Fitness;
import dev.vmlet.model.Frontend;
import dev.vmlet.model.NicObservation;
import dev.vmlet.model.PublishedPort;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.ServicePort;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What one VM has of the Services that clients on this node ask for. The clients of a Service are dealt out to {@link
 * Frontend#SLOTS} places, and these to the VMs of the node that are fit, each of which plans for its own: like all members
 * that lead to a guest they go before its address does, and no other thread can put one back meanwhile.
 *
 * <p>A place that passes to another VM is overwritten by that one, so that there is no moment at which it leads nowhere. It
 * is not deleted by the VM that had it while that one is fit itself.
 *
 * @param wanted members of the places that are this VM's
 * @param allowed those of all places where it may be
 * @param services whose these are, for people
 */
public record ServiceShare(Set<FirewallElement> wanted, Set<FirewallElement> allowed, Set<String> services) {
    /** Of a VM that is to be behind no Service. */
    public static final ServiceShare NONE = new ServiceShare(Set.of(), Set.of(), Set.of());

    public ServiceShare {
        wanted = Set.copyOf(wanted);
        allowed = Set.copyOf(allowed);
        services = Set.copyOf(services);
    }

    /**
     * @param nics as the guest was started with them
     * @param frontends of which no two are at one place
     * @param fit of each VM of this node, by its uid
     */
    public static ServiceShare of(
            String vmUid, Collection<DesiredNic> nics, Collection<Frontend> frontends, Map<String, Fitness> fit) {
        Set<FirewallElement> wanted = new HashSet<>();
        Set<FirewallElement> allowed = new HashSet<>();
        Set<String> services = new HashSet<>();
        for (Frontend frontend : frontends) {
            Optional<Target> target = frontend.isFit(vmUid, fit) ? target(frontend, vmUid, nics) : Optional.empty();
            if (target.isEmpty()) {
                continue;
            }
            List<String> all = frontend.backends().keySet().stream()
                    .filter(uid -> frontend.isFit(uid, fit))
                    .toList();
            List<String> dealt = deal(all);
            for (int slot = 0; slot < Frontend.SLOTS; slot++) {
                FirewallElement element = frontend.element(
                        slot, target.get().nic.ip(), target.get().port.guest(), vmUid);
                allowed.add(element);
                if (dealt.get(slot).equals(vmUid)) {
                    wanted.add(element);
                    services.add(frontend.service());
                }
            }
        }
        return new ServiceShare(wanted, allowed, services);
    }

    private record Target(DesiredNic nic, PublishedPort port) {}

    private static Optional<Target> target(Frontend frontend, String vmUid, Collection<DesiredNic> nics) {
        Integer hostPort = frontend.backends().get(vmUid);
        if (hostPort == null) {
            return Optional.empty();
        }
        ServicePort host = new ServicePort(frontend.port().protocol(), hostPort);
        return nics.stream()
                .flatMap(nic ->
                        nic.ports().stream().filter(p -> p.host().equals(host)).map(p -> new Target(nic, p)))
                .findFirst();
    }

    /**
     * Each place to one of them: as evenly as it goes, and most stay where they were when one comes or goes. Of more than
     * there are places, some get none.
     *
     * @param uids at least one
     */
    static List<String> deal(Collection<String> uids) {
        List<String> sorted = uids.stream().sorted().toList();
        int fair = Frontend.SLOTS / sorted.size();
        int withOneMore = Frontend.SLOTS % sorted.size();
        Map<String, Integer> has = new HashMap<>();
        List<String> dealt = new ArrayList<>();
        for (int slot = 0; slot < Frontend.SLOTS; slot++) {
            int place = slot;
            boolean more = withOneMore > 0;
            String next = sorted.stream()
                    .filter(uid -> has.getOrDefault(uid, 0) < fair || more && has.getOrDefault(uid, 0) == fair)
                    .min(Comparator.comparingInt((String uid) -> rank(uid, place))
                            .thenComparing(uid -> uid))
                    .orElseThrow();
            if (has.merge(next, 1, Integer::sum) > fair) {
                withOneMore--;
            }
            dealt.add(next);
        }
        return dealt;
    }

    /** How much a place is that VM's, by chance that is always the same (the finalizer of MurmurHash3). */
    private static int rank(String uid, int slot) {
        int mixed = uid.hashCode() * 31 + slot * 0x9e3779b9;
        mixed = (mixed ^ mixed >>> 16) * 0x85ebca6b;
        mixed = (mixed ^ mixed >>> 13) * 0xc2b2ae35;
        return mixed ^ mixed >>> 16;
    }

    /** Members of the VM that lead a Service to it now; none where nobody could look. */
    private static Set<FirewallElement> leading(VmObservation seen) {
        return members(seen).filter(e -> e.set().isOfServices()).collect(Collectors.toSet());
    }

    private static Stream<FirewallElement> members(VmObservation seen) {
        return seen.nics().values().stream()
                .map(NicObservation::elements)
                .flatMap(look -> look instanceof Seen.Present<Set<FirewallElement>>(Set<FirewallElement> there)
                        ? there.stream()
                        : Stream.empty());
    }

    /** Whether all is as wanted, as far as the VM itself may be led to. */
    public boolean isInPlace(VmObservation seen) {
        return leading(seen).containsAll(reachable(wanted, targets(members(seen))));
    }

    /**
     * The plan with this share in it. What leads to the guest without right goes first, whatever else is to be done; what
     * is missing comes when nothing else is, so that a guest that is being stopped or taken down is led to no more.
     *
     * @param taken whether somebody has taken away what is missing
     */
    public Plan in(Plan plan, VmId vm, VmObservation seen, boolean taken) {
        if (isBlind(plan)
                || seen.nics().values().stream().anyMatch(nic -> nic.elements() instanceof Seen.Unknown)
                || seen.nics().values().stream().noneMatch(nic -> nic.elements() instanceof Seen.Present)) {
            return plan;
        }
        Set<FirewallElement> goes = plan.steps().stream()
                .flatMap(p -> p.step() instanceof Step.DeleteElements(List<FirewallElement> elements)
                        ? elements.stream()
                        : Stream.empty())
                .collect(Collectors.toSet());
        Set<FirewallElement> leading = leading(seen);
        Set<List<String>> targets = targets(members(seen).filter(e -> !goes.contains(e)));
        Set<FirewallElement> may = reachable(allowed, targets);
        List<FirewallElement> surplus = leading.stream()
                .filter(e -> !may.contains(e) && !goes.contains(e))
                .sorted(Looks.ELEMENTS)
                .toList();
        List<FirewallElement> missing = reachable(wanted, targets).stream()
                .filter(e -> !leading.contains(e))
                .sorted(Looks.ELEMENTS)
                .toList();
        List<PlannedStep> steps = new ArrayList<>();
        if (!surplus.isEmpty()) {
            steps.add(new PlannedStep(
                    new Step.DeleteElements(surplus),
                    "VM " + vm + " is not ready for clients of these Services, or not" + " behind them"));
        }
        steps.addAll(plan.steps());
        if (!missing.isEmpty() && plan.isEmpty()) {
            steps.add(new PlannedStep(
                    new Step.AddElements(missing),
                    "VM " + vm + " is behind " + names() + ", and clients on its own node come to it this way",
                    taken ? PlannedStep.Cause.DRIFT : PlannedStep.Cause.ASKED));
        }
        return new Plan(steps, plan.waitingFor());
    }

    /**
     * The node's plan, with the end of members that lead where none of the Services is asked for, or to a VM that is not
     * behind it.
     *
     * @param inForce all members of the firewall's sets
     */
    public static Plan withoutStrays(Plan plan, Collection<Frontend> frontends, Set<FirewallElement> inForce) {
        Map<List<String>, Set<String>> behind = new HashMap<>();
        frontends.forEach(f -> behind.computeIfAbsent(f.place(), _ -> new HashSet<>())
                .addAll(f.backends().keySet()));
        List<FirewallElement> strays = inForce.stream()
                .filter(e -> e.set().isOfServices()
                        && !behind.getOrDefault(Frontend.place(e), Set.of()).contains(e.ownerUid()))
                .sorted(Looks.ELEMENTS)
                .toList();
        if (strays.isEmpty()) {
            return plan;
        }
        List<PlannedStep> steps = new ArrayList<>(plan.steps());
        steps.add(new PlannedStep(new Step.DeleteElements(strays), "no Service leads there any more"));
        return new Plan(steps, plan.waitingFor());
    }

    private String names() {
        List<String> sorted = List.copyOf(new TreeSet<>(services));
        return "Service " + String.join(", ", sorted.subList(0, Math.min(3, sorted.size())))
                + (sorted.size() > 3 ? " and " + (sorted.size() - 3) + " more" : "");
    }

    private static boolean isBlind(Plan plan) {
        return plan.isEmpty()
                && plan.waitingFor()
                        .filter(w -> w.reason() == Reason.CannotLook || w.reason() == Reason.EvidenceDisagrees)
                        .isPresent();
    }

    /** Those that lead to a port of the guest which is published: nothing else of it may be reached. */
    private static Set<FirewallElement> reachable(Set<FirewallElement> elements, Set<List<String>> targets) {
        return elements.stream().filter(e -> targets.contains(target(e))).collect(Collectors.toSet());
    }

    private static Set<List<String>> targets(Stream<FirewallElement> members) {
        return members.filter(e -> e.set() == FirewallSet.PUBLISHED_TO)
                .map(FirewallElement::key)
                .collect(Collectors.toSet());
    }

    /** The key in {@link FirewallSet#PUBLISHED_TO} of where it leads to. */
    static List<String> target(FirewallElement element) {
        List<String> key = element.key();
        int keyParts = element.set().keyParts(key.size());
        return List.of(key.get(keyParts), key.get(keyParts - 2), key.get(keyParts + 1));
    }
}
