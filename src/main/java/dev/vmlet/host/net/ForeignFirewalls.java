package dev.vmlet.host.net;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.vmlet.doctor.ForwardChain;
import dev.vmlet.doctor.ForwardChain.Let;
import dev.vmlet.doctor.ForwardChain.Side;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Prefix;
import dev.vmlet.model.Passage;
import dev.vmlet.model.Seen;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * Looks at what other people's firewalls do with forwarded packets; tables of any vmlet are left out. Changes nothing of
 * theirs.
 */
public final class ForeignFirewalls implements AutoCloseable {
    private static final JsonMapper JSON = new JsonMapper();
    private static final String OURS = "vmlet_";
    private static final Set<String> FAMILIES = Set.of("ip", "inet", "bridge");

    /** The smallest prefix with two usable addresses. */
    private static final int SPARE_LENGTH = 30;

    private static final int SPARE_TRIED = 1000;
    private static final int NAME_LENGTH = 8;

    private final Nftables nft = new Nftables();

    /** Base chains of others at the forward hook; Unknown when they cannot be listed. */
    public Seen<List<ForwardChain>> forwarding() {
        String operation = "list firewalls";
        try {
            JsonNode chains = parse(nft.run(operation, "list chains"));
            List<ForwardChain> found = new ArrayList<>();
            for (JsonNode item : chains) {
                JsonNode chain = item.path("chain");
                String family = chain.path("family").asText();
                if (chain.path("hook").asText().equals("forward")
                        && FAMILIES.contains(family)
                        && !chain.path("table").asText().startsWith(OURS)) {
                    found.add(forwardChain(chain, chains));
                }
            }
            return Seen.present(List.copyOf(found));
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        } catch (NftRefusal e) {
            return Seen.unknown(String.valueOf(e.during(operation).getMessage()));
        }
    }

    /**
     * What becomes of a packet sent as a guest's, with an address of the pool.
     *
     * @param taken prefixes of this host, which the packet must not come from
     */
    public Seen<Passage> passage(LinuxLinks links, Ipv4Prefix pool, Collection<Ipv4Prefix> taken) {
        long candidates = pool.count(SPARE_LENGTH);
        for (long i = 1; i <= Math.min(candidates, SPARE_TRIED); i++) {
            Ipv4Prefix spare = pool.slice(SPARE_LENGTH, candidates - i);
            if (taken.stream().noneMatch(spare::overlaps)) {
                try {
                    String nobody = PassageProbe.name(new SecureRandom(), NAME_LENGTH);
                    return Seen.present(new PassageProbe(links, nft, nobody).alone(spare, pool));
                } catch (HostException e) {
                    return Seen.unknown(String.valueOf(e.getMessage()));
                }
            }
        }
        return Seen.unknown("no addresses at the end of the network pool " + pool + " are free on this host");
    }

    private ForwardChain forwardChain(JsonNode chain, JsonNode all) throws NftRefusal, HostException {
        String family = chain.path("family").asText();
        String table = chain.path("table").asText();
        String name = chain.path("name").asText();
        Set<String> siblings = new HashSet<>();
        for (JsonNode item : all) {
            JsonNode other = item.path("chain");
            if (other.path("family").asText().equals(family)
                    && other.path("table").asText().equals(table)) {
                siblings.add(other.path("name").asText());
            }
        }
        boolean drops = chain.path("policy").asText().equals("drop")
                || dropsTheRest(parse(nft.run("list chain", list("chain", family, table, name))));
        // A big table is read only where its rules matter.
        List<Let> lets = drops ? lets(parse(nft.run("list table", list("table", family, table, table)))) : List.of();
        return new ForwardChain(family, table, name, drops, siblings, lets);
    }

    /** As JSON, because names of others may be words of nft's grammar. */
    private static String list(String kind, String family, String table, String name) {
        ObjectNode command = JSON.createObjectNode();
        ObjectNode object =
                command.putArray("nftables").addObject().putObject("list").putObject(kind);
        object.put("family", family).put("name", name);
        if (kind.equals("chain")) {
            object.put("table", table);
        }
        return command.toString();
    }

    private static JsonNode parse(String listing) throws NftRefusal {
        try {
            return JSON.readTree(listing).path("nftables");
        } catch (JsonProcessingException e) {
            throw new NftRefusal("unreadable listing: " + e.getOriginalMessage());
        }
    }

