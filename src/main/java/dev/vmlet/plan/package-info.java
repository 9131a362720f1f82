/** Desired and observed values into a plan; no input, output, clock or chance. */
@NullMarked
package dev.vmlet.plan;

import org.jspecify.annotations.NullMarked;
