package dev.vmlet.api;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * The list is a map keyed by this field of its items ({@code x-kubernetes-list-type: map}): the API server refuses two
 * items with one key, server-side apply merges item by item, and validation rules compare an item with its older self.
 */
@Target(ElementType.FIELD)
@Retention(RetentionPolicy.RUNTIME)
@interface ListMapKey {
    String value();
}
