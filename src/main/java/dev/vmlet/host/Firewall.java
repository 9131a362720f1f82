package dev.vmlet.host;

import dev.vmlet.model.Claim;
import dev.vmlet.model.FirewallElement;
import dev.vmlet.model.FirewallState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.Ipv4Address;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import dev.vmlet.model.Speech;
import dev.vmlet.plan.Ruleset;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/** The door to our two nftables tables, and to no others. Safe for use by several threads. */
public interface Firewall {
    /** Missing when neither table exists; Unknown when the listing failed. */
    Seen<FirewallState> observe();

    /**
     * Which of the candidates are in their sets, with that owner. Costs tens of microseconds per candidate at any size
     * of the sets. Missing when one of our tables is not there.
     */
    Seen<Set<FirewallElement>> contained(Collection<FirewallElement> candidates);

    /**
     * What leads clients of Services to guests, whoever owns it; nobody's records tell it. Costs tens of microseconds, and
     * about one for each. Missing when the maps are not there, Unknown when the look failed.
     */
    Seen<Set<FirewallElement>> served();

    /**
     * IPv4 addresses that ARP from behind the tap gave as the sender's in the last two minutes and that were not let
     * through, the latest first; of a tap whose guest may have any address, those that were let through too. One that asks
     * before it has an address gives none. Missing when our bridge table is not there, Unknown when the look failed. Costs
     * tens of microseconds, and some more for each address that any guest was heard with.
     */
    Seen<List<Speech>> spoken(LinkName tap);

    /**
     * Who said by ARP in the last two minutes that a guest's address is his, other than from behind a guest's tap, the
     * latest first; on whichever bridge. Missing when our bridge table is not there, Unknown when the look failed.
     */
    Seen<List<Claim>> claims(Ipv4Address ip);

    /**
     * Replaces both tables in one transaction and reads them back: a batch can succeed with a rule missing
     * (google/nftables #170).
     *
     * @throws HostException.Refused when what is read back is not what was sent; the old tables are then gone
     */
    void install(Ruleset ruleset) throws HostException;

    /**
     * Adds elements in one transaction; one that is there already is no error and keeps its owner, but where it leads a
     * Service's clients: there the new one takes the place of the old.
     */
    void add(Collection<FirewallElement> elements) throws HostException;

    /**
     * Deletes elements; one that is not there, or has no set any more, is no error. Where a place leads a Service's clients
     * to another by now, that one stays.
     */
    void delete(Collection<FirewallElement> elements) throws HostException;

    /** Removes both tables; succeeds when they are not there. */
    void remove() throws HostException;
}
