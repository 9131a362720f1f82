package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import dev.vmlet.host.Applier;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

/**
 * Laws 1, 3, 4, 5, 6 and 8 of the house under random histories: users editing, guests dying, somebody deleting links by
 * hand, looks and steps failing, the agent dying between any two steps, the host rebooting. A failure prints its seed;
 * {@code -Dvmlet.seed=N} tells that history alone, {@code -Dvmlet.seeds=N} asks for more of them.
 */
class PlanPropertiesTest {
    private static final int SEEDS = Integer.getInteger("vmlet.seeds", 2_000);

    /** Half a million log lines would be most of the work. */
    @BeforeAll
    static void beQuiet() {
        ((Logger) LoggerFactory.getLogger(Applier.class)).setLevel(Level.OFF);
    }

    @AfterAll
    static void speakAgain() {
        ((Logger) LoggerFactory.getLogger(Applier.class)).setLevel(null);
    }

    @Test
    void everyHistoryEndsAsTheObjectsSay() {
        Integer only = Integer.getInteger("vmlet.seed");
        long steps = 0;
        long deaths = 0;
        long passes = 0;
        for (int seed = only == null ? 0 : only; only == null ? seed < SEEDS : seed == only; seed++) {
            World world = live(seed, only != null);
            steps += world.steps;
            deaths += world.deaths;
            passes += world.passes;
        }
        System.out.printf("%d seeds, %d passes, %d steps, %d deaths of the agent%n", SEEDS, passes, steps, deaths);
        assertThat(steps).isPositive();
    }

    private static World live(int seed, boolean tell) {
        SplittableRandom random = new SplittableRandom(seed);
        World world = new World(random);
        world.tell = tell;
        try {
            new History(world, random).live();
        } catch (AssertionError | RuntimeException e) {
            throw new AssertionError("seed " + seed + ": " + e.getMessage() + "\n" + world.story, e);
        }
        return world;
    }
}
