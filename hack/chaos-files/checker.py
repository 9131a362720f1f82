"""Compares what was asked for with API objects, links, firewall, control groups, processes and files. It shares no code
and no idea with vmlet's planner: it knows the promises of README and the names and marks of the host objects."""

import json
import os
import re

import host
import kube
from stage import NODE, UPLINK


class Checker:
    def __init__(self, stage, world, random):
        self.stage, self.world = stage, world
        self.inst = None
        self.proc = host.Proc(stage.vmm, stage.run)
        self.skeleton = None
        self.baseline_files = None

    def begin(self):
        """With an agent at rest and no VM: what is here now must be here at the end, and is no leak."""
        self.inst = self.stage.installation()
        self.table = f"vmlet_{self.inst}"
        self.skeleton = host.skeleton(host.ruleset(), self.table)

    # ---- one look ----

    def look(self):
        """(problems, seen): problems is empty when all is as promised; each is a pair of its class and a sentence."""
        problems = []
        seen = {"vms": {}, "bridges": {}}
        links = host.links()
        self.neighbours, self.known = host.neighbours(), set()
        rules = host.ruleset()
        guests = self.proc.guests()
        objects = {o["metadata"]["name"]: o for o in self.stage.kube.items(kube.vms())}
        wrong = lambda kind, text: problems.append((kind, text))

        if host.skeleton(rules, self.table) != self.skeleton:
            wrong("firewall", f"tables {self.table} are not as at the start: {self._difference(rules)}")
        elements = host.elements(rules, self.table)
        owned_links, owned_elements = set(), set()
        self._networks(links, elements, owned_links, owned_elements, seen, wrong)
        for name, vm in self.world.vms.items():
            body = objects.pop(name, None)
            if vm.gone:
                if body is not None:
                    wrong("deletion", f"{name} is still in the API, finalizers {body['metadata'].get('finalizers')}")
                continue
            if body is None or body["metadata"]["uid"] != vm.uid:
                wrong("object lost", f"the object of {name} is gone from the API")
                continue
            self._vm(vm, body, links, elements, guests, owned_links, owned_elements, seen, wrong)
        for name in objects:
            wrong("object", f"{name} is in the API and nobody made it")
        self._leaks(links, elements, guests, owned_links, owned_elements, wrong)
        self._node(wrong)
        return problems, seen

    def _difference(self, rules):
        now = host.skeleton(rules, self.table)
        lost = [line for line in self.skeleton if line not in now]
        new = [line for line in now if line not in self.skeleton]
        return f"lost {lost[:2]}, new {new[:2]}, {len(lost)} and {len(new)} in all"

    # ---- Networks ----

    def _networks(self, links, elements, owned_links, owned_elements, seen, wrong):
        from world import NETWORKS
        slices = {}
        for s in self.stage.kube.items(f"{kube.GROUP}/namespaces/{kube.NAMESPACE}/networkslices"):
            if s["spec"]["nodeName"] == NODE:
                slices[s["spec"]["network"] if isinstance(s["spec"]["network"], str) else s["metadata"]["name"]] = s
        for network, uid in self.world.network_uids.items():
            mark = f"vmlet:{self.inst}:net:{uid}"
            bridges = [l for l in links.values() if host.alias(l) == mark]
            if len(bridges) != 1:
                wrong("bridge", f"Network {network} has {len(bridges)} bridges with the mark {mark}")
                continue
            bridge = bridges[0]
            name = bridge["ifname"]
            owned_links.add(name)
            seen["bridges"][network] = (name, bridge["ifindex"])
            mine = next((s for s in slices.values() if s.get("status", {}).get("bridge") == name), None)
            if mine is None:
                wrong("slice", f"no NetworkSlice of this node names the bridge {name} of {network}")
                continue
            if not mine["status"].get("ready"):
                wrong("slice", f"NetworkSlice {mine['metadata']['name']} is not ready: {mine['status']}")
            gateway = mine["status"]["gateway"].split("/")[0]
            if not any(a.split("/")[0] == gateway for a in bridge.get("addresses", [])):
                wrong("bridge", f"bridge {name} lacks its address {gateway}: {bridge.get('addresses')}")
            if "UP" not in bridge["flags"]:
                wrong("bridge", f"bridge {name} is down")
            if bridge["mtu"] != 1500:
                wrong("bridge", f"bridge {name} has MTU {bridge['mtu']}")
            if host.read(f"/proc/sys/net/ipv4/conf/{name}/forwarding").strip() != "1":
                wrong("forwarding", f"forwarding of {name} is off")
            masquerade = NETWORKS[network]["egress"] == "Masquerade"
            for kind in ["bridges", "same", "subnets"] + (["egress"] if masquerade else []):
                ours = [e for e in elements if e[1] == kind and e[3] == uid]
                if kind == "subnets" and not masquerade and not ours:
                    continue
                if not ours:
                    wrong("firewall", f"Network {network} has no element in set {kind}")
            owned_elements.add(uid)
        if host.read(f"/proc/sys/net/ipv4/conf/{UPLINK}/forwarding").strip() != "1":
            wrong("forwarding", f"forwarding of the uplink {UPLINK} is off")

    # ---- one VM ----

    def _vm(self, vm, body, links, elements, guests, owned_links, owned_elements, seen, wrong):
        name, uid = vm.name, vm.uid
        status = body.get("status", {})
        processes = guests.get(uid, [])
        directory = f"{self.stage.state}/vms/{uid}"
        record = host.read(f"{directory}/record.json")
        if record is None:
            record = ""
            wrong("record", f"{name} has no record")
        facts = {"process": None, "taps": {}, "disk": None, "macs": {},
                 "addresses": {a["network"]: a["ip"] for a in status.get("addresses", [])}}
        seen["vms"][name] = facts
        try:
            disk = os.stat(f"{directory}/disks/root.raw")
            facts["disk"] = (disk.st_dev, disk.st_ino)
        except OSError:
            pass
        if vm.disk and facts["disk"] != vm.disk:
            wrong("disk lost", f"the root disk of {name} is another file than it was: {facts['disk']}, not {vm.disk}")
        for network in vm.networks:
            if network not in facts["addresses"]:
                if vm.runs or vm.addresses:
                    wrong("status", f"{name} has no address on {network} in status")
            elif vm.addresses.get(network, facts["addresses"][network]) != facts["addresses"][network]:
                wrong("address changed",
                      f"{name} had {vm.addresses[network]} on {network} and has {facts['addresses'][network]}")
        for address in status.get("addresses", []):
            facts["macs"][address["network"]] = address["mac"]
        if status.get("observedGeneration") != body["metadata"]["generation"] and vm.runs:
            wrong("status", f"{name}: observedGeneration {status.get('observedGeneration')}, generation"
                            f" {body['metadata']['generation']}")
        taps = {}
        for network in vm.networks:
            mark = f"vmlet:{self.inst}:vm:{uid}:{self.world.network_uids[network]}"
            taps[network] = [l for l in links.values() if host.alias(l) == mark]
        if not vm.runs:
            if processes:
                wrong("process", f"{name} is halted and has processes {processes}")
            if status.get("phase") != "Stopped":
                wrong("status", f"{name} is halted and its phase is {status.get('phase')}")
            for network, found in taps.items():
                if found:
                    wrong("tap", f"{name} is halted and has tap {found[0]['ifname']}")
            if any(e[3] == uid for e in elements):
                wrong("firewall", f"{name} is halted and has elements in the firewall")
            return
        if len(processes) != 1:
            wrong("process", f"{name} should run and has processes {processes}; phase {status.get('phase')}:"
                             f" {conditions(status)}")
            return
        pid, start = facts["process"] = processes[0]
        if vm.outlived == (pid, start) or vm.token not in record:
            wrong("restart", f"{name} has not been restarted, as {vm.token} asks")
        if vm.process and vm.process != (pid, start) and not vm.may_die:
            wrong("guest death", f"{name} runs as {(pid, start)} and ran as {vm.process}; nobody asked for that")
        if host.state_of(pid) == "T":
            wrong("process", f"the process {pid} of {name} is stopped by a signal")
        if status.get("phase") != "Running" or not ready(status):
            wrong("status", f"{name} runs, and status says {status.get('phase')}: {conditions(status)}")
        if status.get("vmm", {}).get("pid") != pid:
            wrong("status", f"{name} runs as {pid}, and status says {status.get('vmm')}")
        owned_elements.add(uid)
        for network, found in taps.items():
            if len(found) != 1:
                wrong("tap", f"{name} has {len(found)} taps on {network}")
                continue
            tap = found[0]
            owned_links.add(tap["ifname"])
            facts["taps"][network] = (tap["ifname"], tap["ifindex"])
            if vm.taps.get(network, facts["taps"][network]) != facts["taps"][network] and not vm.may_die:
                wrong("false reap", f"{name} has tap {facts['taps'][network]} under a living guest, had {vm.taps[network]}")
            bridge = seen["bridges"].get(network, ("?", 0))[0]
            if tap.get("master") != bridge:
                wrong("tap", f"tap {tap['ifname']} of {name} is in {tap.get('master')}, not in {bridge}")
            if "UP" not in tap["flags"]:
                wrong("tap", f"tap {tap['ifname']} of {name} is down")
            address, mac = facts["addresses"].get(network), facts["macs"].get(network)
            if ("bridge", "taps", tap["ifname"], uid) not in elements:
                wrong("firewall", f"tap {tap['ifname']} of {name} is not guarded")
            if ("bridge", "ok4", f"{tap['ifname']} . {mac} . {address}", uid) not in elements:
                wrong("firewall", f"{name} is not admitted with {mac} and {address} at {tap['ifname']}")
            if ("bridge", "held", address, uid) not in elements:
                wrong("firewall", f"nobody would hear who claims {address} of {name}")
            self.known.add((bridge, address))
            if self.neighbours.get((bridge, address)) != mac:
                wrong("neighbour", f"the node takes {self.neighbours.get((bridge, address))} for {address} on {bridge},"
                                   f" which is {mac} of {name}")
        if sum(e[3] == uid for e in elements) != 3 * len(vm.networks):
            wrong("firewall", f"{name} has elements {[e for e in elements if e[3] == uid]}")
        for mount in host.cgroup_mounts():
            members = (host.read(f"{mount}/vmlet-{self.inst}/{uid}/cgroup.procs") or "none").split()
            if members != [str(pid)]:
                wrong("cgroup", f"{mount}/vmlet-{self.inst}/{uid} holds {members}, not {pid}")
        if not os.path.exists(f"{self.stage.run}/vms/{uid}/pid"):
            wrong("run files", f"{name} has no pid file")

    # ---- what nobody owns ----

    def _leaks(self, links, elements, guests, owned_links, owned_elements, wrong):
        uids = {vm.uid for vm in self.world.living()}
        running = {vm.uid for vm in self.world.running()}
        for name, link in links.items():
            ours = host.alias(link).startswith(f"vmlet:{self.inst}:")
            if ours and name not in owned_links:
                wrong("leak", f"link {name} ({host.alias(link)})")
        for neighbour, mac in self.neighbours.items():
            if neighbour[0] in owned_links and neighbour not in self.known:
                wrong("leak", f"neighbour {neighbour} with {mac}")
        for element in elements:
            if element[3] not in owned_elements:
                wrong("leak", f"firewall element {element}")
        for uuid, processes in guests.items():
            if uuid not in uids:
                wrong("leak", f"processes {processes} of VM uid {uuid}, which is gone")
        for stray in self.proc.strays(uids):
            wrong("leak", f"process {stray}")
        for mount in host.cgroup_mounts():
            for entry in entries(f"{mount}/vmlet-{self.inst}"):
                if os.path.isdir(f"{mount}/vmlet-{self.inst}/{entry}") and entry not in running | {"launchers"}:
                    wrong("leak", f"control group {mount}/vmlet-{self.inst}/{entry}")
        for entry in entries(f"{self.stage.state}/vms"):
            if entry not in uids:
                wrong("leak", f"state directory vms/{entry}: {entries(f'{self.stage.state}/vms/{entry}')}")
            else:
                for file in entries(f"{self.stage.state}/vms/{entry}"):
                    if not re.fullmatch(r"record.json|disks|seed\.(img|sha256)|(serial|vmm)\.log(\.\d+)?", file):
                        wrong("leak", f"state file vms/{entry}/{file}")
        for entry in entries(f"{self.stage.run}/vms"):
            if entry not in running:
                wrong("leak", f"run directory vms/{entry}")
        expected = {f"{uid}.json" for uid in self.world.network_uids.values()}
        for entry in entries(f"{self.stage.state}/networks"):
            if entry not in expected:
                wrong("leak", f"state file networks/{entry}")

    def _node(self, wrong):
        node = self.stage.kube.find(f"{kube.GROUP}/vmnodes/{NODE}")
        status = (node or {}).get("status", {})
        holds = status.get("sweep", {}).get("holds", status.get("holds", []))
        if holds:
            wrong("hold", f"VmNode holds {json.dumps(holds)[:300]}")


