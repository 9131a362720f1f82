package dev.vmlet.model;

import java.time.Duration;

/** How a guest shows that it is ready. */
public sealed interface Readiness {
    record TcpPort(int port, Duration timeout) implements Readiness {}

    record None() implements Readiness {}
}
