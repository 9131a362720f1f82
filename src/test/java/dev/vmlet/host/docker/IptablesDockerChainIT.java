package dev.vmlet.host.docker;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.host.net.OwnNamespace;
import dev.vmlet.model.DockerUser;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is put into Docker's chain and taken out of it, beside the rules of others. */
class IptablesDockerChainIT {
    private static final InstallationId OURS = new InstallationId("dockeraa");
    private static final InstallationId OTHERS = new InstallationId("dockerbb");
    private static final LinkName ETH0 = new LinkName("eth0");
    private static final LinkName ETH1 = new LinkName("eth1");
    private static final String OUR_RULES = """
            -A DOCKER-USER -i vmb-+ -o eth0 -m comment --comment "vmlet:dockeraa" -j ACCEPT
            -A DOCKER-USER -i eth0 -o vmb-+ -m comment --comment "vmlet:dockeraa" -j ACCEPT
            -A DOCKER-USER -i vmb-+ -o vmb-+ -m comment --comment "vmlet:dockeraa" -j ACCEPT
            """;
    private static final String DOCKERS = "-N DOCKER-USER\n";
    private static final String DROP = "-A DOCKER-USER -s 198.51.100.0/24 -j DROP\n";
    private static final String BACK = """
            -A DOCKER-USER -m comment --comment "vmlet:dockeraa and not ours" -j RETURN
            -A DOCKER-USER -j RETURN
            """;
    private static final String THEIRS = DROP + BACK;
    private static final String ALL = DOCKERS + DROP + OUR_RULES + BACK;

    @TempDir
    private Path dir;

    private IptablesDockerChain chain;

    @BeforeEach
    void docker() throws Exception {
        OwnNamespace.require();
        sh("iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER;"
                + " iptables -A DOCKER-USER -s 198.51.100.0/24 -j DROP;"
                + " iptables -A DOCKER-USER -m comment --comment 'vmlet:dockeraa and not ours' -j RETURN;"
                + " iptables -A DOCKER-USER -j RETURN");
        chain = chain(true, OURS);
    }

    @AfterEach
    void clear() throws Exception {
        if (OwnNamespace.isPrivate()) {
            sh("nft add table ip filter; nft delete table ip filter");
        }
    }

    private IptablesDockerChain chain(boolean asked, InstallationId installation) {
        return new IptablesDockerChain(
                asked, installation, List.of(), dir.resolve("docker-user-" + installation), System::nanoTime);
    }

    private static void sh(String commands) throws Exception {
        OwnNamespace.run("sh", "-ec", commands);
    }