def entries(directory):
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def ready(status):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))


def conditions(status):
    return "; ".join(f"{c['type']}={c['status']} {c.get('reason')}: {c.get('message', '')[:120]}"
                     for c in status.get("conditions", []) if c["status"] != "True")


class Foreign:
    """Objects of others, named to provoke; compared byte for byte."""

    def __init__(self, inst, work):
        # Another installation, one letter away from ours.
        self.other = inst[:-1] + ("a" if inst[-1] != "a" else "b")
        self.inst, self.work = inst, work
        self.links = ["vmb-aaaaaaaaaa", "vmb-bbbbbbbbbb", "vmt-aaaaaaaaaa", "vmt-bbbbbbbbbb", "vmt-cccccccccc", "vmlet0"]
        self.tables = [("inet", f"vmlet_{self.other}"), ("bridge", f"vmlet_{self.other}"), ("ip", f"vmlet_{inst}"),
                       ("inet", "vmlet"), ("inet", "filter")]
        self.cgroups = []
        self.process = None

    def plant(self):
        import subprocess
        uid = "11111111-2222-4333-8444-555555555555"
        plan = [("vmb-aaaaaaaaaa", "bridge", ""), ("vmb-bbbbbbbbbb", "bridge", f"vmlet:{self.other}:net:{uid}"),
                ("vmt-aaaaaaaaaa", "tap", ""), ("vmt-bbbbbbbbbb", "tap", f"vmlet:{self.other}:vm:{uid}:{uid}"),
                ("vmt-cccccccccc", "tap", f"vmlet:{self.inst}"), ("vmlet0", "bridge", f"vmlet:{self.inst}x:vm:{uid}:{uid}")]
        for name, kind, alias in plan:
            if kind == "tap":
                host.run("ip", "tuntap", "add", "name", name, "mode", "tap", "user", "12345")
            else:
                host.run("ip", "link", "add", "name", name, "type", kind)
            if alias:
                host.run("ip", "link", "set", name, "alias", alias)
            host.run("ip", "link", "set", name, "up")
        host.run("ip", "link", "set", "vmt-bbbbbbbbbb", "master", "vmb-bbbbbbbbbb")
        host.run("ip", "addr", "add", "198.51.100.1/24", "dev", "vmb-aaaaaaaaaa")
        self.plant_tables()
        for mount in host.cgroup_mounts():
            for top in (f"vmlet-{self.other}", f"vmlet-{self.inst}x"):
                self.cgroups += [f"{mount}/{top}", f"{mount}/{top}/{uid}"]
        for directory in self.cgroups:
            os.mkdir(directory)
        self.process = subprocess.Popen(["sleep", "1000000"], start_new_session=True)
        for directory in self.cgroups:
            if directory.endswith(uid) and "cpuset" not in directory:
                with open(f"{directory}/cgroup.procs", "w") as f:
                    f.write(str(self.process.pid))
        self.before = self.now()

    def plant_tables(self):
        text = ""
        for family, name in self.tables:
            hook = "prerouting" if family == "bridge" else "input"
            text += f"""table {family} {name} {{
                counter owner {{ comment "vmlet:{self.other}:r1"
                }}
                set taps {{ type ifname; elements = {{ "vmt-aaaaaaaaaa" comment "11111111-2222-4333-8444-555555555555" }}
                }}
                chain theirs {{ type filter hook {hook} priority 5; policy accept; iifname @taps counter accept
                }}
            }}
            """
        with open(f"{self.work}/foreign.nft", "w") as f:
            f.write(text)
        host.run("nft", "-f", f"{self.work}/foreign.nft")

    def now(self):
        seen = {}
        for name in self.links:
            text = host.run("ip", "-d", "addr", "show", name, check=False)
            seen[f"link {name}"] = re.sub(r"_timer +[0-9.]+", "_timer", text).replace(" tentative", "")
        for family, name in self.tables:
            seen[f"table {family} {name}"] = re.sub(
                r"packets \d+ bytes \d+", "", host.run("nft", "list", "table", family, name, check=False))
        for directory in self.cgroups:
            seen[f"cgroup {directory}"] = f"{os.path.isdir(directory)} {host.read(directory + '/cgroup.procs')}"
        seen["process"] = host.start_time(self.process.pid)
        return seen

    def touched(self):
        now = self.now()
        return [f"{what} was {self.before[what]!r} and is {now[what]!r}" for what in now if now[what] != self.before[what]]

    def remove(self):
        from stage import remove_cgroups
        if self.process:
            self.process.kill()
            self.process.wait()
        for directory in self.cgroups[::2]:
            remove_cgroups(directory)
