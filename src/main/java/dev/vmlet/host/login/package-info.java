/** What systemd's logind tells of the host's own end. */
@NullMarked
package dev.vmlet.host.login;

import org.jspecify.annotations.NullMarked;
