package dev.vmlet.host.net;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.vmlet.doctor.RulesetPart;
import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.Seen;
import dev.vmlet.plan.Ruleset;
import java.util.EnumSet;
import java.util.Set;

/**
 * Asks libnftables and the kernel whether they take our ruleset. Each question is a transaction that the kernel checks and
 * does not keep; it loads the modules that one needs where it finds them.
 */
public final class RulesetTrial implements AutoCloseable {
    private static final JsonMapper JSON = new JsonMapper();
    private static final String WHOLE = "try our ruleset";

    /** Only a name for a trial: nothing is ever called so. */
    private static final InstallationId NOBODY = new InstallationId("aaaaaaaa");

    private final Nftables nft = new Nftables();

    /** The version of libnftables when it and the kernel take the whole; Missing without the library; else Unknown. */
    public Seen<String> whole() {
        try {
            nft.check(WHOLE, new Ruleset(NOBODY, Set.of()).text());
            return Seen.present(version());
        } catch (HostException.Unsupported e) {
            return e.getCause() instanceof UnsatisfiedLinkError
                    ? Seen.missing()
                    : Seen.unknown(String.valueOf(e.getMessage()));
        } catch (HostException e) {
            return Seen.unknown(String.valueOf(e.getMessage()));
        } catch (NftRefusal e) {
            return Seen.unknown(String.valueOf(e.during(WHOLE).getMessage()));
        }
    }

    private String version() throws NftRefusal, HostException {
        try {
            return JSON.readTree(nft.run("ask for the version", "list tables"))
                    .findPath("metainfo")
                    .path("version")
                    .asText("?");
        } catch (JsonProcessingException e) {
            throw new NftRefusal("unreadable listing: " + e.getOriginalMessage());
        }
    }

    /**
     * Those parts of the ruleset that are refused by themselves. None where nothing can be told from a refusal, because the
     * library is missing or we are not permitted to ask.
     */
    public Set<RulesetPart> refused() {
        return refused(this::takes);
    }

    /** Whether a table of that family with that in its chain is taken. */
    interface Judge {
        /** @throws HostException when that cannot be told */
        boolean takes(String family, String chain) throws HostException;
    }

    static Set<RulesetPart> refused(Judge judge) {
        Set<RulesetPart> refused = EnumSet.noneOf(RulesetPart.class);
        try {
            for (RulesetPart part : RulesetPart.values()) {
                if (!judge.takes(family(part), chain(part))) {
                    refused.add(part);
                }
            }
        } catch (HostException e) {
            return Set.of();
        }
        if (refused.contains(RulesetPart.INET)) {
            // What else was to stand in such a table was not asked then.
            refused.retainAll(EnumSet.of(RulesetPart.INET, RulesetPart.BRIDGE));
        }
        return refused;
    }

    private static String family(RulesetPart part) {
        return part == RulesetPart.BRIDGE ? "bridge" : "inet";
    }

    /** What stands in the trial's only chain. None of the rules is hooked in, so each asks for its own part alone. */
    private static String chain(RulesetPart part) {
        return switch (part) {
            case INET, BRIDGE -> "type filter hook prerouting priority -300; policy accept;";
            case CONNECTIONS -> "ct state established accept";
            case FIB -> "fib daddr type local accept";
            case NAT_CHAINS -> "type nat hook prerouting priority -100; policy accept;";
            case DNAT -> "dnat ip to 192.0.2.1";
            case MASQUERADE -> "masquerade";
            case CHANCE -> "numgen random mod 16 0 accept";
            case HASH -> "jhash ip saddr mod 16 0 accept";
        };
    }

    /** {@link Judge} by the kernel that runs. */
    boolean takes(String family, String chain) throws HostException {
        String name = "vmlet_" + NOBODY;
        try {
            nft.check(
                    "try " + chain,
                    "table " + family + " " + name + " {\n  chain trial {\n    " + chain + "\n  }\n}\n");
            return true;
        } catch (NftRefusal e) {
            if (e.during("try " + chain) instanceof HostException.NotPermitted refused) {
                throw refused;
            }
            return false;
        }
    }

    @Override
    public void close() {
        nft.close();
    }
}
