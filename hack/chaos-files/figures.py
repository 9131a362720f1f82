"""The figures that README publishes: many kills, starts with many VMs, many VMs that come and go."""

import os
import time

import host
import kube
from rounds import Broken
from stage import await_true
from world import NETWORKS


def many_kills(rounds, options):
    """The agent dies so often; guests, addresses, packets and strangers do not notice."""
    begin = time.monotonic()
    while rounds.agent.kills < options.kills and time.monotonic() - begin < options.minutes * 60:
        if rounds.random.random() < 0.3:
            rounds.did(rounds.world.some_operation(options.vms - 1, options.vms + 2))
        # From before it has read its records to when it has been at rest.
        rounds.pause(0.4, rounds.random.choice([2, 3, 6]))
        rounds.kill()
        rounds.start()
        if rounds.agent.kills % 10 == 0:
            healed = rounds.settle()
            rounds.tally.time("the last of ten kills → all as asked", healed)
            rounds.log = []
        if rounds.agent.kills % 50 == 0:
            took = rounds.truth()
            stats = rounds.traffic.stats()
            print(f"| {rounds.agent.kills} kills | {(time.monotonic() - begin) / 60:.1f} min | {len(rounds.world.running())}"
                  f" running | statuses true again after {took:.1f} s | {stats['sent']} sent,"
                  f" {stats['lost'] + stats['unsent']} lost |", flush=True)
    rounds.settle()
    hour = rounds.agent.kills / ((time.monotonic() - begin) / 3600)
    return ["", f"{rounds.agent.kills} kills with {options.vms} guests, {hour:.0f} an hour."]


def many_restarts(rounds, options):
    for number in range(options.restarts):
        took = rounds.truth()
        print(f"| start {number + 1} | {len(rounds.world.running())} VMs | statuses true after {took:.2f} s |", flush=True)
    return []


class Holdings:
    """What an agent could leak."""

    def __init__(self, rounds):
        stage = rounds.stage
        pid = rounds.agent.process.pid
        status = host.read(f"/proc/{pid}/status")
        self.facts = {
            "resident memory of the agent, MiB": int(status.split("VmRSS:")[1].split()[0]) // 1024,
            "threads of the agent": int(status.split("Threads:")[1].split()[0]),
            "open files of the agent": len(os.listdir(f"/proc/{pid}/fd")),
            "links": len(host.links()),
            "firewall elements": len(host.elements(host.ruleset(), rounds.checker.table)),
            "processes": sum(entry.isdigit() for entry in os.listdir("/proc")),
            "files in state and run directory": sum(
                len(files) + len(folders) for top in (stage.state, stage.run) for _, folders, files in os.walk(top)),
            "control groups": sum(len(folders) for mount in host.cgroup_mounts()
                                  for _, folders, _ in os.walk(f"{mount}/vmlet-{rounds.checker.inst}")),
        }


def await_batch(what, condition):
    try:
        await_true(what, 300, condition, 0.1)
    except RuntimeError as e:
        raise Broken("not healed in time", str(e)) from e


def many_cycles(rounds, options):
    """VMs are created, run and are deleted, a batch at a time."""
    batch, done, begin = 50, 0, time.monotonic()
    world, kube_client = rounds.world, rounds.stage.kube
    first, samples = None, []
    while done < options.cycles and time.monotonic() - begin < options.minutes * 60:
        vms = [world.create([list(NETWORKS)[i % 2]]) for i in range(batch)]
        await_batch("all of a batch to run", lambda: len(rounds.checker.proc.guests()) >= len(vms) + options.vms)
        rounds.watch_out()
        for vm in vms:
            world.delete(vm)
        await_batch("all of a batch to be gone", lambda: len(kube_client.items(kube.vms())) == options.vms)
        done += batch
        if done % 250 == 0:
            rounds.settle()
            now = Holdings(rounds)
            samples.append((done, now))
            # The first cycles find code that has never run: they are no figure.
            if first is None and done >= 500:
                first = now
            print(f"| {done} cycles | {(time.monotonic() - begin) / 60:.1f} min | "
                  + " | ".join(f"{value} {name}" for name, value in now.facts.items()) + " |", flush=True)
    if rounds.agent.ended_by_itself:
        # Nor would the figures be those of one life.
        raise Broken("agents that ended by themselves", "\n".join(rounds.agent.ended_by_itself))
    rounds.settle()
    # What it has put off, it has done after a full pass.
    rounds.pause(40, 41)
    last = Holdings(rounds)
    lines = ["", f"{done} VMs created and deleted, {done / (time.monotonic() - begin):.1f} a second.", "",
             "| what | after 500 | at the end |", "|---|---|---|"]
    for name, value in last.facts.items():
        before = (first or last).facts[name]
        lines.append(f"| {name} | {before} | {value} |")
        slack = {"resident memory of the agent, MiB": 25, "threads of the agent": 5, "open files of the agent": 5}.get(name, 0)
        if value > before + slack:
            rounds.tally.add("leaks")
            raise Broken("leaks", f"{name}: {before} after 500 cycles, {value} after {done}\n" + "\n".join(lines))
    return lines
