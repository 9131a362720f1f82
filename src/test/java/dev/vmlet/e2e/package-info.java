/** The whole of vmlet from outside: a real API server, kubectl, agents as processes, and guests that boot. */
@NullMarked
package dev.vmlet.e2e;

import org.jspecify.annotations.NullMarked;
