/**
 * Objects by key, in memory and durable on disk: one file of checksummed records, group commit, revisions that only go
 * up, and the recent changes for those who watch. Knows bytes and names, not kinds.
 */
@NullMarked
package dev.vmlet.apiserver.store;

import org.jspecify.annotations.NullMarked;