    private static String rules() throws Exception {
        Process process = new ProcessBuilder("iptables", "-S", "DOCKER-USER").start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(10, TimeUnit.SECONDS)).isTrue();
        return output;
    }

    @Test
    void putsItsRulesBehindThoseOfOthersAndTakesThemOutAgain() throws Exception {
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, false, false, false)));
        chain.accept(ETH0);
        assertThat(rules()).isEqualTo(ALL);
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, true, true, true)));
        chain.accept(ETH0);
        assertThat(rules()).isEqualTo(ALL);
        chain.withdraw();
        assertThat(rules()).isEqualTo(DOCKERS + THEIRS);
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, false, false, false)));
        assertThat(dir).isEmptyDirectory();
    }

    @Test
    void aChainThatNothingEndsGetsThemLast() throws Exception {
        sh("iptables -F DOCKER-USER; iptables -A DOCKER-USER -s 198.51.100.0/24 -j DROP");
        chain.accept(ETH0);
        assertThat(rules()).isEqualTo(DOCKERS + DROP + OUR_RULES);
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, true, true, true)));
    }

    @Test
    void followsTheUplinkAndWithoutOneLeavesThemThere() throws Exception {
        chain.accept(ETH1);
        assertThat(chain.look(Optional.of(ETH1))).isEqualTo(Seen.present(new DockerUser(true, true, true, true)));
        assertThat(chain.look(Optional.empty())).isEqualTo(Seen.present(new DockerUser(true, true, false, true)));
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, true, false, true)));
        chain.accept(ETH0);
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, true, true, true)));
        assertThat(rules().lines().sorted().toList())
                .isEqualTo(ALL.lines().sorted().toList());
    }

    @Test
    void movesRulesOfItsOwnThatNothingComesBy() throws Exception {
        chain.accept(ETH0);
        sh("iptables -I DOCKER-USER 2 -j RETURN; iptables -A DOCKER-USER -i vmb-+ -o eth0 -m comment --comment"
                + " vmlet:dockeraa -j ACCEPT");
        assertThat(chain.disturbed()).isFalse();
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, true, false, true)));
        chain.accept(ETH0);
        assertThat(rules()).isEqualTo(DOCKERS + DROP + OUR_RULES + "-A DOCKER-USER -j RETURN\n" + BACK);
    }

    /** What an agent before this one put at the chain's head, and what opened every container to guests. */
    @Test
    void takesOutItsOwnWiderRules() throws Exception {
        chain.accept(ETH0);
        sh("iptables -I DOCKER-USER -i vmb-+ -m comment --comment vmlet:dockeraa -j ACCEPT");
        assertThat(chain.disturbed()).isFalse();
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, true, false, true)));
        chain.accept(ETH0);
        assertThat(rules()).isEqualTo(ALL);
    }

    @Test
    void makesUpForARuleThatIsGone() throws Exception {
        chain.accept(ETH0);
        sh("iptables -D DOCKER-USER -i vmb-+ -o eth0 -m comment --comment vmlet:dockeraa -j ACCEPT");
        assertThat(chain.disturbed()).isFalse();
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(true, true, false, true)));
        chain.accept(ETH0);
        assertThat(rules().lines().sorted().toList())
                .isEqualTo(ALL.lines().sorted().toList());
    }

    @Test
    void findsItsRulesWithoutBeingAskedForThem() throws Exception {
        chain.accept(ETH0);
        IptablesDockerChain unasked = chain(false, OURS);
        assertThat(unasked.look(Optional.of(ETH0))).isEqualTo(Seen.present(new DockerUser(false, true, true, true)));
        unasked.withdraw();
        assertThat(rules()).isEqualTo(DOCKERS + THEIRS);
        assertThat(unasked.look(Optional.of(ETH0))).isEqualTo(Seen.missing());
    }

    @Test
    void leavesThoseOfAnotherInstallationAlone() throws Exception {
        IptablesDockerChain others = chain(true, OTHERS);
        others.accept(ETH0);
        String theirs = rules();
        chain.accept(ETH0);
        assertThat(rules()).isNotEqualTo(theirs);
        chain.withdraw();
        assertThat(rules()).isEqualTo(theirs);
    }

    @Test
    void takesOutEveryRuleWithItsMarkHoweverItCameThere() throws Exception {
        chain.accept(ETH0);
        sh("iptables -A DOCKER-USER -s 192.0.2.7/32 -m comment --comment vmlet:dockeraa -j DROP");
        chain.withdraw();
        assertThat(rules()).isEqualTo(DOCKERS + THEIRS);
    }

    @Test
    void aChainThatIsNotThereIsNotMade() throws Exception {
        sh("iptables -F FORWARD; iptables -F DOCKER-USER; iptables -X DOCKER-USER");
        assertThat(chain.look(Optional.of(ETH0))).isEqualTo(Seen.missing());
        assertThatThrownBy(() -> chain.accept(ETH0))
                .isInstanceOf(HostException.Refused.class)
                .hasMessageContaining("the chain is gone");
        chain.withdraw();
        assertThat(rules()).isEmpty();
        assertThat(dir).isEmptyDirectory();
    }

    @Test
    void readsARuleAsIptablesWroteIt() {
        assertThat(IptablesDockerChain.words(
                        "DOCKER-USER ! -s 192.0.2.0/24 -m comment --comment \"a \\\"b\\\" c\" -j DROP"))
                .containsExactly(
                        "DOCKER-USER",
                        "!",
                        "-s",
                        "192.0.2.0/24",
                        "-m",
                        "comment",
                        "--comment",
                        "a \"b\" c",
                        "-j",
                        "DROP");
    }

    @Test
    void runsNothingWhereNobodyAskedAndNothingWasMade() {
        IptablesDockerChain unasked =
                new IptablesDockerChain(false, OURS, List.of("/does/not/exist"), dir.resolve("note"), System::nanoTime);
        assertThat(unasked.look(Optional.of(ETH0))).isEqualTo(Seen.missing());
    }

    @Test
    void saysThatTheToolIsMissing() throws Exception {
        Path none = Files.writeString(dir.resolve("enter"), "#!/bin/sh\nexit 127\n");
        assertThat(none.toFile().setExecutable(true)).isTrue();
        IptablesDockerChain without =
                new IptablesDockerChain(true, OURS, List.of(none.toString()), dir.resolve("note"), System::nanoTime);
        assertThat(without.look(Optional.of(ETH0)))
                .isEqualTo(Seen.unknown("look at DOCKER-USER: --manage-docker-user needs iptables on this host: apt-get"
                        + " install iptables"));
    }
}
