package dev.vmlet.api;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** The string is a moment in RFC 3339, in UTC ({@code format: date-time}), for example {@code 2026-01-31T08:15:00Z}. */
@Target(ElementType.FIELD)
@Retention(RetentionPolicy.RUNTIME)
@interface Timestamp {}
