"""What plays: the API server, the proxy before it, the controller, the agent under its supervisor, the witness of traffic
and the witness of deaths. Everything is in the namespaces that hack/chaos made."""

import glob
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import host
from kube import Kube

SERVER_PORT, PROXY_PORT, CONTROL_PORT, REPORT_PORT = 19443, 19444, 19445, 19999
UPLINK = "up0"
NODE = "n"
HEALTH = {"vmlet-agent": "127.0.0.1:9478", "vmlet-controller": "127.0.0.1:9479"}
PROMETHEUS = "127.0.0.1:9090"


def now_ms():
    return int(time.time() * 1000)


def await_true(what, seconds, condition, pause=0.05):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(pause)


class Stage:
    def __init__(self, built, work, tmpfs_mib, through_proxy, orphan_grace, metrics=False):
        self.built, self.work = built, work
        self.java = os.path.join(os.environ["JAVA_HOME"], "bin/java")
        # All that runs is copied: rebuilding a jar under a running JVM breaks it, and a run must not see the next one's.
        top = os.path.dirname(os.path.dirname(built))
        self.app = f"{work}/app"
        os.makedirs(f"{self.app}/bin")
        shutil.copy(f"{top}/bin/vmlet", f"{self.app}/bin/")
        shutil.copy(f"{top}/target/vmlet.jar", self.app)
        shutil.copytree(f"{top}/target/lib", f"{self.app}/lib")
        self.tools = shutil.copy(f"{built}/tools", work)
        self.server_source = shutil.copy(f"{os.path.dirname(os.path.abspath(__file__))}/Server.java", work)
        self.state, self.run = f"{work}/s", f"{work}/r"
        self.vmm = f"{work}/standin"
        self.through_proxy, self.orphan_grace = through_proxy, orphan_grace
        self.children = []
        self.agent = None
        self._network()
        self._files(tmpfs_mib)
        self.kube = None
        self.server = None
        self.start_server()
        self._proxy()
        self.deaths = DeathWatch(self)
        self.metrics = metrics
        self.controller = self.spawn("controller", self.vmlet("controller", "--kubeconfig", self.direct_config,
                                                              *self.health("vmlet-controller")))
        if metrics:
            self._prometheus()

    def vmlet(self, *words):
        return [f"{self.app}/bin/vmlet", *words]

    def health(self, job):
        return ["--health-address", HEALTH[job]] if self.metrics else []

    # With the jobs and labels that the chart's ServiceMonitor makes.
    def _prometheus(self):
        program = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
        if not program:
            raise SystemExit("--dashboard needs Prometheus: apt-get install prometheus, or name its program in PROMETHEUS")
        jobs = "".join(f"- job_name: {job}\n  static_configs: [{{targets: ['{address}'], labels: {{node: {NODE}}}}}]\n"
                       for job, address in HEALTH.items())
        with open(f"{self.work}/prometheus.yaml", "w") as config:
            config.write(f"global: {{scrape_interval: 5s}}\nscrape_configs:\n{jobs}")
        self.spawn("prometheus", [program, f"--config.file={self.work}/prometheus.yaml",
                                  f"--storage.tsdb.path={self.work}/prometheus", f"--web.listen-address={PROMETHEUS}"])

    def draw(self, file, seconds):
        draws = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "dashboard")
        subprocess.run([draws, f"http://{PROMETHEUS}", file, "--minutes", f"{max(1, seconds / 60):.1f}"], check=False)

    def spawn(self, name, command, **more):
        with open(f"{self.work}/{name}.log", "ab") as log:
            more.setdefault("stdin", subprocess.DEVNULL)
            more.setdefault("stdout", log)
            child = subprocess.Popen(command, stderr=log, start_new_session=True, **more)
        self.children.append(child)
        return child

    # An uplink with a default route, so that Masquerade and its forwarding flag are real.
    def _network(self):
        host.run("ip", "link", "add", UPLINK, "type", "veth", "peer", "name", "up1")
        host.run("ip", "addr", "add", "192.0.2.2/24", "dev", UPLINK)
        for link in (UPLINK, "up1"):
            host.run("ip", "link", "set", link, "up")
        host.run("ip", "route", "add", "default", "via", "192.0.2.1")

    def _files(self, tmpfs_mib):
        self.images = f"{self.work}/img"
        for directory in (self.state, self.run, self.images, f"{self.work}/sys"):
            os.mkdir(directory)
        os.chmod(self.work, 0o755)
        if tmpfs_mib:
            host.run("mount", "-t", "tmpfs", "-o", f"size={tmpfs_mib}m,mode=755", "none", self.state)
        # /sys of this network namespace; mounted aside, for cgroups hang below the other.
        host.run("mount", "-t", "sysfs", "none", f"{self.work}/sys")
        self.net = f"{self.work}/sys/class/net"
        with open(f"{self.images}/chaos.raw", "wb") as image:
            image.write(b"no guest reads this")
            image.truncate(1 << 20)
        shutil.copy(f"{self.built}/standin", self.vmm)
        os.chmod(self.vmm, 0o755)

    # ---- the API server ----

    def start_server(self):
        self.direct_config = f"{self.work}/direct.kubeconfig"
        self.server = self.spawn("server", [
            self.java, "-XX:+UseSerialGC", "-Xmx256m", "-XX:TieredStopAtLevel=1", "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow", "-cp", f"{self.app}/vmlet.jar:{self.app}/lib/*", self.server_source,
            f"{self.work}/api", str(SERVER_PORT), self.direct_config, f"{self.work}/token", f"{self.work}/ca.pem"])
        if self.kube is None:
            await_true("the API server's kubeconfig", 90, lambda: os.path.exists(self.direct_config))
            self.kube = Kube(SERVER_PORT, f"{self.work}/ca.pem", f"{self.work}/token")
        await_true("an answer of the API server", 90, self.server_answers)

    def server_answers(self):
        try:
            self.kube.get("/version")
            return True
        except Exception:
            return False

    def stop_server(self, how):
        self.server.send_signal(how)
        self.server.wait(60)

    def _proxy(self):
        if not self.through_proxy:
            self.agent_config = self.direct_config
            return
        certificate = f"{self.work}/proxy.pem"
        self.spawn("proxy", [self.tools, "proxy", f"127.0.0.1:{PROXY_PORT}", f"https://127.0.0.1:{SERVER_PORT}",
                             f"{self.work}/ca.pem", certificate, f"127.0.0.1:{CONTROL_PORT}"])
        await_true("the proxy's certificate", 20, lambda: os.path.exists(certificate))
        self.agent_config = f"{self.work}/agent.kubeconfig"
        import base64
        with open(certificate, "rb") as f:
            authority = base64.b64encode(f.read()).decode()
        with open(self.direct_config) as f:
            text = f.read()
        text = re.sub(r"server: \S+", f"server: https://127.0.0.1:{PROXY_PORT}", text)
        text = re.sub(r"certificate-authority-data: \S+", f"certificate-authority-data: {authority}", text)
        with open(self.agent_config, "w") as f:
            f.write(text)
        await_true("the proxy's control", 20, lambda: self.api_fault("pass") is not None)

    def api_fault(self, kind, share=1.0, delay=0.0):
        """Answers how many requests were spoilt so far."""
        try:
            with urllib.request.urlopen(
                    f"http://127.0.0.1:{CONTROL_PORT}/?kind={kind}&share={share}&delay={delay}", timeout=10) as answer:
                return json.load(answer)
        except OSError:
            return None

    # ---- installation ----

    def installation(self):
        text = host.read(f"{self.state}/installation")
        return text.strip() if text else None

    def close(self):
        self.deaths.close()
        for child in reversed(self.children):
            if child.poll() is None:
                child.kill()
                child.wait()
        inst = self.installation()
        # The launchers end with their guests; control groups are the only thing that no namespace takes along.
        if inst:
            for mount in host.cgroup_mounts():
                remove_cgroups(f"{mount}/vmlet-{inst}")


