/** Readiness probes. */
@NullMarked
package dev.vmlet.host.probe;

import org.jspecify.annotations.NullMarked;
