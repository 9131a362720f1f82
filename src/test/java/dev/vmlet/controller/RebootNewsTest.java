package dev.vmlet.controller;

import static org.assertj.core.api.Assertions.assertThat;

import dev.vmlet.model.GuestProcess;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.Reach;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Tampering;
import dev.vmlet.model.VmObservation;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class RebootNewsTest {
    private final RebootNews news = new RebootNews();

    private Optional<String> see(Seen<GuestProcess> process, int reboots) {
        return news.of(
                "vm-1",
                new VmObservation(
                        Seen.missing(),
                        Map.of(),
                        Seen.present(Map.of()),
                        Map.of(),
                        Seen.missing(),
                        process,
                        Seen.present(Tampering.NONE),
                        new GuestState(GuestState.Kind.RUNNING, false, "1.0", reboots),
                        Reach.OPEN,
                        Seen.present(true)));
    }

    private Optional<String> see(int pid, int reboots) {
        return see(Seen.present(new GuestProcess.Alive(pid, pid * 7L)), reboots);
    }

    @Test
    void tellsEachRebootOnce() {
        assertThat(see(4711, 0)).isEmpty();
        assertThat(see(4711, 1))
                .contains(
                        "the guest restarted itself; its VMM, process 4711, runs on, so this counts as no restart, and a"
                                + " change that waits goes on waiting");
        assertThat(see(4711, 1)).isEmpty();
        assertThat(see(4711, 4))
                .hasValueSatisfying(text -> assertThat(text).startsWith("the guest restarted itself 3 times"));
    }

    @Test
    void whatAnAgentFindsAtItsStartIsToldAlready() {
        assertThat(see(4711, 7)).isEmpty();
        assertThat(see(4711, 8)).isPresent();
    }

    @Test
    void anotherProcessIsARestartAndNoReboot() {
        assertThat(see(4711, 3)).isEmpty();
        assertThat(see(4712, 0)).isEmpty();
        assertThat(see(4712, 1)).isPresent();
        assertThat(see(Seen.missing(), 0)).isEmpty();
        assertThat(see(4712, 5)).as("seen for the first time again").isEmpty();
    }

    @Test
    void aVmmThatIsBusyOrCannotBeSeenMakesNothingNew() {
        assertThat(see(4711, 2)).isEmpty();
        assertThat(see(4711, 0)).isEmpty();
        assertThat(see(Seen.unknown("busy"), 0)).isEmpty();
        assertThat(see(4711, 2)).as("as before").isEmpty();
        assertThat(see(4711, 3)).isPresent();
    }
}
