"""The driver of hack/chaos; see there."""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import figures
from report import Tally, markdown
from rounds import Broken, Rounds
from stage import Agent, Stage, Traffic, await_true
from world import StatusWatch, World


def arguments():
    parser = argparse.ArgumentParser(prog="hack/chaos", description="Breaks what can be broken around running guests.")
    parser.add_argument("--built", help=argparse.SUPPRESS)
    parser.add_argument("--minutes", type=float, default=5, help="how long rounds go on (default 5)")
    parser.add_argument("--seed", type=int, help="of all that is random; printed (default: another each time)")
    parser.add_argument("--vms", type=int, default=10, help="VMs to begin with; half as many to half as many more later")
    parser.add_argument("--report", nargs="?", const="-", metavar="FILE", help="print the report, and write it to FILE")
    parser.add_argument("--only", metavar="KIND[:FAULT]", help="only rounds of that kind, for instance kills or"
                        " api_trouble, and in rounds of api_trouble and vandalism only that fault")
    parser.add_argument("--kills", type=int, help="instead of rounds: kill the agent so often, or until --minutes are over")
    parser.add_argument("--restarts", type=int, help="instead of rounds: agent's start until every status is true, so often")
    parser.add_argument("--cycles", type=int, help="instead of rounds: create and delete so many VMs, or until --minutes")
    parser.add_argument("--pace", type=int, default=100, help="milliseconds between packets to one guest (default 100)")
    parser.add_argument("--patience", type=float, default=120, metavar="SECONDS",
                        help="until all must be as asked after a round (default 120)")
    parser.add_argument("--dashboard", metavar="FILE.svg", help="let a Prometheus watch, and draw the chart's dashboard at the"
                        " end; PROMETHEUS names its program where it is not in PATH")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs")
    return parser.parse_args()


def main():
    options = arguments()
    # Control groups and mounts are put away on every way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.only, _, options.fault = (options.only or "").partition(":")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    figure = next((name for name in ("kills", "restarts", "cycles") if getattr(options, name)), None)
    given = " ".join(f"--{name} {getattr(options, name)}".removesuffix(".0")
                     for name in ("kills", "restarts", "cycles", "minutes", "vms", "seed") if getattr(options, name) is not None)
    given += f" --only {options.only}{':' if options.fault else ''}{options.fault}" if options.only else ""
    print(f"hack/chaos {given}", flush=True)
    # Short, for unix sockets lie beneath it, and passable for guests' users.
    work = tempfile.mkdtemp(prefix="vc.", dir="/var/tmp")
    chance = random.Random(options.seed)
    tally = Tally()
    # Figures are measured on a disk, whose fsync takes time, and without the proxy.
    stage = Stage(options.built, work, tmpfs_mib=0 if figure else 256, through_proxy=not figure, orphan_grace="PT3S",
                  metrics=options.dashboard is not None)
    agent = Agent(stage)
    traffic = Traffic(stage, options.pace)
    world = World(stage, traffic, chance)
    rounds = Rounds(stage, world, agent, traffic, StatusWatch(stage.kube), tally, chance, options)
    begin = time.monotonic()
    failure, number, kind, extra = None, 0, "begin", ()
    try:
        rehearse(agent)
        rounds.begin()
        begin = time.monotonic()
        if figure:
            kind = figure
            extra = getattr(figures, f"many_{figure}")(rounds, options)
        else:
            print(Rounds.HEAD, flush=True)
        while not figure and time.monotonic() - begin < options.minutes * 60:
            number += 1
            kind = f"round_of_{options.only}" if options.only else chance.choice(Rounds.KINDS)
            rounds.play(number, kind)
        # Until the last packets sent are back or lost.
        rounds.pause(11, 12)
        rounds.judge()
    except Broken as broken:
        tally.add(broken.promise)
        failure = str(broken)
    except SystemExit:
        print("ended from outside", flush=True)
        raise
    except BaseException:
        options.keep = True
        print(f"the driver failed; see {work}", file=sys.stderr)
        raise
    finally:
        if failure is None and not options.keep:
            clean_up = True
        else:
            clean_up = False
        if failure:
            print(f"\nBROKEN in round {number} ({kind}), seed {options.seed}: {failure}\n\nwhat was done in it:\n  "
                  + "\n  ".join(rounds.log) + "\n\nlast words of the agent:\n"
                  + "".join(agent.log_since_start().splitlines(True)[-40:])
                  + f"\nkept: {work}", flush=True)
        report = None
        if options.report or failure:
            report = markdown("Chaos report", given, tally, agent, traffic, (time.monotonic() - begin) / 60, extra)
        if options.dashboard:
            stage.draw(os.path.join(os.environ.get("CHAOS_FROM", "."), options.dashboard), time.monotonic() - begin)
        agent.supervised = False
        if hasattr(rounds, "foreign"):
            rounds.foreign.remove()
        stage.close()
        if clean_up:
            host_umount(work)
    if report:
        print("\n" + report)
        if options.report not in (None, "-"):
            with open(os.path.join(os.environ.get("CHAOS_FROM", "."), options.report), "w") as f:
                f.write(report)
    return 1 if failure else 0


def rehearse(agent):
    """A first life that makes the AOT cache, as an installation has it: the many starts to come take half the time."""
    agent.start(before=["--make-aot"])
    await_true("the agent's first start", 90, lambda: "agent started" in agent.log_since_start())
    time.sleep(1)
    agent.terminate()
    agent.start()
    await_true("the agent's second start", 60, lambda: "agent started" in agent.log_since_start())


def host_umount(work):
    import subprocess
    for mount in (f"{work}/s", f"{work}/sys"):
        subprocess.run(["umount", "-l", mount], capture_output=True)
    shutil.rmtree(work, ignore_errors=True)


sys.exit(main())
