package dev.vmlet.plan;

import static org.assertj.core.api.Assertions.fail;

import dev.vmlet.api.Disk;
import dev.vmlet.api.Network;
import dev.vmlet.api.NetworkSlice;
import dev.vmlet.api.NetworkSliceSpec;
import dev.vmlet.api.NetworkSpec;
import dev.vmlet.api.RunStrategy;
import dev.vmlet.api.VirtualMachine;
import dev.vmlet.api.VirtualMachineSpec;
import dev.vmlet.host.FakeVmms;
import dev.vmlet.model.DiskState;
import dev.vmlet.model.Given;
import dev.vmlet.model.GuestState;
import dev.vmlet.model.LaunchSpec;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Mark;
import dev.vmlet.model.Reason;
import dev.vmlet.model.VmRecord;
import dev.vmlet.resolve.VmResolver;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.TreeSet;

/** One random history: what users, guests, strangers and the machine do while the agent works, then peace. */
final class History {
    /** On the operator's bridge. */
    private static final String LAN = "office";

    private static final List<String> NETS = List.of("red", "green", "blue", LAN);
    private static final int ROUNDS_MAX = 400;

    private final World world;
    private final SplittableRandom random;
    private int uids;

    History(World world, SplittableRandom random) {
        this.world = world;
        this.random = random;
    }

    void live() {
        world.deadly = random.nextInt(4) == 0 ? 50 : random.nextInt(3) * 8;
        world.flaky = random.nextInt(3) * 10;
        int events = 5 + random.nextInt(25);
        createNetwork();
        if (random.nextBoolean()) {
            plantLan();
            createNetwork(LAN);
        }
        for (int i = 0; i < events; i++) {
            event();
            int rounds = random.nextInt(4);
            for (int r = 0; r < rounds; r++) {
                world.round();
                if (random.nextInt(3) > 0) {
                    world.pass(Duration.ofMillis(random.nextInt(1, 20_000)));
                }
            }
        }
        world.deadly = 0;
        world.flaky = 0;
        world.vmms.ignorePowerButtons(false);
        new TreeSet<>(world.records.all().keySet()).forEach(world.records::mend);
        new TreeSet<>(world.records.allNetworks().keySet()).forEach(world.records::mend);
        if (random.nextInt(4) > 0 && !world.hasLan()) {
            plantLan();
        }
        if (random.nextBoolean()) {
            new ArrayList<>(world.oracle().foreign().keySet()).forEach(this::strangerGoes);
        }
        world.say("peace");
        int quiet = 0;
        for (int round = 0; quiet < 3; round++) {
            if (round > ROUNDS_MAX) {
                fail("no peace after " + round + " rounds");
            }
            quiet = world.round() ? quiet + 1 : 0;
            // Long enough for every pause and patience when nothing else is to be done.
            world.pass(quiet > 0 ? Duration.ofMinutes(6) : Duration.ofSeconds(5));
        }
        world.oracle().settled();
    }

    private void event() {
        switch (random.nextInt(37)) {
            case 0, 1 -> createNetwork();
            case 2, 3, 4, 5 -> createVm();
            case 6, 7 -> deleteVm();
            case 8 -> {
                if (random.nextInt(3) == 0) forceDelete();
            }
            case 9 -> edit(RunStrategy.Halted);
            case 10 -> edit(RunStrategy.Always);
            case 11 -> edit(random.nextBoolean() ? RunStrategy.Once : RunStrategy.RerunOnFailure);
            case 12 -> askRestart();
            case 13 -> changeNics();
            case 14 -> toggleEgress();
            case 15 -> deleteNetwork();
            case 16 -> {
                if (random.nextInt(3) == 0) recreateNetwork();
            }
            case 17, 18 -> guest(guest -> guest.powersOff(), Oracle.End.POWERED_OFF);
            case 19 -> guest(guest -> guest.panics(), Oracle.End.FAILED);
            case 20, 21 -> guest(guest -> guest.dies(139, 11), Oracle.End.FAILED);
            case 22 -> tearTap();
            case 23 -> tearBridge();
            case 24 -> damageTables();
            case 25 -> stranger();
            case 26 -> traceOfACrash();
            case 27 -> damageRecord();
            case 28 -> toggleRetain();
            case 29, 30 -> toggleSecret();
            case 31, 32 -> meddle();
            case 33, 34, 35 -> toggleLan();
            default -> rare();
        }
    }

