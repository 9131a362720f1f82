/** The guests' serial consoles for people: who is joined, who writes, and their end of the line. */
@NullMarked
package dev.vmlet.host.console;

import org.jspecify.annotations.NullMarked;
