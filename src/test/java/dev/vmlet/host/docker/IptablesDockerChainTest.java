package dev.vmlet.host.docker;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.DockerUser;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is done while iptables gives no answer, by a stand-in for it. */
class IptablesDockerChainTest {
    private static final Optional<LinkName> ETH0 = Optional.of(new LinkName("eth0"));
    private static final String LOCKED =
            "Another app is currently holding the xtables lock; still -9s 0us time ahead to have a chance to grab the lock...";

    @TempDir
    private Path dir;

    private final AtomicLong nanos = new AtomicLong();

    private IptablesDockerChain chain(String... script) throws Exception {
        Path tool = Files.writeString(
                dir.resolve("enter"),
                "#!/bin/sh\necho \"$@\" >> " + dir.resolve("calls") + "\n" + String.join("\n", script) + "\n");
        assertThat(tool.toFile().setExecutable(true)).isTrue();
        return new IptablesDockerChain(
                true, new InstallationId("dockeraa"), List.of(tool.toString()), dir.resolve("note"), nanos::get);
    }

    private List<String> calls() throws Exception {
        return Files.readAllLines(dir.resolve("calls"));
    }

    private void pass(Duration time) {
        nanos.addAndGet(time.toNanos());
    }

    /** Who tells of changes tells of those to our own tables too. */
    @Test
    void hearsOfAChangeWhileIptablesHangs() throws Exception {
        Path go = dir.resolve("go");
        IptablesDockerChain chain = chain("while [ ! -e " + go + " ]; do sleep 0.05; done", "echo '-N DOCKER-USER'");
        CompletableFuture<Seen<DockerUser>> look =
                CompletableFuture.supplyAsync(() -> chain.look(ETH0), Thread::startVirtualThread);
        try {
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(8);
            while (!Files.exists(dir.resolve("calls")) && System.nanoTime() < end) {
                Thread.onSpinWait();
            }
            assertThat(CompletableFuture.supplyAsync(chain::disturbed, Thread::startVirtualThread)
                            .get(5, TimeUnit.SECONDS))
                    .isFalse();
            assertThat(look).isNotDone();
        } finally {
            Files.createFile(go);
        }
        Seen<DockerUser> nothing = Seen.present(new DockerUser(true, false, false, false));
        assertThat(look.get(30, TimeUnit.SECONDS)).isEqualTo(nothing);
        assertThat(calls()).hasSize(1);
        // The change came while iptables read: what it said may be old.
        assertThat(chain.look(ETH0)).isEqualTo(nothing);
        assertThat(calls()).hasSize(2);
    }

    @Test
    void afterALookThatFailedItIsNotTriedAgainAtEveryChange() throws Exception {
        IptablesDockerChain chain = chain("echo '" + LOCKED + "' >&2; exit 4");
        Seen<DockerUser> failed = Seen.unknown("look at DOCKER-USER: " + LOCKED);
        assertThat(chain.look(ETH0)).isEqualTo(failed);
        for (int i = 0; i < 29; i++) {
            pass(Duration.ofSeconds(1));
            chain.disturbed();
            assertThat(chain.look(ETH0)).isEqualTo(failed);
        }
        assertThat(calls()).containsExactly("iptables -w 2 -S DOCKER-USER");
        pass(Duration.ofSeconds(1));
        assertThat(chain.look(ETH0)).isEqualTo(failed);
        assertThat(calls()).hasSize(2);
    }

    @Test
    void looksAgainAfterAChangeAndForAnotherUplink() throws Exception {
        IptablesDockerChain chain = chain("echo '-N DOCKER-USER'");
        chain.look(ETH0);
        chain.look(ETH0);
        assertThat(calls()).hasSize(1);
        pass(Duration.ofSeconds(6));
        assertThat(chain.disturbed()).isTrue();
        assertThat(chain.disturbed()).isFalse();
        chain.look(ETH0);
        chain.look(ETH0);
        assertThat(calls()).hasSize(2);
        chain.look(Optional.empty());
        assertThat(calls()).hasSize(3);
    }
}
