package dev.vmlet.controller;

import dev.vmlet.api.CloudInit;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.model.Reason;
import dev.vmlet.model.UserData;
import io.fabric8.kubernetes.api.model.Secret;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.HttpURLConnection;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;

/**
 * Reads the Secrets that VMs name, by single GETs beside the reconcile threads: the agent needs no right to list or
 * watch Secrets. What a Secret said is read anew after a minute, and forgotten when nobody asks. Safe for use by several
 * threads.
 */
public final class UserDataReader {
    private static final Duration FRESH = Duration.ofSeconds(60);
    private static final Duration FRESH_REFUSAL = Duration.ofSeconds(5);
    /** Longer than a VM's full pass after the answer went stale. */
    private static final Duration KEPT = Duration.ofMinutes(2);

    private record Key(String vmUid, String namespace, String name, String key) {}

    private record Answer(UserData data, Instant at) {}

    private final KubernetesClient client;
    private final Clock clock;
    private final Consumer<String> wakeVm;
    private final Map<Key, Answer> answers = new ConcurrentHashMap<>();
    private final Set<Key> reading = ConcurrentHashMap.newKeySet();

    public UserDataReader(KubernetesClient client, Clock clock, Consumer<String> wakeVm) {
        this.client = client;
        this.clock = clock;
        this.wakeVm = wakeVm;
    }

    /**
     * What is known now. When that is nothing, or too old, a read begins, and the VM is woken when it told something new;
     * until then the old answer holds, so that status does not change to and fro with every look.
     */
    public UserData of(VirtualMachine vm) {
        Optional<Key> asked = key(vm);
        if (asked.isEmpty()) {
            return new UserData.NotAsked();
        }
        Key key = asked.get();
        Instant now = clock.instant();
        answers.values().removeIf(a -> isOlder(a, KEPT, now));
        Answer known = answers.get(key);
        if ((known == null || isStale(known, now)) && reading.add(key)) {
            Thread.ofVirtual().name("secret-" + vm.getMetadata().getName()).start(() -> {
                try {
                    UserData read = read(key);
                    answers.put(key, new Answer(read, clock.instant()));
                    if (known == null || !known.data.equals(read)) {
                        wakeVm.accept(key.vmUid);
                    }
                } finally {
                    reading.remove(key);
                }
            });
        }
        return known == null ? new UserData.Pending() : known.data;
    }

    /** Reads now and waits for the answer; for commands, not for reconcile threads. */
    public UserData now(VirtualMachine vm) {
        return key(vm).map(this::read).orElseGet(UserData.NotAsked::new);
    }

    private static Optional<Key> key(VirtualMachine vm) {
        CloudInit cloudInit = vm.getSpec() == null ? null : vm.getSpec().cloudInit();
        if (cloudInit == null
                || cloudInit.userDataSecretRef() == null
                || cloudInit.userDataSecretRef().name() == null) {
            return Optional.empty();
        }
        CloudInit.SecretKey ref = cloudInit.userDataSecretRef();
        return Optional.of(new Key(
                vm.getMetadata().getUid(),
                vm.getMetadata().getNamespace(),
                Objects.requireNonNull(ref.name()),
                ref.key() == null ? "userData" : ref.key()));
    }

    private static boolean isStale(Answer answer, Instant now) {
        Duration fresh = answer.data instanceof UserData.Found ? FRESH : FRESH_REFUSAL;
        return isOlder(answer, fresh, now);
    }

    private static boolean isOlder(Answer answer, Duration age, Instant now) {
        return Duration.between(answer.at, now).compareTo(age) > 0;
    }

    private UserData read(Key key) {
        String who = "Secret " + key.namespace + "/" + key.name;
        Secret secret;
        try {
            secret = client.secrets()
                    .inNamespace(key.namespace)
                    .withName(key.name)
                    .get();
        } catch (KubernetesClientException e) {
            if (e.getCode() == HttpURLConnection.HTTP_FORBIDDEN) {
                return new UserData.Refused(
                        Reason.SecretForbidden,
                        who + " cannot be read: agents may read no Secret in namespace " + key.namespace
                                + "; the operator allows it by adding " + key.namespace
                                + " to the chart's value secretNamespaces, or write spec.cloudInit.userData instead");
            }
            return new UserData.Refused(
                    Reason.SecretNotFound, who + " cannot be read (" + e.getMessage() + "); it is tried again");
        }
        if (secret == null) {
            return new UserData.Refused(
                    Reason.SecretNotFound,
                    who + ", which spec.cloudInit.userDataSecretRef names, does not exist; create it");
        }
        Optional<String> encoded = Optional.ofNullable(secret.getData()).map(d -> d.get(key.key));
        if (encoded.isEmpty()) {
            return new UserData.Refused(
                    Reason.SecretKeyMissing,
                    who + " has no key " + key.key + "; add it or set spec.cloudInit.userDataSecretRef.key");
        }
        return new UserData.Found(new String(Base64.getDecoder().decode(encoded.get()), StandardCharsets.UTF_8));
    }
}
