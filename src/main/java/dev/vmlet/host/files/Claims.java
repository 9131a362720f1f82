package dev.vmlet.host.files;

import com.fasterxml.jackson.databind.JsonNode;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.VmRecord;
import java.util.HashSet;
import java.util.Set;

/**
 * What a VM's record keeps from all others, each as the words a refusal uses: its user id, and the addresses and MACs
 * on each of its networks.
 */
record Claims(Set<String> things) {
    Claims {
        things = Set.copyOf(things);
    }

    static Claims of(VmRecord record) {
        Set<String> things = new HashSet<>();
        things.add(user(record.userId()));
        for (DesiredNic nic : record.nics()) {
            things.add(address(nic.ip().toString(), nic.network().uid()));
            things.add(mac(nic.mac().value(), nic.network().uid()));
        }
        return new Claims(things);
    }

    /** As much as can be made out in a record of a newer version or with a field missing. */
    static Claims read(JsonNode record) {
        Set<String> things = new HashSet<>();
        if (record.path("userId").isInt()) {
            things.add(user(record.path("userId").asInt()));
        }
        for (JsonNode nic : record.path("nics")) {
            String network = nic.path("network").path("uid").asText();
            things.add(address(nic.path("ip").asText(), network));
            things.add(mac(nic.path("mac").asText(), network));
        }
        return new Claims(things);
    }

    private static String user(int userId) {
        return "user id " + userId;
    }

    private static String address(String ip, String networkUid) {
        return "address " + ip + " of Network uid " + networkUid;
    }

    private static String mac(String mac, String networkUid) {
        return "MAC address " + mac + " of Network uid " + networkUid;
    }

    /** One thing that both claim; empty when there is none. */
    String clash(Claims other) {
        return things.stream()
                .filter(other.things::contains)
                .sorted()
                .findFirst()
                .orElse("");
    }
}
