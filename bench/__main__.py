"""``python -m bench``: the command. Needs root; docs/benchmarks.md explains the result."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import endurance, hup, process, scenarios, seats
from bench.measure import outcomes
from bench.report import Run, document, text
from bench.scenarios import ALONE, IDLE_SECONDS, LIMIT, Plan
from bench.stage import Block, Budget, Stage, lab
from tests.lab.fixtures import unavailable
from tests.lab.settings import LabError

QUIET = 0.15  # share of the processors' time that others may take
KEPT = 0.7  # share of what the later scenarios need that an earlier one leaves them, on a slow machine


def main() -> None:
    """Run, print, and write the JSON."""
    options = _options()
    if reason := unavailable():
        sys.exit(f"bench: {reason}")
    if options.clean:
        print("\n".join(f"removed {item}" for item in lab().down()) or "there was nothing to remove")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: ended by SIGTERM"))
    try:
        run = bench(options)
    except (LabError, RuntimeError, AssertionError) as problem:
        sys.exit(f"bench: {problem}")
    print(text(run))
    if options.json:
        options.json.write_text(json.dumps(document(run), indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Load balancers for Swarm, side by side.")
    parser.add_argument("--short", action="store_true", help="few rounds, less than 10 minutes")
    parser.add_argument("--seats", default=",".join(seats.DEFAULT), help=f"of {', '.join(seats.ALL)}")
    parser.add_argument("--scenarios", default="", help=f"of {', '.join(scenarios.NAMES)}; default: all")
    parser.add_argument("--rounds", type=int, help="of each scenario")
    parser.add_argument("--rate", type=float, help="requests/s for each seat; default: 200, less if that is too much")
    parser.add_argument("--limit", type=float, help="seconds; default: 560 (short), 3600 (long)")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for the machine to become quiet")
    parser.add_argument("--haproxy", default=shutil.which("haproxy") or "haproxy", help="program of all HAProxy seats")
    parser.add_argument("--clean", action="store_true", help="only remove what a killed run has left")
    parser.add_argument("--logs", type=Path, help="directory for the logs of all seats")
    parser.add_argument("--json", type=Path, help="file to write everything to")
    options = parser.parse_args()
    options.seats, options.scenarios = _listed(options.seats), _listed(options.scenarios)
    for given, known in ((options.seats, list(seats.ALL)), (options.scenarios, scenarios.NAMES)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return options


def _listed(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def bench(options: argparse.Namespace) -> Run:
    """Do it."""
    form = "short" if options.short else "long"
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {line}", file=sys.stderr, flush=True)

    _wait_quiet(options.patience, say)
    load = os.getloadavg()[0]
    head: dict[str, Any] = {
        "begun": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "machine": f"{os.cpu_count()} processors, load average {load:.1f}, {process.busy_for(3.0):.0%} busy before",
        "versions": ", ".join(f"{key} {value}" for key, value in seats.versions(options.haproxy).items()),
    }
    say(head["machine"])
    say(head["versions"])
    plans = scenarios.chosen(form, options.scenarios, options.rounds)
    together = [plan for plan in plans if plan.scenario not in ALONE]
    alone = [plan for plan in plans if plan.scenario in ALONE]
    blocks: list[Block] = []
    remarks: list[str] = []
    deploys = idle = None
    with Stage(options.haproxy, Budget(options.limit or LIMIT[form]), say, options.logs) as stage:
        stage.open_seats(options.seats)
        if not stage.seats:
            raise RuntimeError(f"no seat can take part: {stage.skipped}")
        stage.service("abrupt", scenarios.FEW)
        say(f"ready: {', '.join(stage.seats)}")
        head["rate"] = _rate(stage, options.rate)
        for number, plan in enumerate(together):
            blocks.append(scenarios.run(stage, plan, KEPT * _needed(together[number + 1 :] + alone)))
            remarks += _cut(plan, len(blocks[-1].events))
        hups = hup.compare(stage, blocks) if any(plan.scenario == "hup" for plan in alone) else None
        alone = [plan for plan in alone if plan.scenario != "hup"]
        if alone and (chosen := stage.push_or_fallback()):
            stage.close_seats(but=[chosen])
            for number, plan in enumerate(alone):
                if plan.scenario == "deploys":
                    deploys = endurance.deploys(stage, plan, _needed(alone[number + 1 :]))
                elif stage.budget.left() > plan.seconds or not blocks:
                    idle = endurance.idle(stage, IDLE_SECONDS[form])
                else:
                    remarks.append("idle was left out: no time was left")
        stage.close_seats()
        skipped = stage.skipped
        remarks += stage.notes
    head["rounds"] = ", ".join(f"{plan.scenario}/{plan.app} {plan.rounds}" for plan in plans if plan.app)
    head["took"] = f"{time.monotonic() - began:.0f} s"
    return Run(form, head, outcomes(blocks), blocks, skipped, hups, deploys, idle, remarks)


def _wait_quiet(patience: float, say: Callable[[str], None]) -> None:
    """Wait until nothing else takes much of the machine: it would be measured too."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends and (busy := process.busy_for(min(10.0, patience))) > QUIET:
        say(f"the machine is {busy:.0%} busy with something else")


def _rate(stage: Stage, wanted: float | None) -> str:
    """Set the rate; say which it is."""
    if wanted:
        stage.rate = wanted
        return f"{wanted:g} requests/s for each seat (as asked), half of them on connections kept alive"
    found = stage.find_rate("abrupt")
    return f"{stage.rate:g} requests/s for each seat, half of them on connections kept alive; {found}"


def _needed(plans: list[Plan]) -> float:
    return sum(plan.rounds * plan.seconds for plan in plans)


def _cut(plan: Plan, events: int) -> list[str]:
    rounds = events // 2 if plan.scenario == "scale" else events
    return (
        [f"{plan.scenario}/{plan.app}: {rounds} of {plan.rounds} rounds, time was up"] if rounds < plan.rounds else []
    )


if __name__ == "__main__":
    main()
