package dev.vmlet.plan;

import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.DockerUser;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallSet;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostObservation;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.NetworkRecord;
import dev.vmlet.model.Owner;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.PlannedStep.Cause;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Plans what belongs to the host as a whole: the firewall's tables and the uplink's forwarding flag. */
public final class HostPlanner {
    private static final Duration SOON = Duration.ofSeconds(2);
    private static final Duration LATER = Duration.ofSeconds(30);

    /** Rules that named no uplink would open all containers to guests. */
    private static final Plan.Wait DOCKER_WAITS = new Plan.Wait(
            Reason.CannotLook,
            "our rules in Docker's chain DOCKER-USER stay as they are: they name the uplink, and this node has no default"
                    + " route",
            LATER);

    private HostPlanner() {}

    public static Plan plan(InstallationId installation, HostObservation seen) {
        if (seen.firewall() instanceof Seen.Unknown<FirewallState>(String cause)) {
            return Plan.waiting(Reason.CannotLook, cause, SOON);
        }
        List<PlannedStep> steps = new ArrayList<>();
        Optional<Plan.Wait> waiting = Optional.empty();
        Set<FirewallElement> recorded = members(seen.networks(), seen.vms());
        Guard guard = new Guard(seen);
        switch (seen.firewall()) {
            case Seen.Missing<FirewallState> _ ->
                steps.add(new PlannedStep(
                        new Step.InstallFirewall(
                                new Ruleset(installation, guard.members(standing(recorded, Set.of()), Set.of()))),
                        seen.networks().isEmpty() ? "this node has none yet" : "they are gone",
                        seen.networks().isEmpty() ? Cause.ASKED : Cause.DRIFT));
            case Seen.Present<FirewallState>(FirewallState state) -> {
                if (!state.intact()) {
                    steps.add(new PlannedStep(
                            new Step.InstallFirewall(new Ruleset(
                                    installation,
                                    guard.members(standing(recorded, state.elements()), state.elements()))),
                            state.difference(),
                            Cause.DRIFT));
                } else {
                    List<FirewallElement> missing = guard.missing(state);
                    if (!missing.isEmpty()) {
                        steps.add(new PlannedStep(
                                new Step.AddElements(missing),
                                "the records of their owners cannot be read, and without these their guests may send"
                                        + " whatever they like",
                                Cause.DRIFT));
                    }
                    List<FirewallElement> smuggled = smuggled(state.elements(), seen);
                    if (!smuggled.isEmpty()) {
                        steps.add(new PlannedStep(
                                new Step.DeleteElements(smuggled),
                                "somebody else added them, and they would let a guest do what its record does not",
                                Cause.DRIFT));
                    }
                }
            }
            case Seen.Unknown<FirewallState> _ -> throw new IllegalStateException("handled above");
        }
        if (seen.marked() instanceof Seen.Unknown<Map<LinkName, Owner>>(String cause)) {
            // Tables of what is known are better than none; who else is to be in them shows the next look.
            waiting = Optional.of(new Plan.Wait(Reason.CannotLook, cause, SOON));
        }
        if (seen.uplinkForwarding() instanceof Seen.Unknown<Boolean>(String cause)) {
            waiting = Optional.of(new Plan.Wait(Reason.CannotLook, cause, SOON));
        }
        boolean leaving =
                seen.networks().stream().anyMatch(n -> n.realised().egress() == dev.vmlet.model.Egress.MASQUERADE);
        boolean published = seen.vms().stream()
                .anyMatch(vm -> vm.launch().isPresent()
                        && vm.nics().stream().anyMatch(nic -> !nic.ports().isEmpty()));
        if ((leaving || published)
                && seen.uplink().isPresent()
                && seen.uplinkForwarding().equals(Seen.present(false))) {
            steps.add(new PlannedStep(
                    new Step.EnableForwarding(seen.uplink().get(), false),
                    leaving ? "answers to guests enter by the uplink" : "what is published is asked for by the uplink",
                    // Once turned on by us, it was somebody else who turned it off.
                    seen.keptForwarding().containsKey(seen.uplink().get()) ? Cause.DRIFT : Cause.ASKED));
        }
        if (seen.docker() instanceof Seen.Unknown<DockerUser>(String cause)) {
            waiting = waiting.or(() -> Optional.of(new Plan.Wait(Reason.CannotLook, cause, LATER)));
        } else if (seen.docker() instanceof Seen.Present<DockerUser>(DockerUser chain)) {
            docker(chain, leaving || published, seen).ifPresent(steps::add);
            if (chain.asked() && (leaving || published) && seen.uplink().isEmpty()) {
                waiting = waiting.or(() -> Optional.of(DOCKER_WAITS));
            }
        }
        Map<LinkName, Boolean> kept = new TreeMap<>(seen.keptForwarding());
        // A record that cannot be read may be a Network's whose guests need the flag.
        if (seen.networks().isEmpty() && seen.unreadable().isEmpty()) {
            waiting = waiting.or(() -> blockedRestore(kept, seen.othersForward()));
            kept.entrySet().stream()
                    .filter(flag -> mayGoBack(flag.getValue(), seen.othersForward()))
                    .forEach(flag -> steps.add(new PlannedStep(
                            new Step.RestoreForwarding(flag.getKey(), installation),
                            "no Network is realised on this node any more")));
        }
        return new Plan(steps, waiting);
    }

