/** Images, disks, boot files and seeds: the only code that fetches, converts and clones. */
@NullMarked
package dev.vmlet.host.disk;

import org.jspecify.annotations.NullMarked;
