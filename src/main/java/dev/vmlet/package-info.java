/** Wiring: configuration, start, stop; the only place that picks the real host. */
@NullMarked
package dev.vmlet;

import org.jspecify.annotations.NullMarked;
