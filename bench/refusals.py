"""What a service that HAProxy refuses costs the other 199: ``python -m bench.refusals``, needs no Swarm.

Three rows of the same changes, side by side in one run on one real HAProxy each: nobody is refused; one service is
held already; in every change another service is refused for the first time. Each change is a server that comes, which
HAProxy takes live, or a setting of a backend, which is a reload. The time is that until the good change is proven live.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import structlog

from lbgen.daemon import assembly
from lbgen.daemon.target import Target
from lbgen.model import Builder
from lbgen.settings import Settings
from lbgen.snapshot import Service, Snapshot, Task
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.ports import free_port

SERVICES = 200
EXTRA = """{% extends "haproxy/haproxy.cfg.j2" %}
{% block http_backend_extra scoped %}
{% for service in snapshot.services.values() if service.name == backend.service and "bench.bad" in service.labels %}
    no-such-directive
{% endfor %}
{% endblock %}
"""


NODE, NETWORK = a_node(), a_network()
NODES, NETWORKS = {NODE.id: NODE}, {NETWORK.id: NETWORK}


@cache
def a_task_of(index: int, slot: int) -> Task:
    """Return the task of a service in a slot."""
    return a_task(f"s{index}", slot, addresses={"edge-id": f"127.{1 + index // 250}.{1 + index % 250}.{slot}"})


@dataclass
class Row:
    """One HAProxy and the cluster it is brought to."""

    target: Target
    builder: Builder
    services: list[Service]
    slots: int = 1
    turn: int = 0

    def snapshot(self) -> Snapshot:
        """Return the facts, objects that did not change being the same as before; the first service's servers vary."""
        tasks = [
            a_task_of(index, slot)
            for index in range(len(self.services))
            for slot in range(1, 2 + (self.slots if not index else 0))
        ]
        found = a_snapshot(NODE, NETWORK, *self.services, *tasks)
        return replace(found, nodes=NODES, networks=NETWORKS)

    def bring(self, good: str, generation_of: str = "") -> float:
        """Make one good change, bring HAProxy to it; return the seconds until it is live."""
        self.turn += 1
        if good == "server":
            self.slots = 1 + self.turn % 7
        else:
            self.label(0, "lbgen.timeout.response", f"{100 + self.turn}s")
        if generation_of:  # another service is refused, at the same moment
            self.label(10 + self.turn % 150, generation_of, "yes")
        snapshot = self.snapshot()
        began = time.perf_counter()
        model = self.builder.build(snapshot)
        live = len(self.target.history.changes)
        self.target.bring_to(model, snapshot)
        done = time.perf_counter() - began
        assert len(self.target.history.changes) > live, "nothing was applied"
        if good == "server":  # live before anybody is searched for: by lbgen's own clock
            done = min(done, self.target.history.changes[live].seconds)
        return done

    def label(self, index: int, label: str, value: str) -> None:
        service = self.services[index]
        self.services[index] = replace(service, labels={**service.labels, label: value})


@contextmanager
def row() -> Iterator[Row]:
    """Run a HAProxy that serves 200 services."""
    with tempfile.TemporaryDirectory(prefix="lb-", dir="/tmp") as name:
        directory = Path(name)
        (directory / "mine").mkdir()
        (directory / "mine" / "haproxy.cfg.j2").write_text(EXTRA)
        target = {"templates": [str(directory / "mine"), "haproxy"], "output": name + "/out", "apply": {"run": True}}
        settings = Settings.model_validate(
            {
                "listeners": {"web": {"bind": f"127.0.0.1:{free_port()}"}},
                "status": {"bind": ""},
                "min_reload_interval": "0s",
                "targets": {"edge": target},
            }
        )
        services = [
            a_service(f"s{index}", {"port": 80, "host": f"s{index}.org", "health-check": "off"}, networks=("edge-id",))
            for index in range(SERVICES)
        ]
        made = assembly.Assembly("edge", settings.targets["edge"], settings).target()
        made.start()
        try:
            found = Row(made, Builder(settings.rules()), services)
            snapshot = found.snapshot()
            assert made.bring_to(found.builder.build(snapshot), snapshot)
            yield found
        finally:
            made.stop()


def main(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.refusals", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="changes of each kind (default: 20, at most 100)")
    rounds = min(parser.parse_args(arguments).rounds, 100)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda *_: ""])
    names = ("nobody is refused", "one is held", "another is refused each time")
    times: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        rows = {name: stack.enter_context(row()) for name in names}
        rows[names[1]].label(150, "bench.bad", "yes")
        rows[names[1]].bring("setting")
        for good in ("server", "setting"):
            for _ in range(rounds):
                for name in names:
                    bad = "bench.bad" if name == names[2] else ""
                    times.setdefault((name, good), []).append(rows[name].bring(good, bad))
        print(f"{SERVICES} services, {rounds} changes of each kind; milliseconds until live, median (least..most)\n")
        print(f"| {'':28} | {'a server comes':>22} | {'a reload':>22} | verdicts |")
        for name in names:
            cells = " | ".join(f"{_spelt(times[name, good]):>22}" for good in ("server", "setting"))
            verdicts = sum(rows[name].target.counters.counts("checks").values())
            print(f"| {name:28} | {cells} | {verdicts:>8} |")


def _spelt(seconds: Sequence[float]) -> str:
    median, least, most = (1000 * each for each in (statistics.median(seconds), min(seconds), max(seconds)))
    return f"{median:.0f} ({least:.0f}..{most:.0f})"


if __name__ == "__main__":
    main(sys.argv[1:])
