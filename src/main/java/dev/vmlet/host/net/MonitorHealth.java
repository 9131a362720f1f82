package dev.vmlet.host.net;

/**
 * What wants to know whether a monitor hears the kernel. While it does not, what others change is seen by the periodic
 * looks only. Called on the monitor's thread: be quick.
 */
public interface MonitorHealth {
    /** @param why a sentence for a person */
    void deaf(String monitor, String why);

    /** It hears again; what happened meanwhile was not heard. */
    void hears(String monitor);
}
