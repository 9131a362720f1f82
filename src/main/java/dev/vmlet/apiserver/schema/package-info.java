/**
 * What the embedded API server knows about the shape of objects: which kinds there are, what is pruned, filled in and
 * refused, who manages which field, how patches, tables and OpenAPI documents look. Everything here is a function of its
 * arguments; HTTP, storage and watches are the server's.
 */
@NullMarked
package dev.vmlet.apiserver.schema;

import org.jspecify.annotations.NullMarked;
