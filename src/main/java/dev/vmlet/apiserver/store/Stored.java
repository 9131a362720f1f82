package dev.vmlet.apiserver.store;

import java.util.List;
import java.util.Map;

/** One object as it is kept: its JSON, which nobody may change, and what selectors ask about it. */
public final class Stored {
    /**
     * What is asked about many objects at once, so that they need not be read.
     *
     * @param fields what field selectors compare
     * @param owners uids of its owner references
     */
    public record Index(Map<String, String> labels, Map<String, String> fields, String uid, List<String> owners) {
        static final Index NONE = new Index(Map.of(), Map.of(), "", List.of());

        public Index {
            labels = Map.copyOf(labels);
            fields = Map.copyOf(fields);
            owners = List.copyOf(owners);
        }
    }

    private final Key key;
    private final long revision;
    private final byte[] json;
    private final Index index;

    Stored(Key key, long revision, byte[] json, Index index) {
        this.key = key;
        this.revision = revision;
        this.json = json;
        this.index = index;
    }

    public Key key() {
        return key;
    }

    /** Of the write that made it; equal to its metadata.resourceVersion. */
    public long revision() {
        return revision;
    }

    /** Not to be changed. */
    public byte[] json() {
        return json;
    }

    public Index index() {
        return index;
    }
}
