"""The oracle: a real Traefik that reads services' own ``traefik.*`` labels with its own Swarm provider.

It asks a stand-in Engine API for the services, tasks and networks of a snapshot, as it would ask a manager; what
becomes of labels is its own affair. A file for its file provider, and what its static configuration says of entry
points, may stand beside.

Source: traefik 3.7 pkg/provider/docker/pswarm.go: ``/version``, ``/services``, ``/networks`` (scope swarm), then for
each service ``/tasks`` (desired state running) and for each task ``/nodes/<id>``, again every `refreshSeconds`.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lbgen.snapshot import Network, Node, Service, Snapshot, Task
from lbgen.source import decode
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task
from tests.support.fake_engine import FakeEngine
from tests.support.ports import free_port
from tests.support.real_traefik import Process
from tests.support.wait import wait_for

Tree = Mapping[str, Any]
NOTHING: Tree = MappingProxyType({})
_TIMES = ("CreatedAt", "UpdatedAt", "Timestamp")
_PREFIXED = ("Addresses", "VirtualIPs.Addr")
_WITNESS = "oracles-witness"  # a Swarm service, and the middleware by which one sees that its labels are in force


class Manager(FakeEngine):
    """An Engine API that lists a snapshot. A list of services is answered once for each snapshot, not before it is."""

    def __init__(self, path: Path) -> None:
        self._news = threading.Semaphore(0)
        super().__init__(path)
        self.before_reply = self._wait_for_news

    def show(self, snapshot: Snapshot) -> None:
        """List this snapshot from now on."""
        document = decode.document(snapshot)
        self.replies |= {kind: _as_engine(document[kind]) for kind in ("nodes", "services", "tasks", "networks")}
        self._news.release()

    def answer(self, path: str, query: Mapping[str, list[str]]) -> Any:
        """What stands at a path: of tasks those of the service that is asked for."""
        if path == "/_ping":
            return b"OK"
        if path.startswith("/nodes/"):
            return next(node for node in self.replies["nodes"] if node["ID"] == path.removeprefix("/nodes/"))
        found = super().answer(path, query)
        filters = json.loads(query.get("filters", ["{}"])[0])
        if path == "/tasks" and filters:
            return [task for task in found if _is_asked_for(task, filters)]
        return found

    def stop(self) -> None:
        """Be gone."""
        self._news.release(10)
        super().stop()

    def _wait_for_news(self, path: str) -> None:
        if path == "/services":
            self._news.acquire()  # a poll costs some hundred requests, and would find nothing new


def _as_engine(item: Any, key: str = "") -> Any:
    """Write what a snapshot file leaves out: addresses' prefixes, and there is no time that is empty."""
    if isinstance(item, Mapping):
        filled = {name: _as_engine(value, f"{key}.{name}".lstrip(".")) for name, value in item.items()}
        return {name: value for name, value in filled.items() if value or name not in _TIMES}
    if isinstance(item, list | tuple):
        return [_as_engine(one, key) for one in item]
    return f"{item}/8" if key.endswith(_PREFIXED) and item else item


def _is_asked_for(task: Tree, filters: Tree) -> bool:
    facts = {"service": task["ServiceID"], "desired-state": task["DesiredState"]}
    return all(facts[name] in wanted for name, wanted in filters.items() if name in facts)


