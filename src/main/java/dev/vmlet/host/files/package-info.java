/** What is kept on disk: records, the installation id and original forwarding flags. */
@NullMarked
package dev.vmlet.host.files;

import org.jspecify.annotations.NullMarked;
