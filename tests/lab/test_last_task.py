"""A service with one replica and the order stop-first: its only task is asked until it has really ended."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import probe
from tests.lab.host import wait_for
from tests.lab.service import Service
from tests.lab.services import Lab
from tests.lab.sidecar import sidecar

PORTS = {"haproxy": 8001, "nginx": 8002, "traefik": 8003}
DRAIN = 6  # seconds that the application goes on answering when it is asked to stop


@dataclass
class Account:
    """What happened to the old task, by this machine's clock."""

    leaving: float = 0.0  # Swarm wanted it gone
    ended: float = 0.0  # Swarm knew that it does not run any more
    failed: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in PORTS})
    asked: int = 0


def account_of(shop: Service, netns: str) -> Account:
    """Ask every proxy, and Swarm what it knows of the old task, until it has ended."""
    account, (old,) = Account(), shop.running()
    shop.update("--force", "--update-order", "stop-first", "--detach", wait=False)
    deadline = time.monotonic() + 90
    while not account.ended and time.monotonic() < deadline:
        for kind, port in PORTS.items():
            answer = probe.get("127.0.0.1", port, host="shop.test", netns=netns)
            account.asked += 1
            if answer.app != shop.responder(old):
                account.failed[kind].append(time.monotonic())
        task = next(task for task in shop.tasks() if task["ID"] == old["ID"])
        if task["DesiredState"] != "running" and not account.leaving:
            account.leaving = time.monotonic()
        if task["Status"]["State"] != "running":
            account.ended = time.monotonic()
    return account


def test_the_only_task(lab: Lab, tmp_path: Path) -> None:
    """With all three proxies it is asked from the moment that Swarm wants it gone until it ends, whatever the grace."""
    lab.network("web")
    targets = {
        kind: {
            "templates": kind,
            "output": str(tmp_path / kind),
            "listeners": [f"on-{kind}"],
            "apply": {"run": True},
        }
        for kind in PORTS
    }
    targets["traefik"]["binary"] = str(Path(sys.executable).parent / "traefik")
    listeners = {f"on-{kind}": {"bind": f":{port}"} for kind, port in PORTS.items()}
    labels = {"lbgen.enable": "true", "lbgen.host": "shop.test", "lbgen.port": "8080"}
    shop = lab.service("shop", networks=["web"], labels=labels, args=["--on-term", f"drain:{DRAIN}"], stop_grace="30s")
    with (
        lab.attached("web") as attached,
        sidecar(
            attached.netns,
            lab.manager,
            listeners=listeners,
            default_listeners=list(listeners),
            discovery={"drain_grace": "1s"},
            targets=targets,
        ),
    ):

        def served() -> bool:
            answers = [probe.get("127.0.0.1", port, host="shop.test", netns=attached.netns) for port in PORTS.values()]
            return {answer.app for answer in answers} == set(shop.responders())

        wait_for(served, 60, "all proxies to serve shop")
        account = account_of(shop, attached.netns)
        assert 0 < account.leaving < account.ended
        # Swarm is told of an end a moment after it, so what fails does so in the last part of the time.
        late = account.leaving + (account.ended - account.leaving) / 2
        early = {kind: [at for at in times if at < late] for kind, times in account.failed.items()}
        assert early == {kind: [] for kind in PORTS}
        shop.wait()
        wait_for(served, 60, "all proxies to serve the new task")
