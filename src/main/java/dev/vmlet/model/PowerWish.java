package dev.vmlet.model;

import java.time.Duration;

/**
 * Whether a VM is to run: the part of its object that needs nothing else to be followed. A stop takes no image, Secret
 * or Network.
 *
 * @param restartToken value of the annotation that asks for a restart, empty when there is none
 */
public record PowerWish(RunStrategy runStrategy, String restartToken, Duration grace) {}
