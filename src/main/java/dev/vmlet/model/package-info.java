/** The vocabulary: ids, names, addresses, desired and observed values, refusals. Constructors refuse nonsense. */
@NullMarked
package dev.vmlet.model;

import org.jspecify.annotations.NullMarked;
