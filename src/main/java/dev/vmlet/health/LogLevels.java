package dev.vmlet.health;

/** How much is logged, changed while the process runs. Implementations are safe for use by several threads. */
public interface LogLevels {
    String level();

    /**
     * @param asked ERROR, WARN, INFO, DEBUG or TRACE, in any case
     * @throws IllegalArgumentException with a sentence for whoever asked
     */
    void set(String asked);
}
