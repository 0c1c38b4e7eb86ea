"""What stays of lbgen after many deploys, and what it costs while nothing happens."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bench import process, seats, trace
from bench.scenarios import MANY, Plan, Rounds, rolling
from bench.stage import Stage
from tests.lab import host
from tests.lab.service import Service
from tests.lab.settings import LabError

SERVICES = 60  # of the idle scenario
PARALLEL = 3  # tasks that a deploy replaces at a time: 100 deploys shall end


@dataclass(slots=True)
class Deploys:
    """Rolling updates in a row."""

    seat: str
    asked: int
    done: int = 0
    seconds: float = 0.0
    counts: dict[str, trace.Count] = field(default_factory=dict)  # by mode
    reloads: int = 0
    samples: list[dict[str, Any]] = field(default_factory=list)  # after each deploy: processes and their memory
    entered: list[float] = field(default_factory=list)  # seconds, task running -> first answer


@dataclass(slots=True)
class Idle:
    """CPU time while nothing happens."""

    seat: str
    services: int
    tasks: int
    seconds: float
    cpu: dict[str, float]  # {process name: share of one processor}
    memory: dict[str, dict[str, float]]


def deploys(stage: Stage, plan: Plan, reserved: float) -> Deploys:
    """Rolling updates of six replicas under load, start-first and stop-first in turn."""
    name = stage.push_or_fallback()
    seat = stage.seats[name]
    assert isinstance(seat, seats.Lbgen)
    found = Deploys(name, plan.rounds)
    service = stage.service(plan.app, MANY)
    before = _state(seat)
    began = time.monotonic()
    while found.done < plan.rounds:  # in parts: a client's trace is held in memory
        some = min(25, plan.rounds - found.done)
        with stage.load(plan.app, [name]) as clients:
            arriving = []
            for _ in Rounds(stage, Plan(plan.scenario, plan.app, some, plan.seconds), reserved):
                order = ("start-first", "stop-first")[found.done % 2]
                act = rolling(stage, service, order, PARALLEL)
                event = stage.event(f"deploy {found.done + 1} {order}", service, clients, MANY, act, 0.0)
                arriving += event.arriving
                found.done += 1
                found.samples.append(_state(seat))
            time.sleep(1)
            traces = {client.mode: client.requests() for client in clients[name]}
        for mode, requests in traces.items():
            found.counts.setdefault(mode, trace.Count()).add(trace.counted(requests))
        for story in arriving:
            firsts = [trace.first_answer(requests, story.who) for requests in traces.values()]
            known = [first for first in firsts if first is not None]
            if known and story.ran_stored:
                found.entered.append(min(known) - story.ran_stored)
        if stage.budget.left() - reserved < plan.seconds:
            break
    found.seconds = time.monotonic() - began
    found.samples.insert(0, before)
    found.reloads = found.samples[-1].get("reloads", -1) - before.get("reloads", 0)
    return found


def _state(seat: seats.Lbgen) -> dict[str, Any]:
    """Workers and memory of the seat now."""
    pids = seat.pids()
    proxy = pids.get("haproxy", [])
    others = [pid for name, some in pids.items() if name != "haproxy" for pid in some]
    return {**seat.workers(), "haproxy": process.memory(proxy), "lbgen": process.memory(others)}


def idle(stage: Stage, seconds: float) -> Idle:
    """60 services with a task each, no load, nothing happening."""
    name = stage.push_or_fallback()
    seat = stage.seats[name]

    def make(number: int) -> Service:
        service = f"idle{number}"
        return stage.lab.service(
            service, networks=[seats.NETWORK], labels=seats.labels(service), endpoint_mode="dnsrr", wait=False
        )

    with ThreadPoolExecutor(6) as pool:
        services = list(pool.map(make, range(SERVICES)))
    try:
        wanted = {service.id for service in services}
        tasks = host.wait_for(lambda: _all_run(stage, wanted), 120, f"{SERVICES} services to run", 0.5)
        seat.wait_ready(f"idle{SERVICES - 1}")
        time.sleep(8)  # for the drain grace and for what Swarm has to tidy up
        pids = seat.pids()
        before = {key: process.cpu_seconds(some) for key, some in pids.items()}
        began = time.monotonic()
        time.sleep(seconds)
        spent = time.monotonic() - began
        cpu = {key: (process.cpu_seconds(some) - before[key]) / spent for key, some in pids.items()}
        memory = {key: process.memory(some) for key, some in pids.items()}
        return Idle(name, len(services), tasks, spent, cpu, memory)
    finally:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda service: stage.lab.api("DELETE", f"/services/{service.id}"), services))


def _all_run(stage: Stage, services: set[str]) -> int:
    """How many tasks run, once each of these services has one that does."""
    running = [task for task in stage.lab.tasks() if task["DesiredState"] == task["Status"]["State"] == "running"]
    if missing := services - {task["ServiceID"] for task in running}:
        raise LabError(f"{len(missing)} services have no running task")
    return len(running)