def remove_cgroups(top):
    if not os.path.isdir(top):
        return
    for _ in range(50):
        for leaf in glob.glob(f"{top}/*/"):
            for pid in (host.read(f"{leaf}/cgroup.procs") or "").split():
                if pid != "0":
                    try:
                        os.kill(int(pid), signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            try:
                os.rmdir(leaf)
            except OSError:
                pass
        try:
            os.rmdir(top)
            return
        except OSError:
            time.sleep(0.05)


class Agent:
    """The agent and who starts it again when it has ended by itself, as a DaemonSet would."""

    def __init__(self, stage):
        self.stage = stage
        self.process = None
        self.started = 0.0
        self.ended_by_itself = []
        self.kills = 0
        self.halts = 0
        self.lock = threading.RLock()
        self.supervised = False
        threading.Thread(target=self._supervise, daemon=True).start()

    def command(self, *extra):
        stage = self.stage
        return ["agent", "--kubeconfig", stage.agent_config, "--node-name", NODE, "--state-dir", stage.state,
                "--run-dir", stage.run, "--image-dir", stage.images, "--emulation", "on", "--qemu", stage.vmm,
                "--orphan-grace", stage.orphan_grace, *stage.health("vmlet-agent"), *extra]

    def start(self, *extra, before=(), environment=None):
        with self.lock:
            environment = dict(os.environ, VMLET_AOT=f"{self.stage.work}/agent.aot", **(environment or {}))
            self.log_from = self.log_size()
            self.started = time.monotonic()
            self.process = self.stage.spawn("agent", self.stage.vmlet(*before, *self.command(*extra)), env=environment)
            self.supervised = True

    def log_size(self):
        try:
            return os.path.getsize(f"{self.stage.work}/agent.log")
        except OSError:
            return 0

    def log_since_start(self):
        with open(f"{self.stage.work}/agent.log", errors="replace") as log:
            log.seek(self.log_from)
            return log.read()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        with self.lock:
            self.supervised = False
            self.process.kill()
            self.process.wait()
            self.kills += 1

    def terminate(self):
        """Seconds that it took."""
        with self.lock:
            self.supervised = False
            began = time.monotonic()
            self.process.terminate()
            self.process.wait(60)
            return time.monotonic() - began

    def _supervise(self):
        while True:
            time.sleep(0.1)
            with self.lock:
                if not self.supervised or self.alive():
                    continue
                code = self.process.returncode
                if code == 137:
                    # As --halt-before-step asked.
                    self.halts += 1
                else:
                    lines = self.log_since_start().strip().splitlines()
                    # The end of a stack trace tells nothing; what was last said aloud does.
                    said = [line for line in lines if re.match(r"\S+Z (ERROR|WARN) |vmlet: ", line)] or lines
                    self.ended_by_itself.append(f"exit {code}: {' '.join(said[-1:])[25:325]}")
                self.supervised = False
            time.sleep(0.5)
            with self.lock:
                if not self.supervised and not self.alive():
                    self.start()


class DeathWatch:
    """Learns of each guest by its own word, keeps a pidfd of it and so sees its death to the millisecond."""

    def __init__(self, stage):
        self.stage = stage
        self.proc = host.Proc(stage.vmm, stage.run)
        self.lock = threading.Lock()
        self.living = {}  # uuid -> {pid: pidfd}
        self.died = []  # (uuid, pid, time.monotonic(), ms since 1970)
        self.double = []
        self.starts = 0
        self.poll = select.poll()
        self.by_fd = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", REPORT_PORT))
        self.poll.register(self.socket, select.POLLIN)
        self.closed = False
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while not self.closed:
            for fd, _ in self.poll.poll(500):
                if fd == self.socket.fileno():
                    uuid = self.socket.recv(256).decode().removeprefix("started ")
                    self._started(uuid)
                else:
                    self._ended(fd)

    def _started(self, uuid):
        with self.lock:
            self.starts += 1
            known = self.living.setdefault(uuid, {})
            for pid, _ in self.proc.guests().get(uuid, []):
                if pid in known:
                    continue
                try:
                    fd = os.pidfd_open(pid)
                except ProcessLookupError:
                    continue
                known[pid] = fd
                self.by_fd[fd] = (uuid, pid)
                self.poll.register(fd, select.POLLIN)
            alive = [pid for pid in known if host.start_time(pid) is not None]
            if len(alive) > 1:
                self.double.append(f"VM uid {uuid} has {len(alive)} processes at once: {alive}")

    def _ended(self, fd):
        with self.lock:
            at, ms = time.monotonic(), now_ms()
            uuid, pid = self.by_fd.pop(fd)
            self.poll.unregister(fd)
            os.close(fd)
            self.living[uuid].pop(pid, None)
            self.died.append((uuid, pid, at, ms))

    def take_deaths(self):
        with self.lock:
            taken, self.died = self.died, []
            return taken

    def close(self):
        self.closed = True


class Traffic:
    """The witness, and whose loss a lost packet is: windows say when a guest's packets were somebody else's to lose."""

    def __init__(self, stage, pace_ms):
        self.file = f"{stage.work}/losses"
        self.process = stage.spawn("witness", [stage.tools, "witness", self.file, str(pace_ms)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.targets = {}
        self.windows = []  # [vm or "*", from ms, to ms or None, why]
        self.offset = 0
        self.by = {}
        self.lock = threading.Lock()

    def say(self, line):
        with self.lock:
            self.process.stdin.write((line + "\n").encode())
            self.process.stdin.flush()

    def aim(self, targets):
        """name -> (ip, mac, network); each sends on to the next of its Network."""
        wanted = {}
        for name, (ip, mac, network) in targets.items():
            peers = sorted(n for n, t in targets.items() if t[2] == network)
            peer = peers[(peers.index(name) + 1) % len(peers)]
            wanted[name] = f"set {name} {ip}" + (
                "" if peer == name else f" {peer} {targets[peer][1]} {targets[peer][0]}")
        for name in list(self.targets):
            if name not in wanted:
                self.say(f"del {name}")
        for name, line in wanted.items():
            if self.targets.get(name) != line:
                self.say(line)
        self.targets = wanted

    def drop(self, name):
        """No more packets to it, nor through it; those on their way are excused."""
        self.excuse(name, "asked for", now_ms() - 100, now_ms() + 1000)
        for other, line in list(self.targets.items()):
            if other == name:
                self.say(f"del {name}")
                del self.targets[name]
            elif f" {name} " in line:
                self.targets[other] = " ".join(line.split(" ")[:3])
                self.say(self.targets[other])

    def excuse(self, name, why, begin, end=None):
        window = [name, begin, end, why]
        self.windows.append(window)
        return window

    def stats(self):
        with self.lock:
            self.process.stdin.write(b"stats\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())

    def judge(self):
        """Reads the losses so far. Answers those that nobody but the agent can have caused."""
        blamed = []
        with open(self.file) as f:
            f.seek(self.offset)
            lines = f.readlines()
            self.offset = f.tell()
        for line in lines:
            ms, name, peer, how = line.split()
            why = self._why(int(ms), name, peer)
            if why is None:
                blamed.append(f"{name}{' to ' + peer if peer != '-' else ''} {how}, sent at {ms}")
                why = "the agent"
            self.by[why] = self.by.get(why, 0) + 1
        horizon = now_ms() - 120_000
        self.windows = [w for w in self.windows if w[2] is None or w[2] > horizon]
        return blamed

    def _why(self, ms, name, peer):
        for who, begin, end, why in self.windows:
            if who in ("*", name, peer) and begin - 100 <= ms and (end is None or ms <= end):
                return why
        return None
