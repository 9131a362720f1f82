"""Rounds of random faults; after each the world must be as the API asks, and nothing may have happened that nobody asked
for."""

import os
import resource
import signal
import time

import faults
from checker import Checker, Foreign
from stage import now_ms
from world import falsify

# Address resolution and the kernel's carrier events come up to a second behind a repaired link.
AFTER_LINKS_MS, AFTER_FIREWALL_MS = 2500, 300
LASTING = ["guest_process_stopped", "control_group_limit_changed"]
API_FAULTS = ["refuse", "hang", "slow", "error", "conflict", "expired", "empty", "amnesia"]


class Broken(Exception):
    """A promise was broken."""

    def __init__(self, promise, text):
        super().__init__(f"{promise}: {text}")
        self.promise = promise


PROMISE_OF = {"guest death": "guest deaths nobody asked for", "address changed": "changed addresses", "leak": "leaks",
              "false reap": "false reaps", "disk lost": "false reaps", "object lost": "false reaps"}


class Rounds:
    def __init__(self, stage, world, agent, traffic, statuses, tally, random, options):
        self.stage, self.world, self.agent, self.traffic = stage, world, agent, traffic
        self.statuses, self.tally, self.random, self.options = statuses, tally, random, options
        self.checker = Checker(stage, world, random)
        self.log = []
        self.open_windows = []

    def begin(self):
        """Firewall, Networks and strangers are there, and no VM yet."""
        self.world.prepare()
        deadline = time.monotonic() + 60
        while True:
            try:
                self.checker.begin()
                problems, seen = self.checker.look()
                if not problems:
                    break
            except Exception as e:
                problems = [("look", repr(e))]
            if time.monotonic() > deadline:
                raise RuntimeError(f"the empty stage is not as it should be: {problems}")
            time.sleep(0.5)
        self.world.settle(seen)
        self.foreign = Foreign(self.checker.inst, self.stage.work)
        self.foreign.plant()
        self.vandal = faults.Vandal(self.stage, self.world, self.checker, self.foreign, self.random)
        self.ballast = faults.Ballast(self.stage)
        self.clock = faults.Clock(self.stage)
        self.kernel = faults.RefusingKernel()
        if not self.clock.library:
            print("no libfaketime here: no jumps of the agent's clock", flush=True)
        for _ in range(self.options.vms):
            self.world.create()
        self.settle()

    def did(self, text):
        self.log.append(f"{time.strftime('%H:%M:%S')}.{now_ms() % 1000:03d} {text}")

    # ---- promises ----

    def watch_out(self):
        """What must not have happened at any moment."""
        for uuid, pid, at, ms in self.stage.deaths.take_deaths():
            vm = self.world.by_uid(uuid)
            if vm is None:
                continue
            if not vm.may_die:
                raise Broken("guest deaths nobody asked for", f"process {pid} of {vm.name} (uid {uuid}) died at {ms}")
            self.tally.add(f"guest deaths as expected: {vm.may_die}")
        if self.stage.deaths.double:
            raise Broken("two processes of one VM", self.stage.deaths.double.pop())

    def settle(self):
        begin, seconds = time.monotonic(), self.options.patience
        calm = 0
        while True:
            self.watch_out()
            try:
                problems, seen = self.checker.look()
            except (OSError, RuntimeError, AttributeError) as e:
                # The server may be starting, or a link went away between two looks.
                problems = [("look", repr(e))]
            for kind, text in problems:
                if kind in ("guest death", "address changed", "false reap", "disk lost", "object lost"):
                    raise Broken(PROMISE_OF[kind], text)
            # Twice in a row: what is right by chance in the middle of a change does not count.
            calm = calm + 1 if not problems else 0
            if calm == 2:
                break
            if time.monotonic() - begin > seconds:
                kinds = {kind for kind, _ in problems}
                promise = "leaks" if kinds == {"leak"} else "not healed in time"
                raise Broken(promise, f"after {seconds} s, {len(problems)} in all:\n  " +
                             "\n  ".join(f"{kind}: {text}" for kind, text in problems[:12]))
            time.sleep(0.05 if calm else 0.25)
        self.watch_out()
        touched = self.foreign.touched()
        if touched:
            raise Broken("foreign objects touched", "\n  ".join(touched))
        end = now_ms() + AFTER_LINKS_MS
        for window in self.open_windows:
            window[2] = end
        self.open_windows = []
        self.world.settle(seen)
        self.judge()
        return time.monotonic() - begin

    def judge(self):
        blamed = self.traffic.judge()
        if blamed:
            raise Broken("packets lost by the agent's doing", f"{len(blamed)} packets:\n  " + "\n  ".join(blamed[:20]))

    # ---- what is done ----

    def operations(self, count):
        for _ in range(count):
            self.did(self.world.some_operation(self.options.vms // 2, self.options.vms * 3 // 2))

    def kill(self):
        self.did("SIGKILL to the agent")
        self.agent.kill()

    def start(self, *extra):
        self.agent.start(*extra)
        self.did(f"agent started {' '.join(extra)}")

    def pause(self, least, most):
        deadline = time.monotonic() + self.random.uniform(least, most)
        while time.monotonic() < deadline:
            self.watch_out()
            time.sleep(min(0.1, max(0, deadline - time.monotonic())))

    def vandalise(self, kind, timed):
        before = now_ms()
        try:
            done = getattr(self.vandal, kind)()
        except (RuntimeError, OSError):
            # What it would have broken is broken already.
            done = None
        if done is None:
            return
        whose, repaired = done
        self.did(f"vandalism: {kind.replace('_', ' ')} ({whose})")
        label = f"vandalism: {kind.replace('_', ' ')}"
        self.tally.add(label)
        window = self.traffic.excuse(whose, label, before)
        self.open_windows.append(window)
        if not timed:
            return
        took = self.undo() if self.vandal.lasting else faults.await_repair(repaired, 60)
        if took is None and kind in LASTING:
            self.traffic.excuse(whose, label, before, now_ms() + AFTER_LINKS_MS)
            return
        if took is None:
            raise Broken("not healed in time", f"{label} ({whose}) is not repaired after 60 s")
        if kind != "launcher_killed":
            self.tally.time(f"{label} → repaired", took)
        self.did(f"repaired after {took:.3f} s")
        window[2] = now_ms() + (AFTER_FIREWALL_MS if kind.startswith("firewall") else AFTER_LINKS_MS)
        self.open_windows.remove(window)

    def undo(self):
        """What vmlet is given half a minute to repair and else is left to us. Seconds it took vmlet, or None."""
        took = None
        for label, repaired, undo in self.vandal.lasting:
            took = faults.await_repair(repaired, 35)
            if took is None:
                undo()
                self.did(f"{label}: undone by the vandal")
                self.tally.add(f"vandalism: {label}, not repaired within 35 s and undone by the vandal")
        self.vandal.lasting = []
        return took

    # ---- kinds of rounds ----

    def round_of_kills(self):
        """The agent dies at random instants while things are asked for and broken."""
        for _ in range(self.random.randint(3, 6)):
            self.operations(self.random.randint(0, 3))
            if self.random.random() < 0.3:
                self.vandalise(self.random.choice(self.vandal.kinds()), timed=False)
            # Most instants of interest lie in the first seconds: caches fill, guests are adopted, work is taken up again.
            self.pause(0.3, self.random.choice([1.5, 3, 6]))
            self.kill()
            if self.random.random() < 0.3:
                self.operations(1)
                if self.random.random() < 0.5:
                    self.vandalise(self.random.choice(self.vandal.kinds()), timed=False)
            self.start()
            self.tally.add("kills at random instants")

    def round_of_halts(self):
        """The agent dies before a step of its own."""
        for _ in range(self.random.randint(3, 5)):
            self.operations(self.random.randint(1, 3))
            self.kill()
            self.start("--halt-before-step", str(self.random.choice([1, 1, 2, 2, 3, 4, 6, 9])))
            self.pause(3, 6)
            # Where it found less to do than that, it lives on, and is killed by the next turn.

    def round_of_vandalism(self):
        """One after another, each with the stopwatch; the agent lives."""
        for _ in range(self.random.randint(4, 8)):
            kind = self.options.fault or self.random.choice(self.vandal.kinds())
            self.vandalise(kind, timed=True)
            if kind in ("guest_process_killed", "tap_deleted"):
                self.settle()
            self.watch_out()

    def round_of_exits(self):
        """How soon status says that a guest process has ended."""
        for _ in range(2):
            at = time.monotonic()
            before = now_ms()
            done = self.vandal.guest_process_killed()
            if done is None:
                return
            name, _ = done
            old = self.world.vms[name].process[0]
            self.did(f"guest process of {name} killed")
            self.tally.add("vandalism: guest process killed")
            took = self.statuses.first_after(
                name, at, 60, lambda phase, pid, restarts: phase != "Running" or pid != old)
            if took is None:
                raise Broken("not healed in time", f"60 s after the death of {name} status knows nothing of it")
            self.tally.time("guest exit → status", took)
            self.settle()

    def round_of_api_trouble(self):
        kind = self.options.fault or self.random.choice(API_FAULTS)
        share = self.random.choice([0.3, 0.7, 1.0]) if kind in ("error", "conflict", "expired") else 1.0
        self.tally.add(f"API server: {kind}")
        self.did(f"API fault {kind}, share {share}")
        self.stage.api_fault(kind, share, self.random.uniform(0.3, 2.0))
        for _ in range(self.random.randint(2, 4)):
            self.operations(self.random.randint(0, 2))
            if self.random.random() < 0.5:
                self.kill()
                self.start()
            if self.random.random() < 0.3:
                self.vandalise(self.random.choice(self.vandal.kinds()), timed=False)
            self.pause(1, 5)
        self.did("API fault ends")
        self.stage.api_fault("pass")

    def round_of_server_death(self):
        how = self.random.choice([signal.SIGKILL, signal.SIGTERM])
        self.tally.add(f"API server: stopped with {how.name} and started again")
        self.did(f"{how.name} to the API server")
        self.operations(self.random.randint(0, 2))
        self.stage.stop_server(how)
        if self.random.random() < 0.5:
            self.kill()
            self.start()
        if self.random.random() < 0.5:
            self.vandalise(self.random.choice(self.vandal.kinds()), timed=False)
        self.pause(1, 8)
        self.stage.start_server()
        self.did("API server started")

    def round_of_full_disk(self):
        self.tally.add("disk full")
        self.did("disk full")
        self.ballast.fill()
        try:
            for _ in range(self.random.randint(2, 4)):
                self.operations(self.random.randint(1, 2))
                if self.random.random() < 0.5:
                    self.kill()
                    self.start()
                if self.random.random() < 0.3:
                    self.vandalise(self.random.choice(self.vandal.kinds()), timed=False)
                self.pause(1, 4)
        finally:
            self.ballast.free()
            self.did("disk freed")

    def round_of_clock_jumps(self):
        """The agent's clock is hours wrong, and jumps; then an agent with the right one takes over."""
        if not self.clock.library:
            return
        self.clock.set("+0")
        self.kill()
        self.agent.start(environment=self.clock.environment())
        self.did("agent started with a clock of its own")
        for _ in range(self.random.randint(2, 4)):
            self.pause(1, 4)
            offset = self.random.choice(["-20h", "-1h", "-90", "+0", "+90", "+1h", "+20h"])
            self.clock.set(offset)
            self.tally.add("jumps of the agent's clock, by 90 s to 20 h")
            self.did(f"clock {offset}")
            self.operations(self.random.randint(0, 2))
            if self.random.random() < 0.3:
                self.vandalise(self.random.choice(self.vandal.kinds()), timed=False)
        self.pause(1, 4)
        self.kill()
        self.start()

    def round_of_starved_agent(self):
        """The agent can open no file and no socket for some seconds."""
        self.pause(0, 2)
        pid = self.agent.process.pid
        try:
            before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))
        except OSError:
            return
        self.tally.add("agent without free file descriptors")
        self.did("the agent can open no more files")
        for _ in range(self.random.randint(1, 3)):
            self.operations(self.random.randint(0, 2))
            if self.random.random() < 0.4:
                self.vandalise(self.random.choice(self.vandal.kinds()), timed=False)
            self.pause(1, 4)
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        except OSError:
            pass  # It ended, and its successor has the usual limit.
        self.did("it can again")

    def round_of_refusing_kernel(self):
        """What the agent says to the kernel and to VMMs fails now and then for some seconds."""
        self.pause(0, 2)
        if not self.kernel.program:
            print("no strace here: no message of the agent to the kernel fails", flush=True)
            return
        error, first, step = self.random.choice(self.kernel.ERRORS), self.random.randint(1, 5), self.random.randint(3, 12)
        tracer = self.kernel.refuse(self.agent.process.pid, error, first, step)
        if tracer is None:
            print("the agent ended meanwhile or cannot be traced here: none of its messages to the kernel fails", flush=True)
            return
        try:
            self.tally.add(f"agent's messages to the kernel refused: {error}")
            self.did(f"each {step}th message of the agent to the kernel fails with {error}, from the {first}th on")
            for _ in range(self.random.randint(1, 3)):
                self.operations(self.random.randint(0, 2))
                if self.random.random() < 0.4:
                    self.vandalise(self.random.choice(self.vandal.kinds()), timed=False)
                self.pause(1, 3)
        finally:
            self.kernel.let_go(tracer)
        self.did("they arrive again")

    def round_of_hidden_evidence(self):
        """A witness of a guest is away for some seconds: not knowing must not pass for absence."""
        settled = [vm for vm in self.world.running() if vm.process]
        vm = self.random.choice(settled)
        file = f"{self.stage.run}/vms/{vm.uid}/pid"
        if self.random.random() < 0.7:
            self.kill()
        os.rename(file, f"{self.stage.work}/hidden")
        self.tally.add("pid file of a guest hidden")
        self.did(f"pid file of {vm.name} hidden")
        if not self.agent.alive():
            self.start()
        self.pause(3, 9)
        if self.random.random() < 0.3:
            self.kill()
            self.start()
            self.pause(1, 4)
        # Where vmlet made it anew, that is its good right.
        if not os.path.exists(file):
            os.rename(f"{self.stage.work}/hidden", file)
            self.did("pid file given back")

    def round_of_reboot(self):
        """Nothing of the host is left but the state directory, and the boot id is another."""
        self.tally.add("host rebooted")
        for vm in self.world.living():
            vm.may_die = "host rebooted"
            self.traffic.drop(vm.name)
        self.open_windows.append(self.traffic.excuse("*", "host rebooted", now_ms()))
        self.kill()
        self.did("power cut")
        faults.power_cut(self.stage, self.checker.inst)
        if self.random.random() < 0.5:
            self.operations(1)
        self.start()
        if self.random.random() < 0.3:
            self.pause(0.5, 4)
            self.kill()
            self.start()

    KINDS = (["round_of_kills"] * 6 + ["round_of_halts"] * 2 + ["round_of_vandalism"] * 4 + ["round_of_exits"] * 2
             + ["round_of_api_trouble"] * 4 + ["round_of_server_death", "round_of_full_disk", "round_of_clock_jumps", "round_of_starved_agent",
                "round_of_hidden_evidence", "round_of_reboot", "round_of_refusing_kernel"])

    def play(self, number, kind):
        self.log = []
        begin = time.monotonic()
        kills = self.agent.kills + self.agent.halts
        getattr(self, kind)()
        self.undo()
        healed = self.settle()
        self.tally.time(f"end of a {kind.replace('_', ' ')} → all as asked", healed)
        truth = self.truth() if self.random.random() < 0.4 else None
        stats = self.traffic.stats()
        print(f"| {number} | {kind.removeprefix('round_of_').replace('_', ' ')} | {time.monotonic() - begin:.1f} s |"
              f" {self.agent.kills + self.agent.halts - kills} | {len(self.world.running())} running,"
              f" {len(self.world.living()) - len(self.world.running())} halted | {healed:.1f} s |"
              f" {'-' if truth is None else f'{truth:.1f} s'} | {stats['sent']} sent, {stats['lost'] + stats['unsent']} lost |",
              flush=True)

    HEAD = ("| round | of | took | kills | VMs | healed after | agent start → statuses true | packets so far |\n"
            "|---|---|---|---|---|---|---|---|")

    def truth(self):
        """Every status is made false and the agent killed: seconds from its next start until all are true again."""
        self.kill()
        expected = {vm.name: vm.process[0] for vm in self.world.running()}
        falsify(self.stage.kube, expected)
        self.start()
        took = self.statuses.all_true(expected, self.agent.started, 60)
        if took is None:
            raise Broken("not healed in time", "60 s after the agent's start statuses are still false")
        self.tally.time(f"agent start → every status true again", took)
        self.settle()
        return took
