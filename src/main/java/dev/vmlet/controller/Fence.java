package dev.vmlet.controller;

import io.fabric8.kubernetes.client.http.BasicBuilder;
import io.fabric8.kubernetes.client.http.HttpRequest;
import io.fabric8.kubernetes.client.http.Interceptor;
import java.util.function.BooleanSupplier;

/**
 * Lets no write through to the API server that its process has no right to any more. A process that was stopped for a
 * minute, and then goes on in the middle of a reconcile, meets it before anything else notices.
 */
final class Fence implements Interceptor {
    private final BooleanSupplier open;

    Fence(BooleanSupplier open) {
        this.open = open;
    }

    @Override
    public void before(BasicBuilder builder, HttpRequest request, RequestTags tags) {
        if (!request.method().equals("GET") && !open.getAsBoolean()) {
            throw new IllegalStateException(
                    request.method() + " " + request.uri().getPath() + " was not sent: this controller leads no more");
        }
    }
}