    private void rare() {
        switch (random.nextInt(4)) {
            case 0 -> {
                world.say("the host reboots");
                world.reboot();
            }
            case 1 -> world.vmms.ignorePowerButtons(random.nextBoolean());
            case 2 ->
                any(world.vms)
                        .ifPresentOrNot(vm -> world.disks.fail(
                                VmResolver.idOf(vm),
                                "root",
                                new DiskState.Failed(
                                        Reason.ImageFetchFailed, "no answer", random.nextBoolean(), world.now)));
            default -> world.agentStarts();
        }
    }

    // ---- users ----

    private record Chosen<T>(java.util.Optional<T> value) {
        void ifPresentOrNot(java.util.function.Consumer<T> then) {
            value.ifPresent(then);
        }
    }

    private <T> Chosen<T> any(Map<String, T> all) {
        return new Chosen<>(
                all.isEmpty()
                        ? java.util.Optional.empty()
                        : all.values().stream().skip(random.nextInt(all.size())).findFirst());
    }

    private String nextUid(String kind) {
        return kind + "-" + uids++;
    }

    private void createNetwork() {
        for (String name : NETS) {
            if (world.networks.values().stream()
                    .noneMatch(n -> n.getMetadata().getName().equals(name))) {
                createNetwork(name);
                return;
            }
        }
    }

    private void createNetwork(String name) {
        createNetwork(name, uids + 1);
    }

    private void createNetwork(String name, int number) {
        if (name.equals(LAN)) {
            createLan();
            return;
        }
        String uid = nextUid("net");
        Network network = Given.network(
                name,
                uid,
                "10." + number + ".0.0/16",
                random.nextBoolean() ? NetworkSpec.Egress.Masquerade : NetworkSpec.Egress.None);
        world.say("create Network " + name + " " + uid);
        world.networks.put(uid, network);
        world.slices.put(uid, Given.slice(network, "10." + number + ".4.0/24"));
    }

    /** Of the very addresses that the first Network gives out: nobody told the operator. */
    private void createLan() {
        if (world.networks.values().stream().anyMatch(World::isLan)) return;
        String uid = nextUid("net");
        Network network = Given.lan("10.1.0.0/16", "10.1.0.1");
        network.getMetadata().setName(LAN);
        network.getMetadata().setUid(uid);
        NetworkSlice slice = Given.slice(network, "10.1.0.0/16");
        slice.setSpec(new NetworkSliceSpec(LAN, Given.NODE, null));
        // Not looked at yet.
        slice.setStatus(null);
        world.say("create Network " + LAN + " " + uid + " on " + World.BR0);
        world.networks.put(uid, network);
        world.slices.put(uid, slice);
    }

    /** Every other VM asks the LAN for an address, always for the same; the others leave that to its DHCP. */
    private List<VirtualMachineSpec.NetworkInterface> someNics(String vmUid) {
        int number = Integer.parseInt(vmUid.substring(vmUid.indexOf('-') + 1));
        List<VirtualMachineSpec.NetworkInterface> nics = new ArrayList<>();
        for (String name : NETS) {
            if (random.nextInt(3) == 0) {
                String address = name.equals(LAN) && number % 2 == 0 ? "10.1.4." + (2 + number / 2) : null;
                nics.add(new VirtualMachineSpec.NetworkInterface(name, address, null, null));
            }
        }
        return nics;
    }

    private void plantLan() {
        world.say("the operator makes bridge " + World.BR0);
        world.plantLan();
    }

    private void toggleLan() {
        if (world.hasLan()) {
            world.say("the operator takes bridge " + World.BR0 + " away");
            world.unplugLan();
        } else {
            plantLan();
        }
    }

