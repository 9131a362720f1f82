package dev.vmlet.host.files;

import com.fasterxml.jackson.databind.JsonNode;
import dev.vmlet.model.DesiredNic;
import dev.vmlet.model.Reservation;
import dev.vmlet.model.VmRecord;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a VM's record keeps from all others, each as the words a refusal uses: its user id, and the addresses and MACs
 * on each of its networks.
 */
record Claims(Set<String> things) {
    static final Claims NONE = new Claims(Set.of());

    Claims {
        things = Set.copyOf(things);
    }

    static Claims of(VmRecord record) {
        Set<String> things = new HashSet<>();
        things.add(user(record.userId()));
        for (DesiredNic nic : record.nics()) {
            if (nic.isOnExistingBridge()) {
                // Several Networks may be on one LAN.
                if (!nic.usesDhcp()) {
                    things.add("address " + nic.ip() + " of the LANs of this node");
                }
                things.add("MAC address " + nic.mac() + " of bridge " + nic.bridge());
            } else {
                things.add(address(nic.ip().toString(), nic.network().uid()));
                things.add(mac(nic.mac().value(), nic.network().uid()));
            }
            nic.ports().forEach(port -> things.add(hostPort(port.host().toString())));
        }
        return new Claims(things);
    }

    static Claims of(Reservation reservation) {
        Set<String> things = new HashSet<>();
        reservation.userId().ifPresent(id -> things.add(user(id)));
        for (Reservation.Nic nic : reservation.nics()) {
            things.add(address(nic.ip(), nic.networkUid()));
            things.add(mac(nic.mac(), nic.networkUid()));
            nic.hostPorts().forEach(port -> things.add(hostPort(port)));
        }
        return new Claims(things);
    }

    /** As much as can be made out in a record of a newer version, with a field missing, or torn; null for no JSON. */
    static Reservation reservation(String vmUid, String file, String trouble, @Nullable JsonNode record) {
        if (record == null) {
            return new Reservation(vmUid, file, trouble, OptionalInt.empty(), List.of(), false);
        }
        JsonNode userId = record.path("userId");
        List<Reservation.Nic> nics = new ArrayList<>();
        boolean complete = userId.isInt() && record.path("nics").isArray();
        for (JsonNode nic : record.path("nics")) {
            JsonNode network = nic.path("network").path("uid");
            complete &= network.isTextual()
                    && nic.path("ip").isTextual()
                    && nic.path("mac").isTextual();
            List<String> hostPorts = new ArrayList<>();
            for (JsonNode port : nic.path("ports")) {
                JsonNode host = port.path("host");
                hostPorts.add(host.path("protocol").asText().toLowerCase(Locale.ROOT) + "/"
                        + host.path("port").asText());
            }
            nics.add(new Reservation.Nic(
                    network.asText(), nic.path("ip").asText(), nic.path("mac").asText(), hostPorts));
        }
        return new Reservation(
                vmUid,
                file,
                trouble,
                userId.isInt() ? OptionalInt.of(userId.asInt()) : OptionalInt.empty(),
                nics,
                complete);
    }

    /**
     * The same of a record that was damaged. Nothing in it can be relied on alone: one digit may be another, so nobody can
     * tell which addresses are free before it is rebuilt.
     *
     * @param owner of the VM's files
     */
    static Reservation ofDamaged(
            String vmUid, String file, String trouble, @Nullable JsonNode record, OptionalInt owner) {
        Reservation told = reservation(vmUid, file, trouble, record);
        boolean agree =
                told.userId().isEmpty() || owner.isEmpty() || told.userId().equals(owner);
        OptionalInt userId = told.userId().isPresent() ? told.userId() : owner;
        return new Reservation(vmUid, file, trouble, agree ? userId : OptionalInt.empty(), told.nics(), false, true);
    }

    Claims without(Claims others) {
        Set<String> left = new HashSet<>(things);
        left.removeAll(others.things);
        return new Claims(left);
    }

    private static String user(int userId) {
        return "user id " + userId;
    }

    private static String hostPort(String port) {
        return "host port " + port;
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
