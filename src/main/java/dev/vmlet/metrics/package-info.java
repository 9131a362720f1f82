/** What a node's agent and the controller count and measure, in the names that Prometheus' users know. */
@NullMarked
package dev.vmlet.metrics;

import org.jspecify.annotations.NullMarked;
