/** Reconcilers, event sources, finalizers, retry, the sweep's timer. */
@NullMarked
package dev.vmlet.controller;

import org.jspecify.annotations.NullMarked;