    /** @param needed whether something of a guest's is to pass the forward hook */
    private static Optional<PlannedStep> docker(DockerUser chain, boolean needed, HostObservation seen) {
        if (chain.asked() && needed) {
            return chain.complete() || seen.uplink().isEmpty()
                    ? Optional.empty()
                    : Optional.of(accept(chain, seen.uplink().get()));
        }
        // A record that cannot be read may be a Network's whose guests are let through there.
        boolean doubtful = chain.asked() && !seen.unreadable().isEmpty();
        return doubtful || !chain.kept() && !chain.traces()
                ? Optional.empty()
                : Optional.of(new PlannedStep(
                        new Step.WithdrawFromDockerUser(),
                        chain.asked()
                                ? "nothing of a guest's leaves or enters this node any more"
                                : "--manage-docker-user is not given any more"));
    }

    private static PlannedStep accept(DockerUser chain, LinkName uplink) {
        String drops = "Docker drops what it does not know";
        if (!chain.kept()) {
            return new PlannedStep(
                    new Step.AcceptInDockerUser(uplink), drops + ", and --manage-docker-user was given", Cause.ASKED);
        }
        return new PlannedStep(
                new Step.AcceptInDockerUser(uplink),
                chain.traces()
                        ? "our rules there are not all in place, or are for another uplink, and " + drops
                        : "our rules there are gone, and " + drops,
                Cause.DRIFT);
    }

    /** Turning forwarding off cuts the guests of everybody else who came to rely on it. */
    private static boolean mayGoBack(boolean original, Seen<List<String>> others) {
        return original || others.equals(Seen.present(List.of()));
    }

    /** The recorded original is kept until nobody needs the flag any more; their going is seen by a later pass. */
    private static Optional<Plan.Wait> blockedRestore(Map<LinkName, Boolean> kept, Seen<List<String>> others) {
        return kept.entrySet().stream()
                .filter(flag -> !mayGoBack(flag.getValue(), others))
                .findFirst()
                .map(flag -> switch (others) {
                    case Seen.Unknown<List<String>>(String cause) -> new Plan.Wait(Reason.CannotLook, cause, SOON);
                    case Seen.Present<List<String>>(List<String> who) ->
                        new Plan.Wait(
                                Reason.InUse,
                                "IPv4 forwarding on " + flag.getKey() + " stays on: " + String.join(", ", who),
                                LATER);
                    case Seen.Missing<List<String>> _ ->
                        throw new IllegalStateException("who relies on forwarding is a list, even if empty");
                });
    }

    /**
     * Members in the name of an owner whose record does not know them. The record is written before its members and goes
     * after them, so none of ours is among these. Those of owners without a record are the sweep's.
     */
    private static List<FirewallElement> smuggled(Set<FirewallElement> inForce, HostObservation seen) {
        Map<String, Set<FirewallElement>> known = new HashMap<>();
        seen.networks()
                .forEach(n -> known.computeIfAbsent(n.id().uid(), _ -> new HashSet<>())
                        .addAll(n.realised().elements()));
        for (VmRecord vm : seen.vms()) {
            Set<FirewallElement> own = known.computeIfAbsent(vm.id().uid(), _ -> new HashSet<>());
            vm.nics().forEach(nic -> own.addAll(nic.elements(vm.id().uid())));
        }
        return inForce.stream()
                .filter(e -> known.containsKey(e.ownerUid()) && !isKnown(e, known.get(e.ownerUid())))
                .sorted(Looks.ELEMENTS)
                .toList();
    }

    /** Of what leads a Service to a guest, the record knows where it may lead to; whose Service it is, the VM's own pass. */
    private static boolean isKnown(FirewallElement element, Set<FirewallElement> own) {
        return element.set().isOfServices()
                ? own.contains(
                        new FirewallElement(FirewallSet.PUBLISHED_TO, ServiceShare.target(element), element.ownerUid()))
                : own.contains(element);
    }

    /**
     * What new tables hold at once of what the records say. A port of the node that is not published now may be refused to
     * its VM because a process listens on it, which the record does not tell: the VM's own pass looks, and adds it. What led
     * Services to a guest that is recorded goes on to do so.
     *
     * @param standing elements of the tables that are replaced, empty when they are gone
     */
    private static Set<FirewallElement> standing(Set<FirewallElement> recorded, Set<FirewallElement> standing) {
        return Stream.concat(
                        recorded.stream().filter(e -> e.set() != FirewallSet.PUBLISHED || standing.contains(e)),
                        standing.stream().filter(e -> e.set().isOfServices() && isKnown(e, recorded)))
                .collect(Collectors.toSet());
    }

    /**
     * What the records say is to be in the sets: enough to rebuild them without asking anybody, but for what is published.
     */
    public static Set<FirewallElement> members(List<NetworkRecord> networks, List<VmRecord> vms) {
        Set<FirewallElement> members = new HashSet<>();
        for (NetworkRecord network : networks) {
            members.addAll(network.realised().elements());
        }
        for (VmRecord vm : vms) {
            // A VM that is stopped keeps its addresses and loses its tap: nothing to admit.
            if (vm.launch().isPresent()) {
                for (DesiredNic nic : vm.nics()) {
                    members.addAll(nic.elements(vm.id().uid()));
                }
            }
        }
        return members;
    }
}
