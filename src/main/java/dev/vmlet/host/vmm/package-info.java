/** Guest processes: spawn, adopt, ask, stop. The only code that starts guests; one sub-package per VMM. */
@NullMarked
package dev.vmlet.host.vmm;

import org.jspecify.annotations.NullMarked;
