"""How long after an engine's own event a change on a host without Swarm is live: ``python -m bench.hosts``.

Two lbgens, each with an HAProxy of its own, follow the same two hosts: one over ssh, as from another machine, one over
the engines' sockets. A container says in its health check that it is ill, and later that it is well. Seconds are from
the engine's event ("health_status") to lbgen's proof that the change is live. Root; a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lbgen.snapshot import moment
from tests.lab import host, probe
from tests.lab.boxes import Boxes
from tests.lab.settings import Settings
from tests.lab.sidecar import Sidecar

PROJECT = {
    "services": {
        "web": {
            "image": "lab/app-health",
            "ports": ["8080"],
            "labels": {"lbgen.enable": "true", "lbgen.host": "shop.example.org"},
        }
    }
}
STATES = ("unhealthy", "running")
SETTINGS = Settings(2, 1, "lbgj-", Path("/var/lib/lbgen-hostsb"), "192.168.227.0/24")


class Seat:
    """One lbgen with its HAProxy."""

    def __init__(self, boxes: Boxes, endpoints: Mapping[str, str], directory: Path, number: int) -> None:
        self.boxes, self.status = boxes, 9100 + number
        hosts = [
            {"name": name, "endpoint": endpoint, "address": boxes.nodes[name].address}
            for name, endpoint in endpoints.items()
        ]
        document = {
            "source": {"hosts": hosts},
            "state": str(directory / "state"),
            "status": {"bind": f"127.0.0.1:{self.status}"},
            "listeners": {"web": {"bind": f":{8100 + number}"}},
            "targets": {"edge": {"templates": "haproxy", "output": str(directory / "edge"), "apply": {"run": True}}},
        }
        self.lbgen = Sidecar(directory, boxes.outside, document)

    def seconds(self, text: str, since: float) -> float:
        """From the engine's event to live, of the change with this cause."""

        def told() -> float:
            body = probe.get("127.0.0.1", self.status, "/api/v1/history?limit=20", netns=self.boxes.outside).body
            for change in json.loads(body)["changes"]:
                for cause in change["causes"]:
                    if text in cause["text"] and moment(cause["at"]) >= since:
                        return float(cause["lag_seconds"])
            return 0.0

        return host.wait_for(told, 20, f"a change because of {text}", 0.05)


def measured(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Return {seat: {state: seconds}}."""
    boxes = Boxes(SETTINGS)
    with ExitStack() as stack:
        stack.callback(boxes.down)
        boxes.up()
        for name in boxes.nodes:
            boxes.compose(name, PROJECT, "up", "--detach", "--scale", "web=2")
        os.environ["PATH"] = f"{boxes.path}:{os.environ['PATH']}"
        sockets = {name: f"unix://{node.socket}" for name, node in boxes.nodes.items()}
        ways: dict[str, dict[str, str]] = {"unix": sockets, "ssh": {name: boxes.endpoint(name) for name in boxes.nodes}}
        seats = {}
        for number, (way, endpoints) in enumerate(ways.items()):
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="lbj-")))
            seats[way] = Seat(boxes, endpoints, directory, number)
            seats[way].lbgen.start()
            stack.callback(seats[way].lbgen.end_proxy)
            stack.callback(seats[way].lbgen.stop)
        for seat in seats.values():
            host.wait_for(lambda seat=seat: len(seat.lbgen.servers("shop_web")) == 4, 60, "four servers")
        (port,) = {each["PublicPort"] for each in boxes.containers("a", "web")[0]["Ports"]}
        found: dict[str, dict[str, list[float]]] = {way: {state: [] for state in STATES} for way in seats}
        for _ in range(rounds):
            for path, state in zip(("/unhealthy", "/healthy"), STATES, strict=True):
                since = time.time()
                probe.get(boxes.nodes["a"].address, port, path, netns=boxes.outside)
                for way, seat in seats.items():
                    found[way][state].append(seat.seconds(f"shop_web.1 on a: state {state}", since))
        return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.hosts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    found = measured(parser.parse_args().rounds)
    medians: dict[str, Any] = {way: statistics.median(each["running"]) for way, each in found.items()}
    print("| way | healthy: live | unhealthy: live | x unix |\n| --- | --- | --- | --- |")
    for way, each in found.items():
        cells = [
            f"{statistics.median(values) * 1000:.0f} ({min(values) * 1000:.0f}..{max(values) * 1000:.0f})"
            for values in (each["running"], each["unhealthy"])
        ]
        print(f"| {way} | {' | '.join(cells)} | {medians[way] / medians['unix']:.1f} |")


if __name__ == "__main__":
    main()
