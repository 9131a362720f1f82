"""The host as its own tools and the kernel's files show it. Nothing here knows how vmlet plans or looks."""

import ctypes
import json
import os
import re
import subprocess
import threading
import time


FAMILIES = ("inet", "bridge")


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def listed(*command):
    """What a tool lists as JSON. A text that is none is a failed look, as an error's exit is, and is shown and asked for
    again: nft 1.0.6 writes half of its list now and then, and ends with 0."""
    for attempt in range(5):
        text = run(*command)
        try:
            return json.loads(text)
        except ValueError as e:
            at = getattr(e, "pos", 0)
            what = f"{' '.join(command)}: {e} of {len(text)}: {text[max(0, at - 300):at]!r} <HERE> {text[at:at + 100]!r}"
            print(f"look {attempt + 1} of 5: {what}", flush=True)
            time.sleep(0.05)
    raise RuntimeError(what)


def read(path):
    """Text of a file of /proc or /sys, or None when it is gone."""
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return None


def cgroup_mounts():
    mounts = []
    for line in read("/proc/self/mountinfo").splitlines():
        if " - cgroup " in line or " - cgroup2 " in line:
            mounts.append(line.split(" ")[4])
    return mounts


def start_time(pid):
    """Clock ticks since boot, or None where there is no such process or it is a zombie."""
    stat = read(f"/proc/{pid}/stat")
    if not stat:
        return None
    fields = stat[stat.rindex(")") + 2:].split(" ")
    return None if fields[0] in "ZX" else int(fields[19])


def state_of(pid):
    stat = read(f"/proc/{pid}/stat")
    return stat[stat.rindex(")") + 2] if stat else None


def links():
    """By name: what ip tells of each link, with its addresses."""
    found = {link["ifname"]: link for link in listed("ip", "-j", "-d", "link", "show")}
    for link in listed("ip", "-j", "-4", "addr", "show"):
        if link.get("ifname") in found:
            found[link["ifname"]]["addresses"] = sorted(
                f"{a['local']}/{a['prefixlen']}" for a in link.get("addr_info", []))
    return found


def neighbours():
    """MAC addresses that the node knows for good, by link and IPv4 address."""
    return {(entry["dev"], entry["dst"]): entry.get("lladdr")
            for entry in listed("ip", "-j", "-4", "neigh", "show", "nud", "permanent")}


def alias(link):
    return link.get("ifalias", "")


def ruleset():
    return listed("nft", "-j", "list", "ruleset")["nftables"]


def elements(items, table):
    """(family, set, key, comment) of each element in the tables of that name, but for what packets write there."""
    found = []
    for item in items:
        s = item.get("set")
        if s and s["table"] == table and s["family"] in FAMILIES and "dynamic" not in s.get("flags", []):
            for element in s.get("elem", []):
                comment = ""
                if isinstance(element, dict) and "elem" in element:
                    comment = element["elem"].get("comment", "")
                    element = element["elem"]["val"]
                if isinstance(element, dict) and "concat" in element:
                    element = " . ".join(str(part) for part in element["concat"])
                found.append((s["family"], s["name"], str(element), comment))
    return sorted(found)


def skeleton(items, table):
    """All of the tables of that name but handles, counts and elements: it must be the same at every time."""
    kept = []
    for item in items:
        kind, body = next(iter(item.items()))
        if kind == "metainfo":
            continue
        if body.get("table", body.get("name")) == table and body["family"] in FAMILIES:
            body = {k: v for k, v in body.items() if k not in ("handle", "elem", "packets", "bytes")}
            kept.append(re.sub(r'"(packets|bytes)": \d+', r'"\1": 0', json.dumps({kind: body}, sort_keys=True)))
    return kept


class Nft:
    """libnftables within this process: asked thousands of times, it costs a hundredth of what spawning nft does."""

    def __init__(self):
        self.library = ctypes.CDLL("libnftables.so.1")
        self.library.nft_ctx_new.restype = ctypes.c_void_p
        self.library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p(self.library.nft_ctx_new(0))
        self.library.nft_ctx_buffer_output(self.context)
        self.library.nft_ctx_buffer_error(self.context)
        self.lock = threading.Lock()

    def ask(self, command):
        """The answer, or None where nft refuses."""
        with self.lock:
            code = self.library.nft_run_cmd_from_buffer(self.context, command.encode())
            text = (self.library.nft_ctx_get_output_buffer(self.context) or b"").decode()
        return None if code else text


class Proc:
    """Processes of one installation: guests by uuid, launchers by run directory."""

    def __init__(self, vmm, run_dir):
        self.vmm = os.path.basename(vmm)
        self.run_dir = run_dir
        self.known = {}

    def _command(self, pid):
        """Of a process that lives; the zombie of one has none."""
        start = start_time(pid)
        if start is None:
            return None, None
        if (pid, start) not in self.known:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().decode(errors="replace").split("\0")
            except OSError:
                return None, None
            if not words[0].endswith("/" + self.vmm):
                return start, words  # may become another by exec: not kept
            self.known[(pid, start)] = words
        return start, self.known[(pid, start)]

    def guests(self):
        """uuid -> [(pid, start)]; more than one is a catastrophe."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                start, words = self._command(int(entry))
                if words and words[0].endswith("/" + self.vmm) and "-uuid" in words:
                    uuid = words[words.index("-uuid") + 1]
                    found.setdefault(uuid, []).append((int(entry), start))
        return found

    def strays(self, uuids):
        """Processes that belong to none of these VMs though they speak of our run directory."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                _, words = self._command(int(entry))
                if words and any(w.startswith(self.run_dir + "/vms/") for w in words):
                    if not any(uuid in w for uuid in uuids for w in words):
                        found.append(f"{entry} {' '.join(words)[:200]}")
        return found
