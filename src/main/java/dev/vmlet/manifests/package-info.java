/** Objects from a directory of files, in place of a person with kubectl. */
@NullMarked
package dev.vmlet.manifests;

import org.jspecify.annotations.NullMarked;
