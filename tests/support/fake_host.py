"""An engine without Swarm on a unix socket: what engine 20.10 was recorded to say, to be changed at will.

Copied from the real engine: `GET /containers/json` with a filter of ids leaves out those that there are not; `GET
/containers/ID/json` of such a one is 404; "die" comes before the list says so.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.fake_engine import FakeEngine
from tests.support.paths import FIXTURES

ENGINES = ("20.10", "26.1", "28.5")


def recorded_host(kind: str, engine: str = "20.10") -> Any:
    """A recorded reply of an engine without Swarm, to be changed at will."""
    return json.loads((FIXTURES / f"hosts-{engine}" / f"{kind}.json").read_text())


class FakeHost(FakeEngine):
    """One such engine."""

    def __init__(self, path: Path, *, empty: bool = False) -> None:
        """`empty`: it has no containers."""
        super().__init__(path)
        self.replies = {kind: recorded_host(kind) for kind in ("info", "version", "networks")} | {"_ping": "OK"}
        self.containers: list[dict[str, Any]] = [] if empty else recorded_host("containers")
        self.inspected = {item["Id"]: item for item in recorded_host("inspected")}

    def answer(self, path: str, query: Mapping[str, list[str]]) -> Any:
        if path == "/containers/json":
            wanted = json.loads(query["filters"][0])["id"] if "filters" in query else None
            return [item for item in self.containers if wanted is None or item["Id"] in wanted]
        if path.startswith("/containers/"):
            return self.inspected.get(path.split("/")[2])
        return super().answer(path, query)

    def container(self, name: str) -> dict[str, Any]:
        """The container of this name, as it is listed."""
        return next(item for item in self.containers if f"/{name}" in item["Names"])

    def change(self, name: str, action: str = "", *, tell: bool = True, signal: str = "", **values: Any) -> str:
        """Change what is listed of a container, and tell it; return its id."""
        found = copy.deepcopy(self.container(name)) | values
        self.containers = [found if item["Id"] == found["Id"] else item for item in self.containers]
        if tell:
            self.happen(found["Id"], action, signal)
        return str(found["Id"])

    def add(self, like: str, name: str, **values: Any) -> str:
        """Have another container, like one that there is; return its id."""
        id_ = name.encode().hex().rjust(64, "0")
        made = copy.deepcopy(self.container(like)) | {"Id": id_, "Names": [f"/{name}"]} | values
        self.containers = [made, *self.containers]
        self.happen(id_, "start")
        return id_

    def remove(self, name: str) -> None:
        """Remove a container."""
        id_ = self.container(name)["Id"]
        self.containers = [item for item in self.containers if item["Id"] != id_]
        self.happen(id_, "destroy")

    def happen(self, container: str, action: str, signal: str = "") -> None:
        """Send a container's event to all streams."""
        attributes = {"signal": signal} if signal else {}
        event = {"Type": "container", "Action": action, "Actor": {"ID": container, "Attributes": attributes}}
        if not self.silent:
            self.send(json.dumps(event | {"scope": "local", "timeNano": time.time_ns()}).encode() + b"\n")
