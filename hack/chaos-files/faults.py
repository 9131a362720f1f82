"""What is done to the host behind vmlet's back. Each vandalism knows when it is repaired; that is asked each millisecond
of /sys, /proc and libnftables, so that the stopwatch measures the agent and not the asking."""

import fcntl
import glob
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid

import host
from stage import UPLINK, remove_cgroups


class Vandal:
    """All methods named after what is done return (whose packets it costs, predicate that it is repaired), or None where
    there is nothing to do it to. Packets are those of one VM, or of all: "*"."""

    def __init__(self, stage, world, checker, foreign, random):
        self.stage, self.world, self.checker, self.foreign, self.random = stage, world, checker, foreign, random
        self.nft = host.Nft()
        # What vmlet may leave as it is: (label, predicate that it is repaired, how to undo it)
        self.lasting = []
        self.table = checker.table
        host.run("ip", "link", "add", "elsewhere", "type", "bridge")
        host.run("ip", "link", "set", "elsewhere", "up")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    # ---- what is looked at ----

    def _victim(self):
        settled = [vm for vm in self.world.running() if vm.process and not vm.may_die]
        return self.random.choice(settled) if settled else None

    def _tap(self):
        vm = self._victim()
        if vm is None:
            return None
        network = self.random.choice(vm.networks)
        return vm, vm.taps[network][0], self.world.bridges[network][0]

    def _bridge(self):
        return self.random.choice(sorted(self.world.bridges.items()))

    def _file(self, link, name):
        return (host.read(f"{self.stage.net}/{link}/{name}") or "").strip()

    def _up(self, link):
        flags = self._file(link, "flags")
        return flags and int(flags, 16) & 1

    def _master(self, link):
        try:
            return os.path.basename(os.readlink(f"{self.stage.net}/{link}/master"))
        except OSError:
            return None

    def _address(self, link):
        try:
            # SIOCGIFADDR
            return socket.inet_ntoa(fcntl.ioctl(self.socket, 0x8915, struct.pack("256s", link.encode()))[20:24])
        except OSError:
            return None

    def _has(self, family, name, key):
        return self.nft.ask(f"get element {family} {self.table} {name} {{ {key} }}") is not None

    def _elements(self):
        return sum((self.nft.ask(f"list table {family} {self.table}") or "").count("comment") for family in ("inet", "bridge"))

    # ---- links ----

    def tap_set_down(self):
        if not (found := self._tap()):
            return None
        vm, tap, _ = found
        host.run("ip", "link", "set", tap, "down")
        return vm.name, lambda: self._up(tap)

    def tap_taken_out_of_its_bridge(self):
        if not (found := self._tap()):
            return None
        vm, tap, bridge = found
        host.run("ip", "link", "set", tap, "nomaster")
        return vm.name, lambda: self._master(tap) == bridge

    def tap_moved_to_another_bridge(self):
        if not (found := self._tap()):
            return None
        vm, tap, bridge = found
        host.run("ip", "link", "set", tap, "master", "elsewhere")
        return vm.name, lambda: self._master(tap) == bridge

    def tap_mtu_changed(self):
        if not (found := self._tap()):
            return None
        vm, tap, _ = found
        host.run("ip", "link", "set", tap, "mtu", "1400")
        return vm.name, lambda: self._file(tap, "mtu") == "1500"

    def bridge_set_down(self):
        _, (bridge, _) = self._bridge()
        host.run("ip", "link", "set", bridge, "down")
        return "*", lambda: self._up(bridge)

    def bridge_deleted(self):
        network, (bridge, index) = self._bridge()
        gateway = self._address(bridge)
        taps = [vm.taps[network][0] for vm in self.world.running() if network in vm.taps and not vm.may_die]
        host.run("ip", "link", "del", bridge)

        def repaired():
            return self._file(bridge, "ifindex") not in ("", str(index)) and self._up(bridge) \
                and self._address(bridge) == gateway and all(self._master(t) == bridge for t in taps)
        return "*", repaired

    def bridge_address_removed(self):
        _, (bridge, _) = self._bridge()
        gateway = self._address(bridge)
        host.run("ip", "addr", "flush", "dev", bridge)
        return "*", lambda: self._address(bridge) == gateway

    def bridge_mtu_changed(self):
        _, (bridge, _) = self._bridge()
        host.run("ip", "link", "set", bridge, "mtu", "1300")
        return "*", lambda: self._file(bridge, "mtu") == "1500"

    def neighbours_forgotten(self):
        network, (bridge, _) = self._bridge()
        addresses = [vm.addresses[network] for vm in self.world.running()
                     if network in vm.addresses and vm.process and not vm.may_die]
        if not addresses:
            return None
        host.run("ip", "neigh", "flush", "dev", bridge, "nud", "permanent")

        def repaired():
            # ATF_COM and ATF_PERM, of include/uapi/linux/if_arp.h.
            known = [line.split() for line in (host.read("/proc/net/arp") or "").splitlines()[1:]]
            return all(any(k[0] == a and k[5] == bridge and int(k[2], 16) == 6 for k in known) for a in addresses)
        return "*", repaired

    # ---- firewall ----

    def _whole(self, before):
        return lambda: self._elements() >= before

    def _table_deleted(self, family):
        before = self._elements()
        host.run("nft", "delete", "table", family, self.table)
        return "*", self._whole(before)

    def firewall_table_inet_deleted(self):
        return self._table_deleted("inet")

    def firewall_table_bridge_deleted(self):
        return self._table_deleted("bridge")

    def firewall_chain_emptied(self):
        chain = self.random.choice(["inet {t} input", "inet {t} forward", "inet {t} postrouting", "bridge {t} prerouting",
                                    "bridge {t} arp_from_guest"]).format(t=self.table)
        host.run("nft", "flush", "chain", *chain.split())
        rules = lambda: (self.nft.ask(f"list chain {chain}") or "").count("@") > 0
        return "*", rules

    def firewall_set_emptied(self):
        name = self.random.choice(["inet {t} bridges", "inet {t} same", "bridge {t} taps", "bridge {t} ok4"])
        before = self._elements()
        host.run("nft", "flush", "set", *name.format(t=self.table).split())
        return "*", self._whole(before)

    def firewall_element_deleted(self):
        if not (found := self._tap()):
            return None
        vm, tap, _ = found
        before = self._elements()
        if self.random.random() < 0.5:
            key = f'"{tap}"'
            host.run("nft", "delete", "element", "bridge", self.table, "taps", f"{{ {key} }}")
        else:
            network = next(n for n in vm.networks if vm.taps[n][0] == tap)
            key = f'"{tap}" . {vm.macs[network]} . {vm.addresses[network]}'
            host.run("nft", "delete", "element", "bridge", self.table, "ok4", f"{{ {key} }}")
        return vm.name, self._whole(before)

    def firewall_flushed_whole(self):
        """As a firewall-cmd --reload of old or a careless script does it: everybody's tables are gone."""
        before = self._elements()
        host.run("nft", "flush", "ruleset")
        self.foreign.plant_tables()
        return "*", self._whole(before)

    # ---- flags ----

    def forwarding_of_bridge_off(self):
        _, (bridge, _) = self._bridge()
        return self._forwarding_off(bridge)

    def forwarding_of_uplink_off(self):
        return self._forwarding_off(UPLINK)

    def _forwarding_off(self, link):
        file = f"/proc/sys/net/ipv4/conf/{link}/forwarding"
        with open(file, "w") as f:
            f.write("0")
        return "*", lambda: host.read(file).strip() == "1"

    def control_group_limit_changed(self):
        if (vm := self._victim()) is None:
            return None
        for mount in host.cgroup_mounts():
            file = f"{mount}/vmlet-{self.checker.inst}/{vm.uid}/pids.max"
            if os.path.exists(file):
                before = host.read(file)
                with open(file, "w") as f:
                    f.write("max")
                repaired = lambda: host.read(file) in (before, None)
                self.lasting.append(("control group limit changed", repaired, lambda: write(file, before)))
                return vm.name, repaired
        return None

    # ---- processes ----

    def guest_process_stopped(self):
        if (vm := self._victim()) is None:
            return None
        pid = vm.process[0]
        os.kill(pid, signal.SIGSTOP)
        # It stops when it next leaves the kernel, which takes its time on a busy machine.
        if await_repair(lambda: host.state_of(pid) == "T", 10) is None:
            os.kill(pid, signal.SIGCONT)
            return None
        repaired = lambda: host.state_of(pid) != "T"
        self.lasting.append(("guest process stopped", repaired, lambda: os.kill(pid, signal.SIGCONT)))
        return vm.name, repaired

    def launcher_killed(self):
        """The guest's parent: its exit code will be nobody's to know, and it must live on."""
        if (vm := self._victim()) is None:
            return None
        text = (host.read(f"{self.stage.run}/vms/{vm.uid}/pid") or "").split()
        if len(text) < 5 or host.start_time(int(text[3])) != int(text[4]):
            return None
        os.kill(int(text[3]), signal.SIGKILL)
        return vm.name, lambda: True

    def guest_process_killed(self):
        victims = [vm for vm in self.world.running() if vm.process and not vm.may_die and vm.vandalised < 3]
        if not victims:
            return None
        vm = self.random.choice(victims)
        vm.vandalised += 1
        vm.may_die = "killed by the vandal"
        self.world.traffic.drop(vm.name)
        old = vm.process
        os.kill(old[0], signal.SIGKILL)
        guests = self.world.stage.deaths

        def again():
            with guests.lock:
                return any(pid != old[0] for pid in guests.living.get(vm.uid, {}))
        return vm.name, again

    def tap_deleted(self):
        """No VMM takes a new tap by name: the guest pays with a restart."""
        victims = [vm for vm in self.world.running() if vm.process and not vm.may_die and vm.vandalised < 3]
        if not victims:
            return None
        vm = self.random.choice(victims)
        vm.vandalised += 1
        vm.may_die = "its tap was deleted"
        self.world.traffic.drop(vm.name)
        network = self.random.choice(vm.networks)
        tap, index = vm.taps[network]
        bridge = self.world.bridges[network][0]
        host.run("ip", "link", "del", tap)
        return vm.name, lambda: self._file(tap, "ifindex") not in ("", str(index)) and self._master(tap) == bridge \
            and self._up(tap)

    # ---- the agent's own means ----

    def kinds(self):
        return sorted(name for name in dir(Vandal) if not name.startswith("_") and name != "kinds"
                      and callable(getattr(Vandal, name)))