    private void createVm() {
        if (world.vms.size() > 5) return;
        String uid = nextUid("vm");
        RunStrategy strategy = random.nextInt(3) > 0
                ? RunStrategy.Always
                : List.of(RunStrategy.values()).get(random.nextInt(RunStrategy.values().length));
        int grace = random.nextInt(3) == 0 ? 0 : random.nextInt(60);
        VirtualMachine vm =
                Given.vm("m" + uid, uid, World.spec(strategy, grace, someNics(uid), random.nextInt(4) == 0));
        world.say("create VM " + uid + " " + strategy + " on " + World.names(vm));
        world.vms.put(uid, vm);
    }

    private boolean isBeingDeleted(VirtualMachine vm) {
        return vm.getMetadata().getDeletionTimestamp() != null;
    }

    private void deleteVm() {
        any(world.vms).ifPresentOrNot(vm -> {
            if (!isBeingDeleted(vm)) {
                String uid = vm.getMetadata().getUid();
                world.say("delete VM " + uid);
                vm.getMetadata().setDeletionTimestamp(world.now.toString());
                world.oracle().deleted(uid, retains(vm));
            }
        });
    }

    private static boolean retains(VirtualMachine vm) {
        return Objects.requireNonNull(World.spec(vm).disks()).get(0).reclaimPolicy() == Disk.ReclaimPolicy.Retain;
    }

    private void forceDelete() {
        any(world.vms).ifPresentOrNot(vm -> {
            world.say("VM " + vm.getMetadata().getUid() + " vanishes");
            world.vms.remove(vm.getMetadata().getUid());
        });
    }

    private void respec(VirtualMachine vm, VirtualMachineSpec spec) {
        vm.setSpec(spec);
        vm.getMetadata().setGeneration(vm.getMetadata().getGeneration() + 1);
    }

    private void edit(RunStrategy strategy) {
        any(world.vms).ifPresentOrNot(vm -> {
            world.say(strategy + " for " + vm.getMetadata().getUid());
            respec(
                    vm,
                    World.spec(
                            strategy,
                            Objects.requireNonNull(World.spec(vm).terminationGracePeriodSeconds()),
                            World.nics(vm),
                            retains(vm)));
        });
    }

    private void askRestart() {
        any(world.vms).ifPresentOrNot(vm -> {
            world.say("restart " + vm.getMetadata().getUid());
            vm.getMetadata().setAnnotations(new HashMap<>(Map.of(VirtualMachine.RESTARTED_AT, world.now.toString())));
        });
    }

    private void changeNics() {
        any(world.vms).ifPresentOrNot(vm -> {
            List<VirtualMachineSpec.NetworkInterface> nics =
                    someNics(vm.getMetadata().getUid());
            world.say("VM " + vm.getMetadata().getUid() + " goes to "
                    + nics.stream()
                            .map(VirtualMachineSpec.NetworkInterface::name)
                            .toList());
            respec(
                    vm,
                    World.spec(
                            Objects.requireNonNull(World.spec(vm).runStrategy()),
                            Objects.requireNonNull(World.spec(vm).terminationGracePeriodSeconds()),
                            nics,
                            retains(vm)));
        });
    }

    private void toggleSecret() {
        any(world.vms).ifPresentOrNot(vm -> {
            String uid = vm.getMetadata().getUid();
            boolean gone = world.secretless.add(uid);
            if (!gone) world.secretless.remove(uid);
            world.say("the Secret of VM " + uid + (gone ? " is gone" : " is back"));
        });
    }

    private void toggleRetain() {
        any(world.vms).ifPresentOrNot(vm -> {
            if (isBeingDeleted(vm)) return;
            respec(
                    vm,
                    World.spec(
                            Objects.requireNonNull(World.spec(vm).runStrategy()),
                            Objects.requireNonNull(World.spec(vm).terminationGracePeriodSeconds()),
                            World.nics(vm),
                            !retains(vm)));
        });
    }

