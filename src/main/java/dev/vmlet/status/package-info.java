/** Resolution, plan, outcome, observation and time into status and conditions. */
@NullMarked
package dev.vmlet.status;

import org.jspecify.annotations.NullMarked;
