/** Everything that knows QEMU: its command line and its monitor protocol. */
@NullMarked
package dev.vmlet.host.vmm.qemu;

import org.jspecify.annotations.NullMarked;
