package dev.vmlet.host.login;

import org.freedesktop.dbus.FileDescriptor;
import org.freedesktop.dbus.annotations.DBusInterfaceName;
import org.freedesktop.dbus.annotations.DBusMemberName;
import org.freedesktop.dbus.exceptions.DBusException;
import org.freedesktop.dbus.interfaces.DBusInterface;
import org.freedesktop.dbus.messages.DBusSignal;

/** What we call of logind, and hear from it (org.freedesktop.login1(5)). Public, because proxies are made of it. */
@DBusInterfaceName(Login1.INTERFACE)
public interface Login1 extends DBusInterface {
    String BUS_NAME = "org.freedesktop.login1";
    String PATH = "/org/freedesktop/login1";
    String INTERFACE = "org.freedesktop.login1.Manager";

    /** Held until the descriptor is closed, by us or by our end. */
    @DBusMemberName("Inhibit")
    FileDescriptor inhibit(String what, String who, String why, String mode);

    /** The host is about to go down, and waits for the delaying locks; or it was called off. */
    @DBusMemberName("PrepareForShutdown")
    class PrepareForShutdown extends DBusSignal {
        private final boolean start;

        public PrepareForShutdown(String path, boolean start) throws DBusException {
            super(path, start);
            this.start = start;
        }

        public boolean start() {
            return start;
        }
    }
}
