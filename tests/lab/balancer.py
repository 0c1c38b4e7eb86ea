"""Compose projects on the plain hosts of `boxes`, and an lbgen with HAProxy beside them that follows these hosts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lbgen.snapshot import moment
from tests.lab import probe
from tests.lab.boxes import Boxes
from tests.lab.host import wait_for
from tests.lab.sidecar import WEB, Sidecar

HOST, API = "shop.example.org", "api.example.org"  # of services web and api
STATUS = 9099  # port
PROJECT: dict[str, Any] = {
    "services": {
        "web": {
            "image": "lab/app-health",
            "command": ["--on-term", "drain:1"],
            "ports": ["8080"],
            "labels": {"lbgen.enable": "true", "lbgen.host": HOST},
        },
        "api": {
            "image": "lab/app",
            "ports": ["8081:8080"],
            "labels": {
                "traefik.enable": "true",
                "traefik.http.routers.api.rule": f"Host(`{API}`)",
                "traefik.http.services.api.loadbalancer.server.port": "8080",
            },
        },
    }
}


def start_projects(hosts: Boxes) -> None:
    """Have two containers of web and one of api on each host."""
    with ThreadPoolExecutor(len(hosts.nodes)) as pool:
        list(pool.map(lambda name: hosts.compose(name, PROJECT, "up", "--detach", "--scale", "web=2"), hosts.nodes))


class Balancer:
    """Some hosts, and an lbgen with HAProxy beside them."""

    def __init__(self, hosts: Boxes, lbgen: Sidecar) -> None:
        self.hosts, self.lbgen = hosts, lbgen

    def web(self, *names: str) -> dict[str, str]:
        """{server of service web: its container's id} as these hosts have them, all if none is named."""
        found = {}
        for name in names or self.hosts.nodes:
            for each in self.hosts.containers(name, "web"):
                number = each["Labels"]["com.docker.compose.container-number"]
                found[f"shop_web.{name}" + (f".{number}" if number != "1" else "")] = each["Id"][:12]
        return found

    def servers(self) -> dict[str, str]:
        """The servers of web in HAProxy's file."""
        return self.lbgen.servers("shop_web")

    def wait_servers(self, *names: str) -> None:
        """Wait until exactly these are up, live."""

        def up() -> bool:
            serving = {name for name, rest in self.servers().items() if not rest.endswith("weight 0")}
            return serving == set(names) and self.lbgen.live()

        wait_for(up, 30, f"servers {names}, not {self.servers()}", 0.02)

    def wait_all(self) -> None:
        """Wait until every container of web is a server and answers."""
        wait_for(lambda: set(self.web()) == set(self.servers()), 30, "all to be servers")
        self.lbgen.wait_responders(HOST, set(self.web().values()))

    def traffic(self, **options: Any) -> Any:
        """200 requests a second."""
        return self.lbgen.traffic(HOST, rate=200, **options)

    def lag(self, text: str, since: float) -> float:
        """Seconds from the engine's event to live, of the change with this cause."""

        def told() -> float:
            for change in self._api("history")["changes"]:
                for cause in change["causes"]:
                    if text in cause["text"] and moment(cause["at"]) >= since - 0.5:
                        return float(cause["lag_seconds"]) or 0.001
            return 0.0

        return wait_for(told, 10, f"a change because of {text}", 0.05)

    def member(self, name: str) -> dict[str, Any]:
        """What status says of a host."""
        return next(each for each in self._api("status")["source"]["members"] if each["name"] == name)

    def _api(self, what: str) -> Any:
        return json.loads(probe.get("127.0.0.1", STATUS, f"/api/v1/{what}", netns=self.lbgen.netns).body)


@contextlib.contextmanager
def balancing(hosts: Boxes, netns: str, source: list[dict[str, Any]]) -> Iterator[Balancer]:
    """Run lbgen and HAProxy in a namespace while the block runs.

    Args:
        source: setting `source.hosts`.
    """
    # Not pytest's directory: the path of a unix socket may have 107 characters.
    with TemporaryDirectory(prefix="lbh-") as name:
        directory = Path(name)
        document = {
            "source": {"hosts": source},
            "state": str(directory / "state"),
            "discovery": {"dialects": ["lbgen", "traefik"]},
            "status": {"bind": f"127.0.0.1:{STATUS}"},
            "listeners": {"web": {"bind": f":{WEB}"}},
            "targets": {"edge": {"templates": "haproxy", "output": str(directory / "edge"), "apply": {"run": True}}},
        }
        lbgen = Sidecar(directory, netns, document)
        lbgen.start()
        try:
            yield Balancer(hosts, lbgen)
        finally:
            lbgen.stop()
            lbgen.end_proxy()
            print(lbgen.log)  # pytest shows it with a failure
