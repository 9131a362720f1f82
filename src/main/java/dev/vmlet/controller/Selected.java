package dev.vmlet.controller;

import io.fabric8.kubernetes.api.model.HasMetadata;
import io.javaoperatorsdk.operator.api.config.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.config.ResolvedControllerConfiguration;
import io.javaoperatorsdk.operator.api.config.informer.FieldSelectorBuilder;
import io.javaoperatorsdk.operator.api.config.informer.InformerConfiguration;
import org.jspecify.annotations.Nullable;

/**
 * A controller configuration whose primary informer has a field selector known only at run time; the framework's
 * overrider has no setter for it (5.3.2).
 */
final class Selected<P extends HasMetadata> extends ResolvedControllerConfiguration<P> {
    /** Null while the super constructor runs, which asks for it already. */
    private @Nullable InformerConfiguration<P> informer;

    Selected(ControllerConfiguration<P> base, Class<P> type, String field, String value) {
        super(base);
        InformerConfiguration<P>.Builder builder = InformerConfiguration.builder(type);
        builder.withWatchAllNamespaces()
                .withFieldSelector(
                        new FieldSelectorBuilder().withField(field, value).build());
        if (base.getInformerConfig().getOnUpdateFilter() != null) {
            builder.withOnUpdateFilter(base.getInformerConfig().getOnUpdateFilter());
        }
        this.informer = builder.buildForController();
    }

    @Override
    public InformerConfiguration<P> getInformerConfig() {
        return informer == null ? super.getInformerConfig() : informer;
    }
}
