/**
 * The network stack of one Linux network namespace: rtnetlink, taps, forwarding flags and nftables. The only package
 * that speaks their languages; what leaves it are values of {@code model} and {@code HostException}s.
 */
@NullMarked
package dev.vmlet.host.net;

import org.jspecify.annotations.NullMarked;
