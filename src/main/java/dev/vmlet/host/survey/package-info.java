/** Gathers the facts about this host that {@link dev.vmlet.doctor} judges. Looks only; what it tries leaves nothing. */
@NullMarked
package dev.vmlet.host.survey;

import org.jspecify.annotations.NullMarked;
