"""The events: what is done to the services while all seats are under load."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench.rotation import Rotation
from bench.seats import NETWORK
from bench.stage import Block, Stage
from tests.lab.service import Service, Task

ALONE = ("hup", "deploys", "idle")  # scenarios of one seat, after all others
FEW, MANY = 2, 6  # tasks: of the service that is scaled, and of the others
PARALLEL = 2  # tasks that a rolling update replaces at a time


@dataclass(frozen=True, slots=True)
class Plan:
    """One scenario: with which application, how often, and how long a round takes (a guess, for the time limit)."""

    scenario: str
    app: str
    rounds: int
    seconds: float


SHORT = [
    Plan("scale", "abrupt", 5, 35),
    Plan("kill", "abrupt", 2, 25),
    Plan("update-start-first", "abrupt", 1, 32),
    Plan("update-stop-first", "abrupt", 1, 38),
    Plan("node-drain", "abrupt", 1, 28),
    Plan("hup", "", 1, 30),
    Plan("deploys", "abrupt", 10, 10.5),
    Plan("idle", "", 1, 80),
]
LONG = [
    Plan("scale", "abrupt", 10, 36),
    Plan("kill", "abrupt", 5, 28),
    Plan("update-start-first", "abrupt", 5, 35),
    Plan("update-stop-first", "abrupt", 5, 40),
    Plan("node-drain", "abrupt", 5, 30),
    Plan("scale", "drain", 5, 40),
    Plan("update-start-first", "drain", 5, 40),
    Plan("update-stop-first", "drain", 5, 45),
    Plan("node-drain", "drain", 5, 35),
    Plan("hup", "", 1, 100),
    Plan("deploys", "abrupt", 100, 10.5),
    Plan("idle", "", 1, 140),
]
NAMES = list(dict.fromkeys(plan.scenario for plan in LONG))
IDLE_SECONDS = {"short": 30.0, "long": 60.0}
LIMIT = {"short": 575.0, "long": 3600.0}  # seconds


def chosen(form: str, names: list[str], rounds: int | None) -> list[Plan]:
    """The plan of a form, less what is not wanted."""
    plans = [plan for plan in (SHORT if form == "short" else LONG) if not names or plan.scenario in names]
    changed = [replace(plan, rounds=rounds) if rounds and plan.app else plan for plan in plans]
    return sorted(changed, key=lambda plan: plan.scenario in ALONE)


class Rounds:
    """Lets rounds happen as long as there is time for them."""

    def __init__(self, stage: Stage, plan: Plan, reserved: float) -> None:
        self.stage, self.plan, self.reserved = stage, plan, reserved
        self.waits = stage.phases(plan.rounds)
        self.done = 0

    def __iter__(self) -> Iterator[float]:
        """The wait before each round."""
        for wait in self.waits:
            if self.stage.budget.left() - self.reserved < self.plan.seconds:
                self.stage.say(f"{self.plan.scenario} ({self.plan.app}): {self.done} of {self.plan.rounds}, time is up")
                return
            self.done += 1
            yield wait


def run(stage: Stage, plan: Plan, reserved: float) -> Block:
    """Run one scenario of those that all seats watch.

    Args:
        reserved: seconds that have to be left for what comes after it.
    """
    doer: dict[str, Callable[[Stage, Plan, float], Block]] = {
        "scale": scale,
        "kill": kill,
        "node-drain": node_drain,
        "update-start-first": update,
        "update-stop-first": update,
    }
    return doer[plan.scenario](stage, plan, reserved)


def scale(stage: Stage, plan: Plan, reserved: float) -> Block:
    """One task more, then one less, of a few: the fewer there are, the sooner a new one's turn comes."""
    service = stage.service(plan.app, FEW)
    with stage.block(plan.app) as (clients, block):
        rounds = Rounds(stage, plan, reserved)
        for wait, other in zip(rounds, stage.phases(plan.rounds), strict=False):
            act = _replicas(stage, service, FEW + 1)
            with Rotation(stage.seats, plan.app, inside=True) as rotation:
                event = stage.event("scale-up", service, clients, FEW + 1, act, wait, rotation)
            event.inside = rotation.when
            act = _replicas(stage, service, FEW)
            block.events += [event, stage.event("scale-down", service, clients, FEW, act, other)]
    return block


def kill(stage: Stage, plan: Plan, reserved: float) -> Block:
    """A container dies by SIGKILL; Swarm starts another one 5 s later."""
    service = stage.service(plan.app, MANY)
    with stage.block(plan.app) as (clients, block):
        for wait in Rounds(stage, plan, reserved):
            victim = random.choice(service.running())
            with Rotation(stage.seats, plan.app, inside=False) as rotation:
                act = _kill(service, victim, rotation)
                event = stage.event(plan.scenario, service, clients, MANY, act, wait)
            event.out = rotation.when
            block.events.append(event)
    return block


def update(stage: Stage, plan: Plan, reserved: float) -> Block:
    """A rolling update of all tasks, two at a time."""
    service = stage.service(plan.app, MANY)
    order = plan.scenario.removeprefix("update-")
    with stage.block(plan.app) as (clients, block):
        for wait in Rounds(stage, plan, reserved):
            act = rolling(stage, service, order)
            block.events.append(stage.event(plan.scenario, service, clients, MANY, act, wait))
    return block


def node_drain(stage: Stage, plan: Plan, reserved: float) -> Block:
    """A worker is drained, and Swarm moves its tasks; it is made active again before the next round."""
    service = stage.service(plan.app, MANY)
    with stage.block(plan.app) as (clients, block):
        for wait in Rounds(stage, plan, reserved):
            with _fullest_worker(stage, service) as node:
                act = _availability(stage, node, "drain")
                block.events.append(stage.event(plan.scenario, service, clients, MANY, act, wait))
    return block


def rolling(stage: Stage, service: Service, order: str, parallel: int = PARALLEL) -> Callable[[], object]:
    """An action that starts a rolling update."""

    def edit(spec: dict[str, Any]) -> None:
        spec["UpdateConfig"] = {**spec["UpdateConfig"], "Order": order, "Parallelism": parallel}
        spec["TaskTemplate"]["ForceUpdate"] = spec["TaskTemplate"].get("ForceUpdate", 0) + 1

    return lambda: stage.change(service, edit)


def _replicas(stage: Stage, service: Service, count: int) -> Callable[[], object]:
    def edit(spec: dict[str, Any]) -> None:
        spec["Mode"]["Replicated"]["Replicas"] = count

    return lambda: stage.change(service, edit)


def _kill(service: Service, victim: Task, rotation: Rotation) -> Callable[[], object]:
    def act() -> None:
        rotation.start(service.address(victim, NETWORK))
        service.kill(victim)

    return act


def _availability(stage: Stage, node: str, wanted: str) -> Callable[[], object]:
    def act() -> None:
        item = stage.lab.swarm_nodes()[node]
        spec = {**item["Spec"], "Availability": wanted}
        stage.lab.api("POST", f"/nodes/{item['ID']}/update", spec, version=str(item["Version"]["Index"]))

    return act


@contextmanager
def _fullest_worker(stage: Stage, service: Service) -> Iterator[str]:
    """The name of the worker that runs most tasks; it is active again afterwards."""
    where = [stage.lab.node_of(task).name for task in service.running()]
    workers = list(stage.lab.nodes)[stage.lab.settings.managers :]
    name = max(workers, key=where.count)
    try:
        yield name
    finally:
        _availability(stage, name, "active")()
