package dev.vmlet.apiserver;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.apiserver.schema.Refused;
import dev.vmlet.apiserver.schema.ResourceType;

/** The last hand on an object before it is validated and stored, at each create and update but not of status. */
public interface Admission {
    Admission NONE = (type, object, occasion) -> object;

    enum Occasion {
        CREATE,
        /** What was let in once must stay changeable, if only to lose its finalizer. */
        UPDATE
    }

    /**
     * @param object may be changed and returned
     * @return what to store; for any thread
     * @throws Refused when the object must not be stored; the client reads its words
     */
    ObjectNode admit(ResourceType type, ObjectNode object, Occasion occasion) throws Refused;
}
