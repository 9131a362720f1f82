"""What was counted, as a table after each round and as Markdown at the end."""

import datetime
import os
import platform
import re


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def seconds(value):
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


class Tally:
    def __init__(self):
        self.counts = {}
        self.times = {}  # name -> [seconds]

    def add(self, name, count=1):
        self.counts[name] = self.counts.get(name, 0) + count

    def time(self, name, value):
        self.times.setdefault(name, []).append(value)

    def line(self, name):
        values = self.times[name]
        return (f"{len(values)} | {seconds(percentile(values, 0.5))} | {seconds(percentile(values, 0.99))} |"
                f" {seconds(max(values))}")


def machine():
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    memory = next(int(l.split()[1]) for l in open("/proc/meminfo") if l.startswith("MemTotal")) / 1048576
    debian = next((l.split("=")[1].strip().strip('"') for l in open("/etc/os-release") if l.startswith("PRETTY_NAME")), "")
    java = next((l.split("=")[1].strip().strip('"') for l in open(f"{os.environ['JAVA_HOME']}/release")
                 if l.startswith("IMPLEMENTOR_VERSION")), "")
    load = open("/proc/loadavg").read().split()[0]
    return (f"{os.cpu_count()} × {cpu}, {memory:.0f} GiB, Linux {platform.release()}, {debian}, {java};"
            f" load {load} at the end")


# The promises: any count but 0 is a failure.
PROMISES = ["guest deaths nobody asked for", "changed addresses", "leaks", "false reaps", "foreign objects touched",
            "two processes of one VM", "packets lost by the agent's doing", "not healed in time"]


def markdown(title, arguments, tally, agent, traffic, minutes, extra=()):
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"# {title}", "", f"{date}, commit {os.environ.get('CHAOS_COMMIT', 'unknown')}, `hack/chaos {arguments}`,"
             f" {minutes:.0f} minutes", "", machine(), "", "| promise | broken |", "|---|---|"]
    lines += [f"| {promise} | {tally.counts.get(promise, 0)} |" for promise in PROMISES]
    lines += ["", "| what happened | times |", "|---|---|",
              f"| agent killed with SIGKILL | {agent.kills} |",
              f"| agent halted before a step of its own | {agent.halts} |",
              f"| agent ended by itself, and was started again | {len(agent.ended_by_itself)} |"]
    lines += [f"| {name} | {count} |" for name, count in sorted(tally.counts.items()) if name not in PROMISES]
    if traffic:
        stats = traffic.stats()
        lines.append(f"| packets sent between host and guests, and from guest to guest | {stats['sent']} |")
        lines += [f"| lost: {why} | {count} |" for why, count in sorted(traffic.by.items())]
    if tally.times:
        lines += ["", "| from … to … | times | p50 | p99 | longest |", "|---|---|---|---|---|"]
        lines += [f"| {name} | {tally.line(name)} |" for name in sorted(tally.times)]
    if agent.ended_by_itself:
        lines += ["", "The agent ended by itself with the words:", ""]
        words = [re.sub(r"\d+", "…", text) for text in agent.ended_by_itself]
        lines += [f"* {words.count(text)} × {text}" for text in sorted(set(words))]
    lines += list(extra)
    return "\n".join(lines) + "\n"