    private void toggleEgress() {
        any(world.networks).ifPresentOrNot(network -> {
            // Says nothing on a bridge of the operator's.
            if (World.isLan(network)) return;
            NetworkSpec spec = Objects.requireNonNull(network.getSpec());
            world.say("toggle egress of " + network.getMetadata().getUid());
            network.setSpec(World.withEgress(
                    spec,
                    spec.egress() == NetworkSpec.Egress.None
                            ? NetworkSpec.Egress.Masquerade
                            : NetworkSpec.Egress.None));
        });
    }

    private void deleteNetwork() {
        any(world.networks).ifPresentOrNot(network -> {
            world.say("delete Network " + network.getMetadata().getUid());
            network.getMetadata().setDeletionTimestamp(world.now.toString());
        });
    }

    /** Somebody forces the finalizer and makes another of the same name. */
    private void recreateNetwork() {
        any(world.networks).ifPresentOrNot(network -> {
            String uid = network.getMetadata().getUid();
            world.say("Network " + uid + " vanishes");
            world.networks.remove(uid);
            world.slices.remove(uid);
            if (random.nextInt(3) > 0) {
                String cidr = Objects.requireNonNull(
                        Objects.requireNonNull(network.getSpec()).cidr());
                // Often the very manifest that was there before.
                createNetwork(
                        network.getMetadata().getName(),
                        random.nextBoolean() ? Integer.parseInt(cidr.split("\\.")[1]) : uids + 1);
            }
        });
    }

    // ---- guests ----

    private void guest(java.util.function.Consumer<FakeVmms.Guest> does, Oracle.End end) {
        any(world.vmms.guests()).ifPresentOrNot(guest -> {
            boolean dies = end == Oracle.End.FAILED;
            if (guest.alive() && (dies || guest.kind() == GuestState.Kind.RUNNING)) {
                world.say("guest " + guest.launch().id().uid() + " ends by itself: " + end);
                does.accept(guest);
                world.oracle().ended(guest.launch().id().uid(), end);
            }
        });
    }

    // ---- strangers ----

    private void tearTap() {
        any(world.vmms.guests()).ifPresentOrNot(guest -> {
            if (guest.alive() && !guest.launch().nics().isEmpty()) {
                LaunchSpec.Nic nic = guest.launch().nics().get(0);
                if (world.oracle().foreign().containsKey(nic.tap())) return;
                world.say("somebody deletes tap " + nic.tap());
                world.oracle().torn(nic.tap());
                world.links.unplug(nic.tap());
            }
        });
    }

    /** What others do to a living guest's process and its tap; a repair follows, and nothing else. */
    private void meddle() {
        any(world.vmms.guests()).ifPresentOrNot(guest -> {
            if (!guest.alive() || guest.kind() != GuestState.Kind.RUNNING) return;
            String uid = guest.launch().id().uid();
            switch (random.nextInt(4)) {
                case 0 -> {
                    world.say("somebody pauses guest " + uid);
                    guest.pauses();
                }
                case 1 -> {
                    world.say("somebody stops the VMM of " + uid);
                    guest.stops();
                }
                case 2 -> {
                    world.say("somebody changes a limit of " + uid);
                    guest.isLimited("pids.max is 1, at its launch it was 288");
                }
                default -> {
                    if (guest.launch().nics().isEmpty()) return;
                    LaunchSpec.Nic nic = guest.launch().nics().get(0);
                    if (world.oracle().foreign().containsKey(nic.tap())) return;
                    world.say("somebody gives tap " + nic.tap() + " its guest's MAC address");
                    world.links.changeMac(nic.tap(), nic.mac().value());
                }
            }
        });
    }

    private void tearBridge() {
        any(world.networks).ifPresentOrNot(network -> {
            LinkName bridge = Given.NAMES.bridge(network.getMetadata().getUid());
            if (world.oracle().foreign().containsKey(bridge) || World.isLan(network)) return;
            world.say("somebody deletes bridge " + bridge);
            world.links.unplug(bridge);
        });
    }