class Oracle:
    """A Traefik that follows snapshots."""

    def __init__(self, process: Process, manager: Manager, ports: Mapping[str, int], dynamic: Path) -> None:
        self.ports = dict(ports)  # of the entry points, by name
        self._process, self._manager, self._dynamic, self._generation = process, manager, dynamic, 0

    def follow(self, snapshot: Snapshot, file: Tree = NOTHING) -> None:
        """Serve a snapshot's services, and nothing else.

        Args:
            file: what the file provider's file says.
        """
        self._generation += 1
        witness = f"{_WITNESS}-{self._generation}"
        self._write(file, witness)
        self._manager.show(_with_witness(snapshot, witness))
        for provider in ("file", "swarm"):
            path = f"http/middlewares/{witness}@{provider}"
            wait_for(partial(self._knows, path), f"{path}, which {self._process.log} may explain")

    def elements(self, protocol: str, kind: str) -> dict[str, Tree]:
        """Return what Traefik says of its elements by their names, ``NAME@PROVIDER``.

        Args:
            protocol: http, tcp, udp.
            kind: routers, services, middlewares.
        """
        found, _ = self._process.api.get(f"{protocol}/{kind}?per_page=10000")
        return {item["name"]: item for item in found or () if not item["name"].startswith(_WITNESS)}

    @property
    def log(self) -> str:
        """What it wrote: a router that its provider does not take is in no list."""
        return self._process.log.read_text()

    def _knows(self, path: str) -> bool:
        return bool(self._process.api.get(path)[0])

    def _write(self, file: Tree, witness: str) -> None:
        http = file.get("http", {})
        whole = {**file, "http": {**http, "middlewares": {**http.get("middlewares", {}), witness: {"compress": {}}}}}
        beside = self._dynamic.with_suffix(".new")
        # YAML knows JSON, and a file is a Go template before it is YAML.
        beside.write_text(json.dumps(whole).replace("{{", "{\\u007b"))
        beside.replace(self._dynamic)


def _with_witness(snapshot: Snapshot, witness: str) -> Snapshot:
    """Add a service that is there, and defines the middleware `witness`, as the newest."""
    labels = {
        "traefik.enable": "true",
        f"traefik.http.middlewares.{witness}.compress": "true",
        f"traefik.http.routers.{_WITNESS}.rule": f"Host(`{_WITNESS}.invalid`)",
        f"traefik.http.services.{_WITNESS}.loadbalancer.server.port": "1",
    }
    facts: list[Node | Network | Service | Task] = [
        *snapshot.nodes.values(),
        *snapshot.networks.values(),
        *snapshot.services.values(),
        *snapshot.tasks.values(),
        a_node(_WITNESS),
        a_network(_WITNESS),
        a_service(_WITNESS, labels=labels, networks=(f"{_WITNESS}-id",)),
        a_task(_WITNESS, node=_WITNESS, addresses={f"{_WITNESS}-id": "127.0.0.1"}),
    ]
    return a_snapshot(*facts)


@contextlib.contextmanager
def asking(
    listeners: Mapping[str, str],
    directory: Path,
    *,
    entry_points: Mapping[str, Tree] = NOTHING,
    provider: Tree = NOTHING,
    static: Tree = NOTHING,
) -> Iterator[Oracle]:
    """Have a Traefik that follows snapshots; it has none yet.

    Args:
        listeners: their protocols by name: http, https, tcp, tcps, udp.
        directory: for its files; is made.
        entry_points: more of the static configuration, by listener: ``{"web": {"http": {"middlewares": [...]}}}``.
        provider: more of ``providers.swarm``: defaultRule, constraints, network, exposedByDefault.
        static: more of the static configuration as a whole.
    """
    directory.mkdir(parents=True)
    manager, dynamic = Manager(directory / "engine.sock"), directory / "dynamic.yml"
    dynamic.write_text("{}")
    ports, api = {name: free_port() for name in listeners}, free_port()
    swarm = {"endpoint": manager.endpoint, "refreshSeconds": "10ms", "defaultRule": "", **provider}
    whole = {
        "entryPoints": {
            "traefik": {"address": f"127.0.0.1:{api}"},
            **{name: _entry_point(ports[name], kind, entry_points.get(name, {})) for name, kind in listeners.items()},
        },
        "providers": {"providersThrottleDuration": "1ms", "swarm": swarm, "file": {"filename": str(dynamic)}},
        "tcpServersTransport": {"tls": {"insecureSkipVerify": True}},  # as here without server-ca
        "api": {"insecure": True},
        "log": {"level": "ERROR"},
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        **static,
    }
    (directory / "static.yml").write_text(json.dumps(whole))
    process = Process(directory / "static.yml", api)
    try:
        yield Oracle(process, manager, ports, dynamic)
    finally:
        process.stop()
        manager.stop()


def _entry_point(port: int, protocol: str, more: Tree) -> Tree:
    # What no router is for a TCP entry point takes for a web browser's, and waits for the rest.
    patience = {"transport": {"respondingTimeouts": {"readTimeout": "4s"}}}
    return {"address": f"127.0.0.1:{port}" + ("/udp" if protocol == "udp" else ""), **patience, **more}
