package dev.vmlet.host.vmm.cloudhypervisor;

import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * A cloud-hypervisor v53 that boots nothing and refuses what the real one refuses. Needs nothing but the JDK, so that a
 * process without a home or a class path of ours can run it. Obeys a control file given by {@code -Dctl}: {@code die}
 * (at start), {@code hang} (accept and never answer), {@code deaf} (ignore the power button), {@code panic},
 * {@code poweroff}, {@code reboot}.
 *
 * <p>Rules from the source at v53.0 and from trials: see {@code Refusal}s below, each quoting what the real one says.
 */
final class StandInCloudHypervisor {
    /** Every call the server knows, with its method; those not acted on below answer 500 and say so. */
    static final Map<String, String> CALLS = calls();

    private static final int CONNECTIONS = 10;
    private static final Set<String> SWITCHES =
            Set.of("--no-shutdown", "--pvpanic", "--landlock", "--watchdog", "-v", "-vv", "--version", "-V");
    private static final Set<String> LISTS = Set.of("--disk", "--net", "--landlock-rules", "--fs", "--pmem", "--numa");
    private static final Set<String> PROCESS_OPTIONS = Set.of(
            "--api-socket", "--event-monitor", "--log-file", "--log-format", "--seccomp", "--no-shutdown", "-v", "-vv");
    private static final Map<String, Set<String>> KEYS = Map.of(
            "--api-socket", Set.of("path", "fd"),
            "--event-monitor", Set.of("path", "fd"),
            "--cpus",
                    Set.of(
                            "boot",
                            "max",
                            "topology",
                            "kvm_hyperv",
                            "max_phys_bits",
                            "affinity",
                            "features",
                            "nested",
                            "core_scheduling"),
            "--memory",
                    Set.of(
                            "size",
                            "mergeable",
                            "shared",
                            "hugepages",
                            "hugepage_size",
                            "hotplug_method",
                            "hotplug_size",
                            "hotplugged_size",
                            "prefault",
                            "reserve",
                            "thp"),
            "--disk",
                    Set.of(
                            "path",
                            "readonly",
                            "direct",
                            "num_queues",
                            "queue_size",
                            "id",
                            "serial",
                            "image_type",
                            "rate_limit_group",
                            "queue_affinity",
                            "backing_files",
                            "sparse",
                            "lock_granularity",
                            "pci_segment"),
            "--net",
                    Set.of(
                            "tap",
                            "mac",
                            "fd",
                            "num_queues",
                            "queue_size",
                            "id",
                            "offload_tso",
                            "offload_ufo",
                            "offload_csum",
                            "pci_segment"),
            "--platform",
                    Set.of(
                            "num_pci_segments",
                            "system_manufacturer",
                            "system_product_name",
                            "system_version",
                            "system_serial_number",
                            "system_uuid",
                            "system_sku_number",
                            "system_family",
                            "oem_strings"),
            "--rng", Set.of("src", "iommu"),
            "--landlock-rules", Set.of("path", "access"));

    private final Map<String, List<String>> options;
    private final Path control = Path.of(System.getProperty("ctl", "/nonexistent"));
    private final AtomicInteger connections = new AtomicInteger();
    private final StringBuilder console = new StringBuilder();
    private String state = "Created";
    private String done = "";
    private Optional<ServerSocketChannel> serial = Optional.empty();

    /** What ends the process at start: the chain as the real one prints it. */
    private static final class Refusal extends RuntimeException {
        Refusal(String message) {
            super(message);
        }
    }

    private StandInCloudHypervisor(Map<String, List<String>> options) {
        this.options = options;
    }

    public static void main(String[] args) throws IOException {
        if (List.of(args).contains("--version")) {
            System.out.println("cloud-hypervisor v53.0");
            return;
        }
        try {
            new StandInCloudHypervisor(parse(args)).run();
        } catch (Refusal e) {
            System.err.println(
                    "Error: Cloud Hypervisor exited with the following chain of errors:\n  " + e.getMessage());
            Runtime.getRuntime().halt(1);
        }
    }

