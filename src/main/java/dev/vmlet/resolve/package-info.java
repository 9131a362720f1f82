/** API objects and their references into desired values, or the reason why not. */
@NullMarked
package dev.vmlet.resolve;

import org.jspecify.annotations.NullMarked;
