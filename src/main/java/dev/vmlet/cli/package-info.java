/** The commands a person types. */
@NullMarked
package dev.vmlet.cli;

import org.jspecify.annotations.NullMarked;
