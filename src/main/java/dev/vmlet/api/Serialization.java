package dev.vmlet.api;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;

/** How objects of the API are read and written. */
public final class Serialization {
    private Serialization() {}

    /**
     * A serialization that reads objects newer than this program: an unknown field is skipped, an unknown enum constant
     * becomes null. Such a null means "unknown", never "default".
     *
     * <p>Every client needs it. With fabric8's own settings one object that cannot be read fails the informer's list,
     * and no object at all is reconciled until somebody deletes it.
     */
    public static KubernetesSerialization lenient() {
        ObjectMapper mapper = new ObjectMapper();
        KubernetesSerialization serialization = new KubernetesSerialization(mapper, false);
        // After the constructor, which configures the mapper to fabric8's liking.
        mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
        mapper.configure(DeserializationFeature.READ_UNKNOWN_ENUM_VALUES_AS_NULL, true);
        // What a watch says when it cannot go on, by its kind: the only one of these that is not asked for by its
        // class. As
        // anything else it would not be understood, and a watch whose history is gone begun again at the same place for
        // ever.
        serialization.registerKubernetesResource(Status.class);
        return serialization;
    }
}