    static Map<String, List<String>> parse(String... args) {
        Map<String, List<String>> options = new LinkedHashMap<>();
        Set<String> single = new HashSet<>(Set.of(
                "--kernel",
                "--firmware",
                "--initramfs",
                "--cmdline",
                "--serial",
                "--console",
                "--seccomp",
                "--log-file",
                "--balloon",
                "--vsock",
                "--tpm",
                "--debug-console"));
        single.addAll(KEYS.keySet());
        single.removeAll(LISTS);
        for (int i = 0; i < args.length; i++) {
            String option = args[i];
            boolean list = LISTS.contains(option);
            if (!list && !single.contains(option) && !SWITCHES.contains(option)) {
                throw new Refusal("unexpected argument '" + option + "' found");
            }
            List<String> values = options.computeIfAbsent(option, _ -> new ArrayList<>());
            if (SWITCHES.contains(option)) {
                continue;
            }
            do {
                if (i + 1 >= args.length || args[i + 1].startsWith("--") && !option.equals("--cmdline")) {
                    throw new Refusal("a value is required for '" + option + "' but none was supplied");
                }
                values.add(args[++i]);
            } while (list && i + 1 < args.length && !args[i + 1].startsWith("--"));
            if (!list && values.size() > 1) {
                throw new Refusal("the argument '" + option + "' cannot be used multiple times");
            }
        }
        options.forEach((option, values) -> values.forEach(value -> pairs(option, value)));
        return options;
    }

    /** Keys and values of one option; unknown keys are refused on the command line, unlike in JSON. */
    private static Map<String, String> pairs(String option, String value) {
        Map<String, String> pairs = new LinkedHashMap<>();
        Set<String> known = KEYS.get(option);
        if (known == null) {
            return pairs;
        }
        for (String part : value.split(",")) {
            String[] pair = part.split("=", 2);
            if (!known.contains(pair[0])) {
                throw new Refusal("Error parsing " + option + ": unknown option: " + pair[0]);
            }
            if (pair.length < 2) {
                throw new Refusal("Error parsing " + option + ": invalid syntax: " + part);
            }
            pairs.put(pair[0], pair[1]);
        }
        return pairs;
    }

    private String value(String option, String key) {
        List<String> values = options.getOrDefault(option, List.of());
        return values.isEmpty() ? "" : pairs(option, values.getFirst()).getOrDefault(key, "");
    }

    private boolean told(String word) {
        try {
            return Files.readString(control).lines().anyMatch(word::equals);
        } catch (IOException e) {
            return false;
        }
    }

