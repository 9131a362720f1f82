package dev.vmlet.host.vmm.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.vmlet.host.vmm.Hosts;
import dev.vmlet.host.vmm.VmFiles;
import dev.vmlet.model.DesiredDisk.Role;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.HostException;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.Testimony;
import dev.vmlet.model.VmmKind;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The command line as text, and the monitor protocol against a server that says what it is told. */
class QemuTest {
    private static final String GREETING =
            "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, \"capabilities\": []}}\r\n";

    private final Qemu qemu = new Qemu(Path.of("/usr/bin/qemu-system-x86_64"));
    private final Queue<String> asked = new ConcurrentLinkedQueue<>();
    private Path dir;
    private VmFiles files;

    @BeforeEach
    void prepare() throws IOException {
        dir = Hosts.directory();
        files = Hosts.files(dir);
        Files.createDirectories(files.sockets());
    }

    @AfterEach
    void clear() throws IOException {
        Hosts.delete(dir);
    }

    @Test
    void onlyAResetThatTheGuestAskedForIsAReboot() {
        String when = "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": ";
        assertThat(List.of(
                        Qemu.isReboot(when + "\"RESET\", \"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r"),
                        Qemu.isReboot(when
                                + "\"RESET\", \"data\": {\"guest\": false, \"reason\": \"host-qmp-system-reset\"}}\r"),
                        Qemu.isReboot(when + "\"RESUME\"}\r"),
                        Qemu.isReboot("{\"return\": \"RESET\"}"),
                        Qemu.isReboot("\"RESET\" {")))
                .isEqualTo(List.of(true, false, false, false, false));
    }

    @Test
    void tellsFromItsCommandLineWhatTheGuestWasGiven() {
        LaunchSpec launch = Hosts.launch(VmmKind.QEMU);
        assertThat(qemu.sizeOf(qemu.command(launch, Hosts.files(Path.of("/x")))))
                .contains(new Testimony.Size(launch.cores(), launch.memory()));
        assertThat(qemu.sizeOf(List.of("qemu-system-x86_64", "-smp", "2", "-m", "0M")))
                .isEmpty();
        assertThat(qemu.sizeOf(List.of("qemu-system-x86_64", "-m", "1G", "-smp")))
                .isEmpty();
    }

    @Test
    void bootsDisksThroughItsBios() {
        assertThat(String.join("\n", qemu.command(Hosts.launch(VmmKind.QEMU), Hosts.files(Path.of("/a,b")))))
                .isEqualTo("""
                        /usr/bin/qemu-system-x86_64
                        -name
                        default/web
                        -no-user-config
                        -nodefaults
                        -display
                        none
                        -msg
                        timestamp=on
                        -sandbox
                        on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
                        -machine
                        q35,vmport=off
                        -cpu
                        max,la57=off,svm=off
                        -accel
                        tcg,thread=multi,tb-size=256
                        -smp
                        2
                        -m
                        1024M
                        -uuid
                        3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b
                        -no-shutdown
                        -boot
                        strict=on
                        -device
                        pvpanic
                        -object
                        rng-random,id=rng,filename=/dev/urandom
                        -device
                        virtio-rng-pci,rng=rng
                        -chardev
                        socket,id=serial,path=/a,,b/run/vms/3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b/vmm/serial.sock,server=on,wait=off,logfile=/a,,b/state/vms/3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b/serial.log,logappend=on
                        -serial
                        chardev:serial
                        -chardev
                        socket,id=qmp,path=/a,,b/run/vms/3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b/vmm/api.sock,server=on,wait=off
                        -mon
                        chardev=qmp,mode=control
                        -chardev
                        socket,id=events,path=/a,,b/run/vms/3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b/vmm/events.sock,server=on,wait=off
                        -mon
                        chardev=events,mode=control
                        -drive
                        if=none,id=disk-root,file=/state/vms/u/disks/root.raw,format=raw,file.locking=on,discard=unmap,readonly=off
                        -device
                        virtio-blk-pci,drive=disk-root,serial=root,bootindex=1
                        -drive
                        if=none,id=disk-data,file=/state/vms/u/disks/data.raw,format=raw,file.locking=on,discard=unmap,readonly=off
                        -device
                        virtio-blk-pci,drive=disk-data,serial=data,bootindex=2
                        -drive
                        if=none,id=disk-seed,file=/state/vms/u/seed.img,format=raw,file.locking=on,discard=unmap,readonly=on
                        -device
                        virtio-blk-pci,drive=disk-seed,serial=seed,bootindex=3
                        -netdev
                        tap,id=net-lab,ifname=vmt-aaaaaaaaaa,script=no,downscript=no
                        -device
                        virtio-net-pci,netdev=net-lab,mac=52:00:00:00:00:01,romfile=
                        -netdev
                        tap,id=net-dmz,ifname=vmt-bbbbbbbbbb,script=no,downscript=no
                        -device
                        virtio-net-pci,netdev=net-dmz,mac=52:00:00:00:00:02,romfile=""");
    }

