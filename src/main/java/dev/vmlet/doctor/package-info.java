/** What the facts about a host mean for guests on it: findings, each with its remedy. Pure; the facts come in. */
@NullMarked
package dev.vmlet.doctor;

import org.jspecify.annotations.NullMarked;
