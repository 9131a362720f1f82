/** Everything that knows cloud-hypervisor: its command line, its REST API and its event file. */
@NullMarked
package dev.vmlet.host.vmm.cloudhypervisor;

import org.jspecify.annotations.NullMarked;
