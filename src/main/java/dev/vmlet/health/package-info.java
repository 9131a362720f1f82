/** The door through which a supervisor asks whether this process lives and is ready, and a collector for its figures. */
@NullMarked
package dev.vmlet.health;

import org.jspecify.annotations.NullMarked;
