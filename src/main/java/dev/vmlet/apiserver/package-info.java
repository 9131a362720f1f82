/**
 * The API server of {@code vmlet standalone}: what kubectl, java-operator-sdk and fabric8 need of Kubernetes, for one
 * machine. {@link dev.vmlet.apiserver.ApiServer} is the way in; {@code Front} takes requests, {@code Reads} and
 * {@code Writes} answer them from the store, {@code WatchStream} tells changes, {@code Housekeeping} does what
 * kube-controller-manager does for namespaces, owner references and old Events.
 */
@NullMarked
package dev.vmlet.apiserver;

import org.jspecify.annotations.NullMarked;
