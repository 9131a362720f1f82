package dev.vmlet.health;

import java.util.function.BooleanSupplier;

/**
 * One thing that must be so. Whoever reaches the port reads the words: they say what is wrong, never with what.
 *
 * @param name short, in lower case, with hyphens
 * @param failing what it means when it is not so, for people
 * @param passes answers at once, without asking anybody
 */
public record Check(String name, String failing, BooleanSupplier passes) {}
