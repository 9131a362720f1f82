"""What the driver asked for, and so what must be true once things have settled. The only memory of the checker."""

import time
from dataclasses import dataclass, field

import kube
from kube import NAMESPACE
from stage import NODE, now_ms

NETWORKS = {"lab": {"cidr": "10.77.0.0/16", "nodePrefixLength": 22, "egress": "Masquerade"},
            "closed": {"cidr": "10.78.0.0/16", "nodePrefixLength": 22, "egress": "None"}}


@dataclass
class Vm:
    name: str
    uid: str
    networks: list
    runs: bool = True  # whether a process must be there
    gone: bool = False  # deletion was asked
    may_die: str = ""  # why a death of the present process is nobody's fault, until things have settled
    process: tuple = None  # (pid, start) as last settled
    addresses: dict = field(default_factory=dict)  # network -> ip: for ever
    macs: dict = field(default_factory=dict)
    taps: dict = field(default_factory=dict)  # network -> (name, ifindex)
    disk: tuple = None  # (device, inode) of its root disk: for ever
    generation: int = 1
    token: str = ""  # the restart that was asked for last
    outlived: tuple = None  # the process that this restart is to end
    vandalised: int = 0  # how often its process was killed by us: restarts back off


class World:
    def __init__(self, stage, traffic, random):
        self.stage, self.traffic, self.random = stage, traffic, random
        self.kube = stage.kube
        self.vms = {}  # name -> Vm, those being deleted included
        self.buried = {}  # uid -> name, of those seen gone
        self.network_uids = {}
        self.bridges = {}  # network -> (name, ifindex)
        self.counter = 0
        self.asked = {"create": 0, "delete": 0, "halt": 0, "start": 0, "restart": 0, "edit": 0}

    def prepare(self):
        self.kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for name, spec in NETWORKS.items():
            made = self.kube.create(kube.networks(), {
                "apiVersion": "vmlet.dev/v1alpha1", "kind": "Network", "metadata": {"name": name},
                "spec": dict(spec, realize="Always")})
            self.network_uids[name] = made["metadata"]["uid"]

    def living(self):
        return [vm for vm in self.vms.values() if not vm.gone]

    def running(self):
        return [vm for vm in self.living() if vm.runs]

    def by_uid(self, uid):
        return next((vm for vm in self.vms.values() if vm.uid == uid), None)

    # ---- operations ----

    def create(self, networks=None, runs=True, strategy="Always"):
        self.counter += 1
        name = f"vm{self.counter}"
        networks = networks or [self.random.choice(list(NETWORKS))]
        made = self.kube.create(kube.vms(), {
            "apiVersion": "vmlet.dev/v1alpha1", "kind": "VirtualMachine", "metadata": {"name": name},
            "spec": {"nodeName": NODE, "runStrategy": strategy if runs else "Halted", "cpu": {"cores": 1},
                     "memory": {"size": "64Mi"}, "disks": [{"name": "root", "image": {"path": "chaos.raw"}}],
                     "networks": [{"name": n} for n in networks], "readiness": {"tcpPort": 22},
                     "terminationGracePeriodSeconds": 5}})
        vm = Vm(name, made["metadata"]["uid"], networks, runs)
        self.vms[name] = vm
        self.asked["create"] += 1
        return vm

    def _may_die(self, vm, why):
        vm.may_die = why
        self.traffic.drop(vm.name)

    def delete(self, vm):
        self._may_die(vm, "deleted")
        self.kube.delete(kube.vms(vm.name))
        vm.gone, vm.runs = True, False
        self.asked["delete"] += 1

    def _edit(self, vm, body):
        vm.generation = self.kube.patch(kube.vms(vm.name), body)["metadata"]["generation"]

    def halt(self, vm):
        self._may_die(vm, "halted")
        self._edit(vm, {"spec": {"runStrategy": "Halted"}})
        vm.runs = False
        self.asked["halt"] += 1

    def start(self, vm):
        # A halt still under way ends the old process first.
        vm.may_die = vm.may_die or ("halted" if vm.process else "")
        self._edit(vm, {"spec": {"runStrategy": "Always"}})
        vm.runs = True
        self.asked["start"] += 1

    def restart(self, vm):
        self._may_die(vm, "restart asked for")
        vm.token = f"chaos-{now_ms()}"
        vm.outlived = vm.process
        self._edit(vm, {"metadata": {"annotations": {"vmlet.dev/restartedAt": vm.token}}})
        self.asked["restart"] += 1

    def edit(self, vm):
        """A change that must wait for the next start."""
        self._edit(vm, {"spec": {"cpu": {"cores": self.random.choice([1, 2, 3])}}})
        self.asked["edit"] += 1

    def some_operation(self, least, most):
        """One of those above, at random; the number of VMs stays within bounds."""
        settled = [vm for vm in self.living() if not vm.may_die]
        running = [vm for vm in settled if vm.runs and vm.process]
        halted = [vm for vm in settled if not vm.runs]
        choices = []
        if len(self.living()) < most:
            choices += ["create"] * 3
        if len(running) > least:
            choices += ["delete"] * 2 + ["halt"]
        if halted:
            choices += ["start", "delete halted"]
        if running:
            choices += ["restart", "edit"]
        if not choices:
            return "nothing: all VMs are on their way"
        choice = self.random.choice(choices)
        if choice == "create":
            networks = list(NETWORKS) if self.random.random() < 0.15 else None
            vm = self.create(networks, runs=self.random.random() < 0.85,
                             strategy=self.random.choice(["Always", "RerunOnFailure"]))
        elif choice == "delete halted":
            vm = self.random.choice(halted)
            self.delete(vm)
        else:
            vm = self.random.choice(halted if choice == "start" else running)
            getattr(self, choice)(vm)
        return f"{choice} {vm.name}"

    # ---- what follows from a look that found all well ----

    def settle(self, seen):
        """seen: name -> facts of the checker's last look, in which nothing was wrong."""
        for name, vm in list(self.vms.items()):
            if vm.gone:
                self.buried[vm.uid] = name
                del self.vms[name]
                continue
            facts = seen["vms"][name]
            vm.process = facts["process"]
            vm.taps = facts["taps"]
            vm.disk = facts["disk"] or vm.disk
            for network, ip in facts["addresses"].items():
                vm.addresses.setdefault(network, ip)
            vm.macs.update(facts["macs"])
            vm.may_die, vm.outlived = "", None
        self.bridges = seen["bridges"]
        self.traffic.aim({vm.name: (vm.addresses[vm.networks[0]], vm.macs[vm.networks[0]], vm.networks[0])
                          for vm in self.running()})


