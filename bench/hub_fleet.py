"""Hubs, edges and an lbgen without a hub for the bench: each an `lbgen run` of its own, the last two with HAProxy.

The engines that they follow replay what Docker 20.10 was recorded to say (tests/support/fake_host.py): an event says
that a health check has changed its mind, and the list has it by then. So nothing but lbgen takes time. When something
is live is what lbgen's log says of it: reading that costs those that are measured nothing.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.fake_host import FakeHost
from tests.support.ports import free_port
from tests.support.wait import wait_for

TASKS = 3  # of a service
STATES = ("unhealthy", "healthy")
FIRST_PORT = 20_001


class Engine:
    """One engine without Swarm, whose containers change."""

    def __init__(self, path: Path, services: int) -> None:
        self._host, self._services = FakeHost(path), services
        like = self._host.container("shop-api-1")
        self._host.containers = [
            _container(like, service, number) for service in range(services) for number in range(1, TASKS + 1)
        ]
        self.endpoint = self._host.endpoint

    def change(self, number: int) -> float:
        """Have a health check of another service fail, or with odd numbers that one pass again; return when."""
        state = STATES[number % 2]
        at = time.time()
        name = f"p-s{number // 2 % self._services}-1"
        self._host.change(name, f"health_status: {state}", Status=f"Up 5 minutes ({state})")
        return at

    def stop(self) -> None:
        self._host.stop()


def _container(like: dict[str, Any], service: int, number: int) -> dict[str, Any]:
    index = service * TASKS + number
    labels = {
        "com.docker.compose.project": "p",
        "com.docker.compose.service": f"s{service}",
        "com.docker.compose.container-number": str(number),
        "lbgen.enable": "true",
        "lbgen.host": f"s{service}.test",
        "lbgen.port": "80",
        "lbgen.health-check": "off",  # nothing listens at the ports, and proxies that find that out cost time
    }
    port = {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": FIRST_PORT + index, "Type": "tcp"}
    return {**like, "Id": f"{index:064x}", "Names": [f"/p-s{service}-{number}"], "Labels": labels, "Ports": [port]}


class Seat:
    """One `lbgen run`, and what its log says."""

    def __init__(self, place: Path, name: str, netns: str = "") -> None:
        (place / name).mkdir()
        self.name, self.daemon = name, Daemon(place / name, 80)
        self.daemon.settings |= {"state": str(place / name / "state")}
        self._through = ["ip", "netns", "exec", netns] if netns else []
        self._read = 0
        self._events: list[dict[str, Any]] = []

    def start(self, **settings: Any) -> None:
        """Start it with these settings."""
        self.daemon.settings |= settings
        self.daemon.save()
        self.daemon.start(through=self._through)

    def kill(self) -> float:
        """Kill it; return when."""
        assert self.daemon.process
        at = time.time()
        self.daemon.process.kill()
        self.daemon.process.wait()
        return at

    def end(self) -> None:
        if self.daemon.process and self.daemon.process.poll() is None:
            self.daemon.process.terminate()
            self.daemon.process.wait(60)

    def told(self, event: str, since: float = 0.0) -> dict[str, Any] | None:
        """Return the first line of the log that tells of an event after this moment, with `at`; None: not yet."""
        with self.daemon.log.open("rb") as log:
            log.seek(self._read)
            news = log.read()
        whole = news[: news.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):  # HAProxy's own words
                said = json.loads(line)
                self._events.append(said | {"at": datetime.fromisoformat(said["time"]).timestamp()})
        return next((each for each in self._events if each["event"] == event and each["at"] >= since), None)

    def newest(self, event: str) -> dict[str, Any]:
        """Return the last line of the log that tells of an event."""
        self.told(event)
        return [each for each in self._events if each["event"] == event][-1]

    def wait(self, event: str, since: float = 0.0) -> float:
        """Wait until the log tells of an event after this moment; return when that was."""
        told = wait_for(lambda: self.told(event, since), f"{event} of {self.name}", interval=0.003)
        assert told
        return float(told["at"])


class Fleet:
    """The authority, hubs that follow one engine, and edges that follow the hubs."""

    def __init__(self, place: Path, services: int, ends: ExitStack) -> None:
        """
        Args:
            services: on the one host.
        """
        self.place, self._services, self._ends = place, services, ends
        self.engine = self.an_engine("hub")
        self._urls: list[str] = []
        self._authority = str(place / "authority" / "authority.pem")
        printed("hub", "init", "--dir", str(place / "authority"))

    def an_engine(self, name: str) -> Engine:
        """Start another engine."""
        engine = Engine(self.place / f"{name}.sock", self._services)
        self._ends.callback(engine.stop)
        return engine

    def direct(self, engine: Engine) -> Seat:
        """Start an lbgen that follows an engine itself."""
        seat = self._seat("direct")
        seat.start(source=_source(engine))
        return seat

    def hub(self, address: str = "127.0.0.1", netns: str = "") -> Seat:
        """Start a hub."""
        seat, place = self._seat(f"hub{len(self._urls) + 1}", netns), f"{address}:{free_port()}"
        self._urls.append(f"https://{place}")
        hub = {"bind": place, "authority": self._authority, "name": seat.name}
        seat.start(source=_source(self.engine), targets={}, hub=hub)
        seat.wait("hub_listening")
        return seat

    def edge(self, name: str, netns: str = "") -> Seat:
        """Start an edge."""
        seat = self._seat(name, netns)
        seat.start(source={"hub": {"urls": self._urls, "state": str(self.join(name, netns))}})
        return seat

    def join(self, name: str, netns: str = "") -> Path:
        """Have an edge of this name join; return its state directory."""
        state = self.place / f"{name}-state"
        token = printed("hub", "token", name, "--authority", self._authority)
        printed("join", self._urls[0], "--token", token, "--state", str(state), netns=netns)
        return state

    def _seat(self, name: str, netns: str = "") -> Seat:
        seat = Seat(self.place, name, netns)
        self._ends.callback(seat.end)
        return seat

    @property
    def urls(self) -> Sequence[str]:
        """Where the hubs listen."""
        return self._urls


@contextmanager
def a_fleet(place: Path, services: int) -> Iterator[Fleet]:
    """Have a fleet, at first without hubs and edges, while the block runs."""
    with ExitStack() as ends:
        yield Fleet(place, services, ends)


def printed(*words: str, netns: str = "") -> str:
    """Return what an lbgen command prints."""
    through = ["ip", "netns", "exec", netns] if netns else []
    command = [*through, sys.executable, "-m", "lbgen", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _source(engine: Engine) -> dict[str, Any]:
    return {"hosts": [{"name": "box", "endpoint": engine.endpoint, "address": "127.0.0.1"}]}
