/**
 * The objects users and agents write: one class per kind, exactly as the YAML in {@code crd/} says. Records without
 * logic; every component may be null when read, since an object may be partial, older or newer than this agent.
 */
@NullMarked
package dev.vmlet.api;

import org.jspecify.annotations.NullMarked;
