"""``python -m tests.lab.record_host ENGINE DIRECTORY``: what an engine without a Swarm says of its containers.

Writes whole replies to DIRECTORY, indented but otherwise as they came; tests/fixtures/README.md tells what runs there.
Needs root and half a minute; the node, its namespace and what runs in it are its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab import app_image, host
from tests.lab.node import Node
from tests.lab.settings import Settings

PROJECT = "shop"
KEPT = {
    "info": ("ID", "Name", "ServerVersion", "SystemTime", "Swarm"),
    "version": ("Version", "ApiVersion", "MinAPIVersion", "Os", "Arch"),
}


@contextmanager
def plain_host(settings: Settings) -> Iterator[Node]:
    """A dockerd in no Swarm, with the lab's images."""
    host.clean(settings)
    settings.directory.mkdir(parents=True)
    node = Node(settings, 1)
    try:
        host.open_bridge(settings)
        host.open_namespace(settings, 1)
        node.launch()
        node.wait_ready()
        node.api("POST", "/images/load", app_image.archive()[0], timeout=60)
        yield node
    finally:
        host.clean(settings)


class Stage:
    """Containers as Compose makes them, and others."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def run(self, name: str, *flags: str, image: str = "app", args: tuple[str, ...] = ()) -> None:
        """``docker run``."""
        checks = ("--health-interval", "2s") if image == "app-health" else ()
        self.node.docker("run", "--detach", "--name", name, *checks, *flags, f"lab/{image}", *args)

    def compose(self, service: str, number: int, *flags: str, one_off: bool = False, **options: Any) -> None:
        """A container of the project, with the labels that Compose 2 gives it."""
        name = f"{PROJECT}-{service}-run-1f2e3d4c5b6a" if one_off else f"{PROJECT}-{service}-{number}"
        labels = {
            "config-hash": hashlib.sha256(service.encode()).hexdigest(),
            "container-number": str(number),
            "depends_on": "",
            "image": "sha256:0",
            "oneoff": str(one_off),
            "project": PROJECT,
            "project.config_files": "/srv/shop/compose.yml",
            "project.working_dir": "/srv/shop",
            "service": service,
            "version": "2.40.0",
        }
        words = [word for key, value in labels.items() for word in ("--label", f"com.docker.compose.{key}={value}")]
        own = ("--network", f"{PROJECT}_default", "--network-alias", service)
        self.run(name, *own, *words, *flags, **options)

    def network(self, name: str) -> None:
        """A network of the project."""
        labels = {"network": name, "project": PROJECT, "version": "2.40.0"}
        words = [word for key, value in labels.items() for word in ("--label", f"com.docker.compose.{key}={value}")]
        self.node.docker("network", "create", *words, f"{PROJECT}_{name}")

    def health(self, name: str) -> str:
        """What the engine makes of its checks: healthy, unhealthy or starting."""
        return str(self.node.api("GET", f"/containers/{name}/json")["State"]["Health"]["Status"])

    def wait_health(self, name: str, state: str) -> None:
        """Wait until the checks have found that."""
        host.wait_for(lambda: self.health(name) == state, 30, f"{name} to be {state}")

    def up(self) -> None:
        """Start everything."""
        for name in ("default", "back"):
            self.network(name)
        labels = ("--label", "lbgen.enable=true", "--label", "lbgen.host=shop.example.com")
        for number in (1, 2):
            self.compose("web", number, *labels, "--publish", "8080")
        api = ("--label", "lbgen.enable=true", "--publish", "8081:8080", "--publish", "5353:5353/udp")
        self.compose("api", 1, *api, image="app-health")
        self.node.docker("network", "connect", "--alias", "api", f"{PROJECT}_back", f"{PROJECT}-api-1")
        self.compose("slow", 1, image="app-health", args=("--healthy-after", "3600"))
        self.compose("sick", 1, "--health-start-period", "1s", image="app-health", args=("--healthy-after", "3600"))
        self.compose("web", 1, one_off=True, args=("pause",))
        self.run("loopback", "--publish", "127.0.0.1:9000:8080", "--label", "lbgen.service=inner")
        self.run("hostnet", "--network", "host", args=("--port", "9001"))
        self.run("lonely", "--network", "none")
        self.run("frozen", "--publish", "9002:8080")
        self.node.docker("pause", "frozen")
        self.run("ended", args=("check",))
        self.run("again", "--restart", "always", args=("check",))
        self.node.docker("create", "--name", "created", "lab/app")
        self.wait_health(f"{PROJECT}-api-1", "healthy")
        self.wait_health(f"{PROJECT}-sick-1", "unhealthy")

    def change(self) -> None:
        """One change after the other, whose events tell of it."""
        web, api, back = f"{PROJECT}-web-1", f"{PROJECT}-api-1", f"{PROJECT}_back"
        for words in (
            ("unpause", "frozen"),
            ("pause", web),
            ("unpause", web),
            ("rename", "frozen", "thawed"),
            ("kill", web),
            ("start", web),
            ("restart", "--time", "1", f"{PROJECT}-web-2"),
            ("network", "disconnect", back, api),
            ("network", "connect", back, api),
            ("update", "--restart", "no", "again"),
            ("stop", "--time", "1", "thawed"),
            ("rm", "thawed"),
            ("rm", "--force", "loopback"),
        ):
            self.node.docker(*words)


def record(engine: str, directory: Path) -> None:
    """Record everything."""
    with plain_host(Settings(1, 1, "lbgr-", Path("/var/lib/lbgen-record"), "192.168.228.0/24", (engine,))) as node:
        stage = Stage(node)
        began = time.time()
        stage.up()
        listed = node.api("GET", "/containers/json", all="true")
        replies = {
            "containers": listed,
            "inspected": [node.api("GET", f"/containers/{item['Id']}/json") for item in listed],
            "networks": node.api("GET", "/networks"),
            **{name: reduced(name, node.api("GET", f"/{name}")) for name in KEPT},
        }
        then = time.time()
        stage.change()
        for name, (since, until) in {"up": (began, then), "change": (then, time.time())}.items():
            span = {"since": f"{since:.9f}", "until": f"{until:.9f}"}
            replies[f"events-{name}"] = node.api("GET", "/events", **span)
    write(directory, replies)


def write(directory: Path, replies: dict[str, Any]) -> None:
    """Write each reply to a file of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, reply in replies.items():
        (directory / f"{name}.json").write_text(json.dumps(reply, indent=1, ensure_ascii=False) + "\n")


def reduced(name: str, reply: dict[str, Any]) -> dict[str, Any]:
    """What of ``GET /info`` or ``/version`` is kept."""
    return {key: value for key, value in reply.items() if key in KEPT[name]}


if __name__ == "__main__":
    record(sys.argv[1], Path(sys.argv[2]))