    @Test
    void bootsAKernelWithItsCommandLine() {
        assertThat(String.join(
                        " ",
                        qemu.command(
                                Hosts.with(
                                        Hosts.bare(VmmKind.QEMU, Hosts.WEB, Hosts.USER),
                                        List.of(
                                                Hosts.drive("k", Role.KERNEL, "/k/vmlinuz", true),
                                                Hosts.drive("i", Role.INITRAMFS, "/k/initrd", true)),
                                        "console=ttyS0"),
                                files)))
                .endsWith("-kernel /k/vmlinuz -append console=ttyS0 -initrd /k/initrd");
    }

    /** Serves one client after the other until closed; an unknown command gets an error. */
    private ServerSocketChannel serve(Map<String, String> answers) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(files.control()));
        Thread.ofVirtual().start(() -> {
            while (server.isOpen()) {
                try (SocketChannel client = server.accept()) {
                    say(client, GREETING);
                    BufferedReader reader = new BufferedReader(Channels.newReader(client, StandardCharsets.UTF_8));
                    String line = reader.readLine();
                    while (line != null) {
                        String command = line.replaceAll(".*:\"|\".*", "");
                        asked.add(command);
                        say(client, "{\"event\": \"NIC_RX_FILTER_CHANGED\", \"data\": {}}\r\n");
                        say(
                                client,
                                answers.getOrDefault(command, "{\"error\": {\"desc\": \"no such command\"}}") + "\r\n");
                        line = reader.readLine();
                    }
                } catch (IOException e) {
                    // It hung up.
                }
            }
        });
        return server;
    }

    private static void say(SocketChannel client, String text) throws IOException {
        client.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }

    private static Map<String, String> status(String status) {
        return Map.of(
                "qmp_capabilities",
                "{\"return\": {}}",
                "query-status",
                "{\"return\": {\"status\": \"" + status + "\"}}",
                "query-uuid",
                "{\"return\": {\"UUID\": \"" + Hosts.WEB.uid() + "\"}}",
                "system_powerdown",
                "{\"return\": {}}");
    }

    @Test
    void translatesEveryState() throws IOException {
        Map<String, GuestState> expected = Map.of(
                "running", new GuestState(GuestState.Kind.RUNNING, false, "7.2.22"),
                "paused", new GuestState(GuestState.Kind.PAUSED, false, "7.2.22"),
                "io-error", new GuestState(GuestState.Kind.WRITE_FAILED, false, "7.2.22"),
                "prelaunch", new GuestState(GuestState.Kind.STARTING, false, "7.2.22"),
                "shutdown", new GuestState(GuestState.Kind.POWERED_OFF, false, "7.2.22"),
                "suspended", new GuestState(GuestState.Kind.HELD, false, "7.2.22"),
                "guest-panicked", new GuestState(GuestState.Kind.HELD, true, "7.2.22"));
        for (Map.Entry<String, GuestState> row : expected.entrySet()) {
            try (ServerSocketChannel _ = serve(status(row.getKey()))) {
                assertThat(qemu.ask(files, Optional.of(Hosts.launched(Hosts.launch(VmmKind.QEMU), "b", true)))
                                .state())
                        .as(row.getKey())
                        .isEqualTo(row.getValue());
            }
            Files.delete(files.control());
        }
    }

    @Test
    void pressesTheButtonAndShowsRefusals() throws Exception {
        try (ServerSocketChannel _ = serve(status("running"))) {
            qemu.pressPowerButton(files);
            assertThat(asked).containsExactly("qmp_capabilities", "system_powerdown");
            assertThatThrownBy(() -> qemu.powerOff(files))
                    .isInstanceOf(HostException.Refused.class)
                    .rootCause()
                    .hasMessage("quit: no such command");
        }
    }

    @Test
    void aMonitorThatKeepsSilentIsBusy() throws IOException {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(files.control()));
            assertThat(qemu.ask(files, Optional.of(Hosts.launched(Hosts.launch(VmmKind.QEMU), "b", false)))
                            .state())
                    .isEqualTo(GuestState.of(GuestState.Kind.BUSY));
        }
    }
}
