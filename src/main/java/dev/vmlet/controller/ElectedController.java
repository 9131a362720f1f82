package dev.vmlet.controller;

import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.time.Clock;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The cluster's role in one of several processes: stands by until it is elected, and acts from then on. */
public final class ElectedController implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ElectedController.class);

    private final Election election;
    private final Function<Interceptor, KubernetesClient> clients;
    private final Function<KubernetesClient, ClusterController> roles;
    private final Consumer<String> deposed;

    /** Guarded by this. */
    private boolean closed;

    private @Nullable KubernetesClient client;
    private @Nullable ClusterController controller;
    private volatile boolean acting;

    /**
     * @param electing talks to the API server about the Lease and nothing else
     * @param identity tells this process from all others, also from one before it in the same pod
     * @param clients makes the client that the role acts with; what it is given has to stand between the two
     * @param roles makes the role, stopped
     * @param deposed has to end the process at once, with the reason for the log: another may act already
     */
    public ElectedController(
            KubernetesClient electing,
            String identity,
            Function<Interceptor, KubernetesClient> clients,
            Function<KubernetesClient, ClusterController> roles,
            Consumer<String> deposed,
            Clock clock) {
        this(electing, identity, Election.Times.USUAL, clients, roles, deposed, clock);
    }

    ElectedController(
            KubernetesClient electing,
            String identity,
            Election.Times times,
            Function<Interceptor, KubernetesClient> clients,
            Function<KubernetesClient, ClusterController> roles,
            Consumer<String> deposed,
            Clock clock) {
        this.clients = clients;
        this.roles = roles;
        this.deposed = deposed;
        this.election = new Election(
                electing,
                identity,
                times,
                new Election.Candidate() {
                    @Override
                    public void elected() {
                        act();
                    }

                    @Override
                    public void deposed(String why) {
                        deposed.accept(why);
                    }
                },
                clock);
    }

    public void start() {
        election.start();
    }

    private void act() {
        try {
            ClusterController role;
            synchronized (this) {
                if (closed) {
                    return;
                }
                client = clients.apply(new Fence(election::leads));
                role = roles.apply(client);
                controller = role;
            }
            role.start();
            acting = true;
            log.atInfo().log("controller acts");
        } catch (RuntimeException e) {
            synchronized (this) {
                if (closed) {
                    return;
                }
            }
            // The next one, or this one started again, may fare better; a leader that does nothing is no use.
            log.atError().setCause(e).log("the controller did not start");
            deposed.accept("it was elected and could not start: " + e.getMessage());
        }
    }

    /** Whether this process is the one that acts. */
    public boolean leads() {
        return election.leads();
    }

    /** Whether the election goes on, with or without an API server. */
    public boolean isAlive() {
        return election.isTurning();
    }

    /** Whether it acts, or knows who does and stands by. */
    public boolean isReady() {
        return election.isInformed() && (acting || !election.leads());
    }

    /** Ends acting first, and then lets the next one begin. */
    @Override
    public void close() {
        ClusterController role;
        KubernetesClient with;
        synchronized (this) {
            closed = true;
            role = controller;
            with = client;
        }
        if (role != null) {
            role.close();
        }
        election.close();
        if (with != null) {
            with.close();
        }
    }
}