    private void run() throws IOException {
        if (told("die")) {
            throw new Refusal("told to die");
        }
        boolean payload = options.containsKey("--kernel") || options.containsKey("--firmware");
        ServerSocketChannel api = openApi(Path.of(value("--api-socket", "path")));
        if (options.containsKey("--event-monitor")) {
            Files.write(Path.of(value("--event-monitor", "path")), new byte[0]);
        }
        event("vmm", "starting");
        // Before the VM is made, so that a signal while booting ends the process as it does the real one.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            leave();
            Runtime.getRuntime().halt(0);
        }));
        if (payload) {
            checkVm();
            openSerial();
            event("vm", "booting");
            state = "Running";
            event("vm", "booted");
            say("stand-in booted\n");
        } else if (options.keySet().stream().anyMatch(option -> !PROCESS_OPTIONS.contains(option))) {
            throw new Refusal("the following required arguments were not provided: <--kernel|--firmware>");
        }
        Thread.ofPlatform().daemon().start(this::obey);
        serve(api);
    }

    private static ServerSocketChannel openApi(Path path) throws IOException {
        try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            probe.connect(UnixDomainSocketAddress.of(path));
            throw new Refusal("API socket " + path + " is already in use by another running instance");
        } catch (IOException e) {
            // v53 removes a socket nobody listens on (#8325).
            Files.deleteIfExists(path);
        }
        return bind(path);
    }

    private static ServerSocketChannel bind(Path path) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        return server.bind(UnixDomainSocketAddress.of(path), 64);
    }

    private void checkVm() {
        if (options.containsKey("--kernel") && options.containsKey("--firmware")) {
            throw new Refusal("Error parsing config: kernel and firmware exclude each other");
        }
        List.of("--kernel", "--firmware", "--initramfs")
                .forEach(option -> options.getOrDefault(option, List.of())
                        .forEach(file -> readable(file, "Cannot open " + option.substring(2) + " file")));
        Set<String> ids = new HashSet<>();
        for (String disk : options.getOrDefault("--disk", List.of())) {
            Map<String, String> keys = pairs("--disk", disk);
            unique(ids, keys.getOrDefault("id", disk));
            if (keys.getOrDefault("serial", "").length() > 20) {
                throw new Refusal("Block device serial length exceeds maximum allowed length (20)");
            }
            readable(keys.getOrDefault("path", ""), "Error opening disk image");
            if (keys.containsKey("image_type")
                    && !Set.of("raw", "qcow2", "vhd", "vhdx").contains(keys.get("image_type"))) {
                throw new Refusal("Error parsing --disk: unable to convert " + keys.get("image_type"));
            }
        }
        List<String> rules = options.getOrDefault("--landlock-rules", List.of());
        boolean taps = Boolean.getBoolean("taps");
        for (String net : options.getOrDefault("--net", List.of())) {
            Map<String, String> keys = pairs("--net", net);
            unique(ids, keys.getOrDefault("id", net));
            String tap = keys.getOrDefault("tap", "");
            if (taps && !Files.exists(Path.of("/sys/class/net", tap))) {
                throw new Refusal("Open tap device failed: Operation not permitted (os error 1)");
            }
            if (options.containsKey("--landlock")
                    && rules.stream().noneMatch(rule -> rule.contains("/" + tap + "/tun_flags,"))) {
                throw new Refusal("Failed to open taps: Failed to read the TAP flags from sysfs: Permission denied");
            }
        }
        for (String rule : rules) {
            String path = pairs("--landlock-rules", rule).getOrDefault("path", "");
            if (!options.containsKey("--landlock")) {
                throw new Refusal("landlock rules without --landlock");
            }
            if (!path.startsWith("/sys/") && !Files.exists(Path.of(path))) {
                throw new Refusal("Landlock rule path does not exist: " + path);
            }
        }
    }

    private static void unique(Set<String> ids, String id) {
        if (!ids.add(id) || id.startsWith("__")) {
            throw new Refusal("Identifier " + id + " is not unique");
        }
    }

    private static void readable(String file, String error) {
        if (!Files.isReadable(Path.of(file))) {
            throw new Refusal(error + ": " + file);
        }
    }

    private void openSerial() throws IOException {
        String option = options.getOrDefault("--serial", List.of("null")).getFirst();
        if (!option.startsWith("socket=")) {
            return;
        }
        Path path = Path.of(option.substring("socket=".length()));
        if (Files.exists(path)) {
            // Neither stale nor living ones are healed.
            throw new Refusal("Error creating console device: Address already in use (os error 98)");
        }
        ServerSocketChannel server = bind(path);
        Thread.ofPlatform().daemon().start(() -> {
            try {
                while (true) {
                    SocketChannel reader = server.accept();
                    drainTo(server, reader);
                }
            } catch (IOException e) {
                // Closed at a reboot.
            }
        });
        serial = Optional.of(server);
    }

    /** v53 keeps what was said before the reader came. A line that is typed is answered. */
    private void drainTo(ServerSocketChannel server, SocketChannel reader) throws IOException {
        try (reader) {
            reader.configureBlocking(false);
            StringBuilder typed = new StringBuilder();
            while (server.isOpen()) {
                ByteBuffer keys = ByteBuffer.allocate(256);
                if (reader.read(keys) < 0) {
                    return;
                }
                typed.append(StandardCharsets.UTF_8.decode(keys.flip()));
                for (int end = typed.indexOf("\r"); end >= 0; end = typed.indexOf("\r")) {
                    say("stand-in heard " + typed.substring(0, end) + "\n");
                    typed.delete(0, end + 1);
                }
                String text;
                synchronized (console) {
                    text = console.toString();
                    console.setLength(0);
                }
                if (text.isEmpty()) {
                    LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
                } else {
                    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
                    while (bytes.hasRemaining()) {
                        reader.write(bytes);
                    }
                }
            }
        }
    }

    private void say(String text) {
        synchronized (console) {
            console.append(text);
        }
    }

    private void closeSerial() throws IOException {
        if (serial.isPresent()) {
            Path path = ((UnixDomainSocketAddress) serial.get().getLocalAddress()).getPath();
            serial.get().close();
            Files.deleteIfExists(path);
        }
    }

    /** What the guest does by itself. */
    private void obey() {
        while (true) {
            try {
                String word = Files.exists(control) ? Files.readString(control).strip() : "";
                if (!word.equals(done)) {
                    done = word;
                    switch (word) {
                        case "panic" -> {
                            say("Kernel panic - not syncing\n");
                            event("guest", "panic", "\"event\": \"panic\"");
                        }
                        case "poweroff" -> powerOffGuest();
                        case "reboot" -> {
                            say("reboot: Restarting system\n");
                            event("vm", "rebooting");
                            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
                            closeSerial();
                            openSerial();
                            event("vm", "rebooted");
                            say("stand-in rebooted\n");
                        }
                        default -> {}
                    }
                }
            } catch (IOException e) {
                say("control: " + e + "\n");
            }
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
        }
    }

    private synchronized void powerOffGuest() {
        event("virtio-device", "reset");
        event("vm", "shutdown");
        if (options.containsKey("--no-shutdown")) {
            state = "Created";
        } else {
            leave();
            Runtime.getRuntime().halt(0);
        }
    }

    private void leave() {
        event("vm", "shutdown");
        event("vm", "deleted");
        event("vmm", "shutdown");
        try {
            // Under Landlock the main thread may not unlink any more.
            if (!options.containsKey("--landlock")) {
                Files.deleteIfExists(Path.of(value("--api-socket", "path")));
            }
            closeSerial();
        } catch (IOException e) {
            System.err.println("leaving: " + e);
        }
    }

    private void event(String source, String event) {
        event(source, event, "");
    }

    private void event(String source, String event, String properties) {
        Path file = Path.of(value("--event-monitor", "path"));
        String text = "{\n  \"timestamp\": {\n    \"secs\": 0,\n    \"nanos\": 1\n  },\n  \"source\": \"" + source
                + "\",\n  \"event\": \"" + event + "\",\n  \"properties\": "
                + (properties.isEmpty() ? "null" : "{\n    " + properties + "\n  }") + "\n}\n\n";
        try {
            if (!file.toString().isEmpty()) {
                Files.writeString(file, text, StandardOpenOption.APPEND);
            }
        } catch (IOException e) {
            // The real one ignores write errors as well.
        }
    }

    private void serve(ServerSocketChannel api) throws IOException {
        while (true) {
            SocketChannel client = api.accept();
            if (connections.incrementAndGet() > CONNECTIONS) {
                answer(client, 503, "{ \"error\": \"Too many open connections\" }");
                client.close();
                connections.decrementAndGet();
                continue;
            }
            Thread.ofVirtual().start(() -> {
                try (client) {
                    converse(client);
                } catch (IOException e) {
                    // It hung up.
                } finally {
                    connections.decrementAndGet();
                }
            });
        }
    }

    private void converse(SocketChannel client) throws IOException {
        InputStream in = Channels.newInputStream(client);
        while (true) {
            StringBuilder head = new StringBuilder();
            while (head.indexOf("\r\n\r\n") < 0) {
                int next = in.read();
                if (next < 0) {
                    return;
                }
                head.append((char) next);
            }
            int length = head.toString()
                    .lines()
                    .filter(line -> line.regionMatches(true, 0, "Content-Length:", 0, 15))
                    .mapToInt(line -> Integer.parseInt(line.substring(15).strip()))
                    .findFirst()
                    .orElse(0);
            byte[] body = in.readNBytes(length);
            String[] words = head.toString().split("[ \r]", 4);
            if (told("hang")) {
                LockSupport.parkNanos(TimeUnit.SECONDS.toNanos(60));
            }
            synchronized (this) {
                call(client, words[0], words[1], body);
            }
        }
    }

    private void call(SocketChannel client, String method, String path, byte[] body) throws IOException {
        String call = path.startsWith("/api/v1/") ? path.substring("/api/v1/".length()) : path;
        String expected = CALLS.get(call);
        if (expected == null) {
            answer(client, 404, "[\"Not Found\"]");
        } else if (!expected.equals(method) || body.length > 0) {
            answer(client, 400, "[\"Bad Request\"]");
        } else {
            switch (call) {
                case "vmm.ping" ->
                    answer(
                            client,
                            200,
                            "{\"build_version\":\"v53.0\",\"version\":\"53.0.0\",\"pid\":"
                                    + ProcessHandle.current().pid() + ",\"features\":[\"io_uring\",\"kvm\"]}");
                case "vm.info" -> {
                    if (state.isEmpty() || !options.containsKey("--kernel") && !options.containsKey("--firmware")) {
                        answer(client, 404, "[\"VM is not created\"]");
                    } else {
                        answer(
                                client,
                                200,
                                "{\"config\":{\"platform\":{\"system_uuid\":\""
                                        + value("--platform", "system_uuid") + "\"}},\"state\":\"" + state
                                        + "\",\"memory_actual_size\":1}");
                    }
                }
                case "vm.power-button" -> {
                    if (running(client)) {
                        answer(client, 204, "");
                        if (!told("deaf")) {
                            powerOffGuest();
                        }
                    }
                }
                case "vm.shutdown" -> {
                    if (running(client)) {
                        state = "Created";
                        event("vm", "shutdown");
                        answer(client, 204, "");
                    }
                }
                case "vm.pause", "vm.resume" -> {
                    String from = call.equals("vm.pause") ? "Running" : "Paused";
                    if (!state.equals(from)) {
                        answer(client, 500, "[\"VM is not running\"]");
                    } else {
                        state = from.equals("Running") ? "Paused" : "Running";
                        answer(client, 204, "");
                    }
                }
                case "vmm.shutdown" -> {
                    answer(client, 200, "");
                    leave();
                    Runtime.getRuntime().halt(0);
                }
                default -> answer(client, 500, "[\"The stand-in cannot\",\"" + call + "\"]");
            }
        }
    }

    private boolean running(SocketChannel client) throws IOException {
        if (state.equals("Running") || state.equals("Paused")) {
            return true;
        }
        answer(client, 500, "[\"Error from API\",\"The VM could not be reached\",\"VM is not running\"]");
        return false;
    }

    private static void answer(SocketChannel client, int status, String body) throws IOException {
        String length = status == 204 ? "" : "Content-Length: " + body.length() + "\r\n";
        String text = "HTTP/1.1 " + status + " \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n"
                + "Content-Type: application/json\r\n" + length + "\r\n" + body;
        client.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }

    private static Map<String, String> calls() {
        Map<String, String> calls = new LinkedHashMap<>();
        List.of("vmm.ping vm.info vm.counters".split(" ")).forEach(call -> calls.put(call, "GET"));
        String put = "vmm.shutdown vm.create vm.delete vm.boot vm.pause vm.resume vm.shutdown vm.reboot vm.power-button"
                + " vm.resize vm.resize-disk vm.resize-zone vm.add-device vm.add-disk vm.add-fs vm.add-pmem vm.add-net"
                + " vm.add-vsock vm.add-vdpa vm.add-user-device vm.add-generic-vhost-user vm.remove-device vm.snapshot"
                + " vm.restore vm.nmi vm.receive-migration vm.send-migration";
        List.of(put.split(" ")).forEach(call -> calls.put(call, "PUT"));
        return calls;
    }
}