class Clock:
    """The agent's clock, set by libfaketime (Debian's package of that name) within its process alone."""

    def __init__(self, stage):
        self.library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
        self.file = f"{stage.work}/clock"

    def environment(self):
        # The monotonic clock never jumps, on no machine.
        return {"LD_PRELOAD": self.library, "FAKETIME_TIMESTAMP_FILE": self.file, "FAKETIME_CACHE_DURATION": "1",
                "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def set(self, offset):
        write(self.file + ".new", offset + "\n")
        os.rename(self.file + ".new", self.file)


class RefusingKernel:
    """The agent's messages to the kernel and its VMMs, and their answers, fail now and then: strace's fault injection."""

    ERRORS = ["ENOBUFS", "EBUSY", "ENOMEM", "EPERM", "EINTR"]

    def __init__(self):
        self.program = shutil.which("strace")

    def refuse(self, pid, error, first, step):
        """From the first of these calls on each step-th fails, until it is ended; None where the agent cannot be traced."""
        calls = "sendto,sendmsg,recvfrom,recvmsg"
        tracer = subprocess.Popen(
            [self.program, "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={calls}",
             "-e", f"inject={calls}:error={error}:when={first}+{step}"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 5
        while tracer.poll() is None and time.monotonic() < deadline:
            status = host.read(f"/proc/{pid}/status")
            if status is None or f"TracerPid:\t{tracer.pid}\n" in status:
                return tracer
            time.sleep(0.01)
        self.let_go(tracer)
        return None

    @staticmethod
    def let_go(tracer):
        """It lets its threads go before it ends."""
        tracer.terminate()
        try:
            tracer.wait(10)
        except subprocess.TimeoutExpired:
            tracer.kill()
            tracer.wait()


def power_cut(stage, inst):
    """What a reboot leaves of an installation: its state directory. The boot id becomes another, in our mounts."""
    for mount in host.cgroup_mounts():
        remove_cgroups(f"{mount}/vmlet-{inst}")
    for name, link in host.links().items():
        if host.alias(link).startswith(f"vmlet:{inst}:"):
            host.run("ip", "link", "del", name)
    for family in host.FAMILIES:
        host.run("nft", f"add table {family} vmlet_{inst}; delete table {family} vmlet_{inst}")
    write(f"/proc/sys/net/ipv4/conf/{UPLINK}/forwarding", "0")
    for entry in os.listdir(stage.run):
        shutil.rmtree(f"{stage.run}/{entry}")
    bound = os.path.exists(f"{stage.work}/boot_id")
    write(f"{stage.work}/boot_id", f"{uuid.uuid4()}\n")
    if not bound:
        host.run("mount", "--bind", f"{stage.work}/boot_id", "/proc/sys/kernel/random/boot_id")


class Ballast:
    """Fills the file system of the state directory to the last byte."""

    def __init__(self, stage):
        self.file = f"{stage.state}/../s/ballast"

    def fill(self):
        with open(self.file, "wb", buffering=0) as f:
            block = b"\0" * 65536
            while block:
                try:
                    f.write(block)
                except OSError:
                    block = block[:len(block) // 2]

    def free(self):
        os.remove(self.file)


def write(file, text):
    with open(file, "w") as f:
        f.write(text)


def await_repair(repaired, seconds):
    """Seconds until it is, or None."""
    begin = time.monotonic()
    while not repaired():
        if time.monotonic() - begin > seconds:
            return None
        time.sleep(0.001)
    return time.monotonic() - begin
