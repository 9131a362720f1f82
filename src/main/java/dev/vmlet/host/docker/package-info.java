/** Rules of ours in Docker's own firewall, on demand; the only code that writes to a table that is not ours. */
@NullMarked
package dev.vmlet.host.docker;

import org.jspecify.annotations.NullMarked;
