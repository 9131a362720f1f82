package dev.vmlet.resolve;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLGenerator;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import dev.vmlet.api.CloudInit;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.model.HostNames;
import dev.vmlet.model.Reason;
import dev.vmlet.model.Seed;
import dev.vmlet.model.UserData;
import dev.vmlet.model.VmId;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The NoCloud documents of a VM (cloud-init's DataSourceNoCloud and network-config version 2).
 *
 * <p>Learnt in the field: the default route is spelled {@code 0.0.0.0/0}, because Debian 11's cloud-init makes a bogus
 * /24 of {@code default}; MACs are quoted, because YAML reads {@code 12:40:…} as a number of base 60; the instance-id
 * changes with the addresses, because cloud-init ignores a changed network-config otherwise.
 */
final class SeedText {
    private static final YAMLMapper YAML = YAMLMapper.builder(YAMLFactory.builder()
                    .disable(YAMLGenerator.Feature.WRITE_DOC_START_MARKER)
                    .disable(YAMLGenerator.Feature.SPLIT_LINES)
                    .build())
            .build();

    /** Between the parts of a multi-part document; no line of ours or of a sane script looks like it. */
    private static final String BOUNDARY = "==vmlet-user-data==";

    private SeedText() {}

    static Seed seed(VmId vm, VirtualMachineSpec spec, List<NicResolver.Nic> nics, UserData fromSecret) throws Refusal {
        String addresses = nics.stream()
                .map(nic -> nic.desired().mac() + "="
                        + nic.prefix()
                                .map(prefix -> nic.desired().ip() + "/" + prefix.length())
                                .orElse("dhcp"))
                .collect(Collectors.joining(","));
        ObjectNode metaData = YAML.createObjectNode();
        metaData.put(
                "instance-id",
                "vmlet-" + vm.uid() + "-" + HostNames.fingerprint(addresses).substring(0, 8));
        metaData.put("local-hostname", vm.name());
        return new Seed(print(metaData), userData(vm, spec, fromSecret), networkConfig(nics));
    }

    private static String networkConfig(List<NicResolver.Nic> nics) {
        ObjectNode config = YAML.createObjectNode();
        config.put("version", 2);
        ObjectNode ethernets = config.putObject("ethernets");
        boolean first = true;
        for (NicResolver.Nic nic : nics) {
            ObjectNode ethernet = ethernets.putObject(nic.desired().network().name());
            ethernet.putObject("match").put("macaddress", nic.desired().mac().value());
            ethernet.put("dhcp4", nic.prefix().isEmpty());
            nic.prefix()
                    .ifPresent(prefix ->
                            ethernet.putArray("addresses").add(nic.desired().ip() + "/" + prefix.length()));
            // One default route: the first Network's.
            if (first && nic.gateway().isPresent()) {
                ethernet.putArray("routes")
                        .addObject()
                        .put("to", "0.0.0.0/0")
                        .put("via", nic.gateway().get().toString());
            }
            if (nic.prefix().isEmpty()) {
                // Else by /etc/machine-id, which images come with: two guests of one image would get one address.
                ethernet.put("dhcp-identifier", "mac");
                if (!first) {
                    ethernet.putObject("dhcp4-overrides").put("use-routes", false);
                }
            }
            if (nic.desired().isOnExistingBridge()) {
                // The LAN's routers offer IPv6, and what the guest sends by it is dropped.
                ethernet.put("accept-ra", false);
            }
            if (!nic.nameservers().isEmpty()) {
                ArrayNode servers = ethernet.putObject("nameservers").putArray("addresses");
                nic.nameservers().forEach(servers::add);
            }
            ethernet.put("mtu", nic.desired().mtu());
            first = false;
        }
        return print(config);
    }

    private static String userData(VmId vm, VirtualMachineSpec spec, UserData fromSecret) throws Refusal {
        CloudInit asked = spec.cloudInit();
        List<String> keys = asked == null || asked.sshAuthorizedKeys() == null ? List.of() : asked.sshAuthorizedKeys();
        String own = switch (fromSecret) {
            case UserData.Found(String text) -> text;
            case UserData.NotAsked _ -> asked == null || asked.userData() == null ? "" : asked.userData();
            case UserData.Pending _ -> throw new Refusal(Reason.WaitingForSecret, Reason.WaitingForSecret.sentence());
            case UserData.Refused(Reason reason, String message) -> throw new Refusal(reason, message);
        };
        ObjectNode base = YAML.createObjectNode();
        base.put("hostname", vm.name());
        base.put("preserve_hostname", false);
        // The root partition grows to the disk's size at every boot; both are cloud-init's defaults, said aloud.
        base.putObject("growpart").put("mode", "auto").putArray("devices").add("/");
        base.put("resize_rootfs", true);
        if (own.isBlank()) {
            addKeys(base, keys);
            return "#cloud-config\n" + print(base);
        }
        if (own.startsWith("#!")) {
            addKeys(base, keys);
            return multipart("#cloud-config\n" + print(base), own);
        }
        if (own.lines().findFirst().orElse("").strip().equals("#cloud-config")) {
            return "#cloud-config\n" + print(merge(base, parse(own), keys));
        }
        throw new Refusal(
                Reason.UserDataInvalid,
                "the user data must begin with the line #cloud-config, or with #! for a script; it begins with "
                        + own.lines()
                                .findFirst()
                                .orElse("")
                                .codePoints()
                                .limit(20)
                                .count() + " other characters");
    }

    /** The user's own words win, but for keys, which add up. */
    private static ObjectNode merge(ObjectNode base, ObjectNode own, List<String> keys) {
        ObjectNode merged = base.deepCopy();
        merged.setAll(own);
        Set<String> all = new LinkedHashSet<>(keys);
        if (own.get("ssh_authorized_keys") instanceof ArrayNode listed) {
            listed.forEach(key -> all.add(key.asText()));
        }
        addKeys(merged, List.copyOf(all));
        return merged;
    }

    private static void addKeys(ObjectNode document, List<String> keys) {
        if (!keys.isEmpty()) {
            ArrayNode list = document.putArray("ssh_authorized_keys");
            keys.forEach(list::add);
        }
    }

    private static ObjectNode parse(String text) throws Refusal {
        JsonNode parsed;
        try {
            parsed = YAML.readTree(text);
        } catch (JsonProcessingException e) {
            // The original message quotes the document, which may hold secrets: only the place is told.
            String where = e.getLocation() == null
                    ? ""
                    : " at line " + e.getLocation().getLineNr() + ", column "
                            + e.getLocation().getColumnNr();
            throw new Refusal(Reason.UserDataInvalid, "the user data is not valid YAML" + where + "; correct it");
        }
        if (hasAlias(text)) {
            throw new Refusal(
                    Reason.UserDataInvalid,
                    "the user data refers to a YAML anchor (*name), which is not supported; write the value out");
        }
        if (parsed == null || parsed.isNull() || parsed.isMissingNode()) {
            return YAML.createObjectNode();
        }
        if (parsed instanceof ObjectNode mapping) {
            return mapping;
        }
        throw new Refusal(
                Reason.UserDataInvalid,
                "the user data must be a mapping of cloud-config keys, such as 'packages: [...]'");
    }

    /** A tree of JSON has no aliases: one would be read as the anchor's name, and the guest would get that. */
    private static boolean hasAlias(String text) {
        try (YAMLParser parser = YAML.getFactory().createParser(text)) {
            while (parser.nextToken() != null) {
                if (parser.isCurrentAlias()) {
                    return true;
                }
            }
            return false;
        } catch (Exception e) {
            throw new IllegalStateException("the text was just read as a tree", e);
        }
    }

    private static String multipart(String cloudConfig, String script) {
        return "Content-Type: multipart/mixed; boundary=\"" + BOUNDARY + "\"\nMIME-Version: 1.0\n\n"
                + part("text/cloud-config", cloudConfig) + part("text/x-shellscript", script) + "--" + BOUNDARY
                + "--\n";
    }

    private static String part(String type, String text) {
        return "--" + BOUNDARY + "\nContent-Type: " + type + "; charset=\"utf-8\"\nMIME-Version: 1.0\n\n" + text
                + (text.endsWith("\n") ? "" : "\n");
    }

    private static String print(ObjectNode document) {
        try {
            return YAML.writeValueAsString(document);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a tree of strings and numbers is always YAML", e);
        }
    }
}
