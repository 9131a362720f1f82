/** The doors to the machine, the observer that looks through them and the applier that acts through them. */
@NullMarked
package dev.vmlet.host;

import org.jspecify.annotations.NullMarked;
