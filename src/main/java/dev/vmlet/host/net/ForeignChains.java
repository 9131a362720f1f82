package dev.vmlet.host.net;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.vmlet.model.FirewallKeeper;
import dev.vmlet.model.ForeignRule;
import dev.vmlet.model.HostException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads, of somebody else's table, what tells whose it is and what a rule of it says. */
final class ForeignChains {
    private static final JsonMapper JSON = new JsonMapper();

    /** Names of others may be words of nft's grammar; those are not asked for as text. */
    private static final Pattern PLAIN = Pattern.compile("[A-Za-z][A-Za-z0-9/._-]*");

    private static final int RULE_TEXT_MAX = 200;

    private final Nftables nft;

    /** Answers since {@link #forget}: a big ruleset is not to be listed anew for each probe that ends in the same rule. */
    private final Map<Trace.Stop, ForeignRule> known = new ConcurrentHashMap<>();

    ForeignChains(Nftables nft) {
        this.nft = nft;
    }

    /** After somebody changed a table: one that is made anew gives the handles of its rules again. */
    void forget() {
        known.clear();
    }

    /** The rule where a packet stopped. What cannot be read of it is left out: where it is, is known all the same. */
    ForeignRule ruleOf(Trace.Stop stop) {
        ForeignRule before = known.get(stop);
        return before != null ? before : read(stop);
    }

    private ForeignRule read(Trace.Stop stop) {
        boolean whole = true;
        Set<String> all = new HashSet<>();
        Set<String> bases = new HashSet<>();
        try {
            for (JsonNode item : parse(nft.run("list chains", "list chains"))) {
                JsonNode chain = item.path("chain");
                if (chain.path("family").asText().equals(stop.family())
                        && chain.path("table").asText().equals(stop.table())) {
                    all.add(chain.path("name").asText());
                    if (chain.has("hook")) {
                        bases.add(chain.path("name").asText());
                    }
                }
            }
        } catch (HostException | NftRefusal e) {
            all.addAll(stop.chains());
            whole = false;
        }
        Optional<String> text = Optional.empty();
        try {
            text = text(stop);
        } catch (HostException | NftRefusal e) {
            whole = false;
        }
        String base = stop.chains().reversed().stream()
                .filter(bases::contains)
                .findFirst()
                .orElse(stop.chains().getFirst());
        ForeignRule rule = new ForeignRule(
                FirewallKeeper.of(stop.family(), stop.table(), stop.chain(), base, all),
                stop.family(),
                stop.table(),
                stop.chain(),
                base,
                stop.handle() == 0 ? "" : text.orElse("handle " + stop.handle()));
        if (whole) {
            known.put(stop, rule);
        }
        return rule;
    }

    private Optional<String> text(Trace.Stop stop) throws NftRefusal, HostException {
        String listing = "list chain " + stop.family() + " " + stop.table() + " " + stop.chain();
        if (stop.handle() == 0
                || !PLAIN.matcher(stop.table()).matches()
                || !PLAIN.matcher(stop.chain()).matches()) {
            return Optional.empty();
        }
        return text(nft.text(listing, listing), stop.handle());
    }

    /** The rule with this handle in a chain as nft lists it with handles. */
    static Optional<String> text(String listing, long handle) {
        Pattern line = Pattern.compile("^\\s*(\\S.*?)\\s*# handle " + handle + "$", Pattern.MULTILINE);
        Matcher found = line.matcher(listing);
        return found.find()
                ? Optional.of(found.group(1).replace("counter ", "").strip())
                        .map(rule ->
                                rule.length() <= RULE_TEXT_MAX ? rule : rule.substring(0, RULE_TEXT_MAX - 3) + "...")
                : Optional.empty();
    }

    static Iterable<JsonNode> parse(String listing) throws NftRefusal {
        try {
            return JSON.readTree(listing).path("nftables");
        } catch (JsonProcessingException e) {
            throw new NftRefusal("unreadable listing: " + e.getOriginalMessage());
        }
    }

    /** Of those that the kernel tells of, the tables that are somebody else's: ours, of any installation, bear our name. */
    static boolean isForeign(String table) {
        return !table.startsWith("vmlet_");
    }

    static List<String> legacyTables() {
        try {
            return Files.readAllLines(Path.of("/proc/net/ip_tables_names"));
        } catch (IOException e) {
            // No iptables-legacy in this kernel.
            return List.of();
        }
    }
}
