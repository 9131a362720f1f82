package dev.vmlet.controller;

import dev.vmlet.host.Applier;
import dev.vmlet.host.Observer;
import dev.vmlet.host.Records;
import dev.vmlet.host.Wishes;
import dev.vmlet.model.DesiredVm;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Resolution;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmObservation;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.VmPlanner;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Clock;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * From the agent's start until the API server answers for the first time. This node's guests are looked after by what is
 * written down of them: one that runs is adopted and mended, one that ended is told of in its record and started again
 * as it was started last, where it was to run. Nothing is made that was not there, and nothing is taken away.
 */
final class Interlude {
    private static final Logger log = LoggerFactory.getLogger(Interlude.class);

    /** An ordinary start is over by then. */
    private static final Duration PATIENCE = Duration.ofSeconds(3);

    private static final Duration ROUND = Duration.ofSeconds(1);
    private static final Resolution.Unresolved<DesiredVm> UNKNOWN = new Resolution.Unresolved<>(
            Reason.CannotLook, "The API server is not reached; what its object asks for now is not known.");

    private final Records records;
    private final Observer observer;
    private final VmPlanner planner;
    private final Downtimes downtimes;
    private final Wishes wishes;
    private final StartTurns turns;
    private final Applier applier;
    private final Warmth warmth;
    private final Pulse pulse;
    private final Clock clock;
    private final CountDownLatch over = new CountDownLatch(1);

    Interlude(
            Records records,
            Observer observer,
            VmPlanner planner,
            Downtimes downtimes,
            Wishes wishes,
            StartTurns turns,
            Applier applier,
            Warmth warmth,
            Pulse pulse,
            Clock clock) {
        this.records = records;
        this.observer = observer;
        this.planner = planner;
        this.downtimes = downtimes;
        this.wishes = wishes;
        this.turns = turns;
        this.applier = applier;
        this.warmth = warmth;
        this.pulse = pulse;
        this.clock = clock;
    }

    /**
     * Asks until there is an answer, and plays meanwhile.
     *
     * @return the answer
     * @throws KubernetesClientException when the API server answers that it will not, or the agent is closed meanwhile
     */
    <T> T until(Supplier<T> question) {
        boolean told = false;
        while (true) {
            CompletableFuture<T> answer = new CompletableFuture<>();
            // Beside the rounds: the client tries again by itself, for as long as it likes.
            Thread asking = Thread.ofPlatform().name("first-contact").daemon().start(() -> {
                try {
                    answer.complete(question.get());
                } catch (RuntimeException e) {
                    answer.completeExceptionally(e);
                }
            });
            try {
                Duration wait = told ? ROUND : PATIENCE;
                while (true) {
                    try {
                        return answer.get(wait.toMillis(), TimeUnit.MILLISECONDS);
                    } catch (TimeoutException e) {
                        told = tell(told, "it does not answer");
                        wait = ROUND;
                        play();
                    }
                }
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof KubernetesClientException refusal) || !isAway(refusal)) {
                    throw e.getCause() instanceof RuntimeException failure ? failure : new IllegalStateException(e);
                }
                told = tell(told, innermost(refusal));
                play();
                pause();
            } catch (InterruptedException e) {
                throw interrupted();
            } finally {
                asking.interrupt();
            }
        }
    }

    /** What the network said; those around it only say that something was wrong. */
    private static String innermost(Throwable e) {
        Throwable at = e;
        for (int depth = 0; depth < 10 && at.getCause() != null; depth++) {
            at = at.getCause();
        }
        return at.toString();
    }

    /** No answer, which has no code, or one that says no more than that it has none. */
    private static boolean isAway(KubernetesClientException e) {
        return e.getCode() <= 0 || e.getCode() == 429 || e.getCode() >= 500;
    }

    private static boolean tell(boolean told, String cause) {
        if (!told) {
            log.atWarn()
                    .addKeyValue("cause", cause)
                    .log("the API server is not reached; guests are looked after by what was known last, and nothing is"
                            + " made or taken away until it is");
        }
        return true;
    }

    private void pause() {
        try {
            if (over.await(ROUND.toMillis(), TimeUnit.MILLISECONDS)) {
                throw new KubernetesClientException("closed before the API server answered");
            }
        } catch (InterruptedException e) {
            throw interrupted();
        }
    }

    private static KubernetesClientException interrupted() {
        Thread.currentThread().interrupt();
        return new KubernetesClientException("interrupted before the API server answered");
    }

    void close() {
        over.countDown();
    }

    /** One round over all VMs that have a record here. */
    void play() {
        pulse.beat();
        warmth.look();
        if (warmth.blindness().isPresent()) {
            return;
        }
        for (VmRecord record : records.vms()) {
            try {
                look(record.id());
            } catch (RuntimeException e) {
                log.atError().addKeyValue("object", record.id()).setCause(e).log("not looked after; it is tried again");
            }
        }
    }

    private void look(VmId vm) {
        VmObservation seen = observer.observeVm(vm, Optional.empty());
        Plan plan = turns.admit(
                vm.uid(), planner.plan(vm, UNKNOWN, wishes.of(vm.uid()), downtimes.now(), seen, clock.instant()));
        if (plan.isEmpty()) {
            return;
        }
        Outcome outcome = applier.apply(vm.toString(), plan);
        outcome.failed()
                .ifPresent(f -> log.atWarn()
                        .addKeyValue("object", vm)
                        .addKeyValue("step", f.step().step())
                        .addKeyValue("cause", f.cause().getMessage())
                        .log("the host refused a step; it is tried again"));
        turns.settle(vm.uid(), plan, observer.observeVm(vm, Optional.empty()));
    }
}