    private void damageTables() {
        if (random.nextInt(4) == 0) {
            world.say("somebody makes the node forget its neighbours");
            world.links.forgetNeighbours();
            return;
        }
        world.say("somebody damages the tables");
        switch (random.nextInt(4)) {
            case 0 -> world.links.deleteTable("inet");
            case 1 -> world.links.deleteTable("bridge");
            case 2 -> world.links.tamperWithRules();
            default -> {
                world.links.deleteTable("inet");
                world.links.deleteTable("bridge");
            }
        }
    }

    /** A link of somebody else with exactly the name that we derive. */
    private void stranger() {
        boolean tap = random.nextBoolean();
        LinkName name;
        if (tap) {
            if (world.vms.isEmpty()) return;
            String uid = new ArrayList<>(world.vms.keySet()).get(random.nextInt(world.vms.size()));
            name = Given.NAMES.tap(uid, NETS.get(random.nextInt(NETS.size())));
        } else {
            if (world.networks.isEmpty()) return;
            name = Given.NAMES.bridge(
                    new ArrayList<>(world.networks.keySet()).get(random.nextInt(world.networks.size())));
        }
        if (world.links.everyLink().containsKey(name)) return;
        Mark mark = new Mark(List.of("", "mine", "vmlet:zzzzzzzz:net:net-0", "vmlet:zzzzzzzz:vm:vm-1:net-0")
                .get(random.nextInt(4)));
        String kind = List.of("tun", "bridge", "dummy", "veth").get(random.nextInt(4));
        world.say("a stranger makes " + kind + " " + name);
        // Up, as a stranger's links are: down, unmarked and with our user id it would be the trace of our own crash.
        world.links.plant(name.value(), kind, "02:00:00:00:00:07", 1400, true, mark, kind.equals("tun") ? 0 : -1);
        if (random.nextInt(4) == 0) {
            world.say("and puts it into the group of our retired taps");
            world.links.setGroup(name, Given.NAMES.reapGroup());
        }
        world.oracle().planted(name);
    }

    private void strangerGoes(LinkName name) {
        world.say("the stranger's " + name + " goes");
        world.oracle().foreign().remove(name);
        world.links.unplug(name);
    }

    /** What the agent leaves when it dies between making a link and marking it. */
    private void traceOfACrash() {
        if (random.nextBoolean()) {
            any(world.records.all()).ifPresentOrNot(record -> {
                if (record.nics().isEmpty() || record.launch().isPresent()) return;
                LinkName name = record.nics().get(0).tap();
                if (world.links.everyLink().containsKey(name)) return;
                world.say("a crash leaves tap " + name);
                world.links.plant(name.value(), "tun", "fe:00:00:00:00:09", 1500, false, new Mark(""), record.userId());
            });
        } else {
            any(world.records.allNetworks()).ifPresentOrNot(record -> {
                LinkName name = record.realised().bridge();
                if (world.links.everyLink().containsKey(name)) return;
                world.say("a crash leaves bridge " + name);
                world.links.plant(
                        name.value(), "bridge", record.realised().bridgeMac().value(), 1500, false, new Mark(""), -1);
            });
        }
    }

    private void damageRecord() {
        if (random.nextInt(4) == 0) {
            any(world.records.allNetworks()).ifPresentOrNot(record -> {
                String uid = record.id().uid();
                if (random.nextBoolean()) {
                    world.say("the record of Network " + uid + " is damaged");
                    world.records.damage(uid);
                } else {
                    world.say("the record of Network " + uid + " is mended");
                    world.records.mend(uid);
                }
            });
            return;
        }
        any(world.records.all()).ifPresentOrNot((VmRecord record) -> {
            String uid = record.id().uid();
            if (random.nextBoolean()) {
                world.say("the record of " + uid + " is damaged");
                int how = random.nextInt(4);
                if (how == 0) {
                    world.records.garble(uid);
                } else if (how == 1) {
                    world.say("and lost for good");
                    world.records.destroy(uid);
                } else {
                    world.records.damage(uid);
                }
            } else {
                world.say("the record of " + uid + " is mended");
                world.records.mend(uid);
            }
        });
    }
}
