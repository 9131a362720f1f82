package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.ResourceType;

/** The last hand on an object before it is validated and stored, at each create and update but not of status. */
public interface Admission {
    Admission NONE = (type, object) -> object;

    /**
     * @param object may be changed and returned
     * @return what to store; for any thread
     */
    ObjectNode admit(ResourceType type, ObjectNode object);
}