    /** Whether some rule drops or rejects whatever comes to it. */
    private static boolean dropsTheRest(JsonNode listing) {
        boolean drops = false;
        for (JsonNode item : listing) {
            boolean verdict = false;
            boolean condition = false;
            for (JsonNode expression : item.path("rule").path("expr")) {
                // Of iptables-nft a REJECT is an extension of its own.
                boolean refusal = expression.has("drop")
                        || expression.has("reject")
                        || expression.path("xt").path("name").asText().equals("REJECT");
                verdict |= refusal;
                condition |= !refusal && !expression.has("counter") && !expression.has("log");
            }
            drops |= verdict && !condition;
        }
        return drops;
    }

    private static List<Let> lets(JsonNode listing) {
        List<Let> lets = new ArrayList<>();
        for (JsonNode item : listing) {
            JsonNode expressions = item.path("rule").path("expr");
            if (!accepts(expressions)) {
                continue;
            }
            for (JsonNode expression : expressions) {
                let(expression.path("match")).ifPresent(lets::add);
            }
        }
        return lets;
    }

    /** By itself, or by handing on to a chain of trusted sources, as firewalld does. */
    private static boolean accepts(JsonNode expressions) {
        for (JsonNode expression : expressions) {
            String target = expression.path("goto").path("target").asText()
                    + expression.path("jump").path("target").asText();
            if (expression.has("accept") || target.contains("trusted")) {
                return true;
            }
        }
        return false;
    }

    private static Optional<Let> let(JsonNode match) {
        if (!match.path("op").asText().equals("==")) {
            return Optional.empty();
        }
        JsonNode left = match.path("left");
        JsonNode right = match.path("right");
        String field = left.path("payload").path("field").asText();
        String meta = left.path("meta").path("key").asText();
        if (left.path("payload").path("protocol").asText().equals("ip")
                && (field.equals("saddr") || field.equals("daddr"))) {
            JsonNode prefix = right.path("prefix");
            String value = prefix.isMissingNode()
                    ? right.asText()
                    : prefix.path("addr").asText() + "/" + prefix.path("len").asText();
            return Optional.of(new Let(field.equals("saddr") ? Side.FROM : Side.TO, value));
        }
        if (meta.equals("iifname") || meta.equals("oifname")) {
            return Optional.of(new Let(meta.equals("iifname") ? Side.FROM : Side.TO, right.asText()));
        }
        return Optional.empty();
    }

    /**
     * What {@code iptables-legacy -S} of the table filter says about forwarding.
     *
     * @param rules its lines
     */
    public static ForwardChain legacy(List<String> rules) {
        Set<String> chains = new LinkedHashSet<>();
        List<Let> lets = new ArrayList<>();
        boolean drops = false;
        for (String rule : rules) {
            List<String> words = List.of(rule.strip().split(" +"));
            if (rule.startsWith("-N ")) {
                chains.add(words.get(1));
            } else if (rule.startsWith("-P FORWARD ")) {
                drops |= rule.strip().endsWith(" DROP");
            } else if (rule.startsWith("-A ")) {
                lets.addAll(lets(words));
                drops |= rule.startsWith("-A FORWARD -j DROP") || rule.startsWith("-A FORWARD -j REJECT");
            }
        }
        return new ForwardChain(ForwardChain.LEGACY, "filter", "FORWARD", drops, chains, lets);
    }

    private static List<Let> lets(List<String> words) {
        int jump = words.indexOf("-j");
        if (jump < 0 || !words.subList(jump, words.size()).equals(List.of("-j", "ACCEPT"))) {
            return List.of();
        }
        Map<String, Side> sides = new TreeMap<>(Map.of("-s", Side.FROM, "-i", Side.FROM, "-d", Side.TO, "-o", Side.TO));
        List<Let> lets = new ArrayList<>();
        for (int i = 2; i + 1 < jump; i++) {
            Side side = sides.get(words.get(i));
            if (side != null && !words.get(i - 1).equals("!")) {
                // iptables writes "any rest" as a plus.
                lets.add(new Let(side, words.get(i + 1).replaceFirst("\\+$", "*")));
            }
        }
        return lets;
    }

    @Override
    public void close() {
        nft.close();
    }
}