def falsify(kube_client, names):
    """Status says what is not so: it must become true again by being looked at."""
    for name in names:
        kube_client.patch(kube.vms(name) + "/status", {"status": {"phase": "Unknown", "vmm": {"pid": 1}}})


class StatusWatch:
    """When which status arrived; what the driver's stopwatch of statuses reads."""

    def __init__(self, kube_client):
        import threading
        self.lock = threading.Condition()
        self.latest = {}  # name -> (object, time.monotonic())
        self.history = {}  # name -> [(time.monotonic(), phase, pid, restarts)], the last ones
        self.closed = False
        threading.Thread(target=kube_client.watch, args=(kube.vms(), self._seen, lambda: self.closed), daemon=True).start()

    def _seen(self, event, at):
        body = event["object"]
        name = body["metadata"]["name"]
        with self.lock:
            if event["type"] == "DELETED":
                self.latest.pop(name, None)
                self.history.pop(name, None)
            else:
                self.latest[name] = (body, at)
                status = body.get("status", {})
                ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
                entry = (at, status.get("phase"), status.get("vmm", {}).get("pid"), status.get("restarts", 0), ready)
                self.history.setdefault(name, []).append(entry)
                del self.history[name][:-50]
            self.lock.notify_all()

    def all_true(self, expected, since, seconds):
        """Seconds from `since` until every one of name -> pid is Running with that pid, or None at the deadline."""
        deadline = time.monotonic() + seconds
        with self.lock:
            while True:
                last, missing = since, False
                for name, pid in expected.items():
                    history = self.history.get(name, [])
                    true_since = None
                    for at, phase, seen_pid, _, ready in reversed(history):
                        if phase != "Running" or seen_pid != pid or not ready:
                            break
                        true_since = at
                    if true_since is None:
                        missing = True
                        break
                    last = max(last, true_since)
                if not missing:
                    return last - since
                if not self.lock.wait(deadline - time.monotonic()) and time.monotonic() > deadline:
                    return None

    def first_after(self, name, since, seconds, told):
        """Seconds from `since` to the first status that told(phase, pid, restarts) holds for, or None."""
        deadline = time.monotonic() + seconds
        with self.lock:
            while True:
                for at, phase, pid, restarts, _ in self.history.get(name, []):
                    if at >= since and told(phase, pid, restarts):
                        return at - since
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self.lock.wait(left)
