"""A real Docker Swarm on one machine: each node is a dockerd in a network namespace, joined by a bridge.

The root namespace is on the same bridge: it plays the load-balancer machine beside the Swarm. `Swarm`
builds it up, finds one that is running, and takes it down; `services.Lab` adds what tests do in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.lab import app_image, host
from tests.lab.node import Node
from tests.lab.settings import LabError, Settings, code_stamp

T = TypeVar("T")


class Swarm:
    """The nodes and their membership; `Lab` adds what tests do with them."""

    def __init__(
        self,
        nodes: int = 3,
        managers: int = 1,
        *,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings(nodes, managers)
        self.nodes = {f"n{i}": Node(self.settings, i) for i in range(1, self.settings.nodes + 1)}
        self.images: dict[str, str] = {}  # "app", "app-health": image id
        self.record = self.settings.directory / "lab.json"

    # -- life ------------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Build the lab, over whatever an earlier one left behind; about 10 seconds."""
        if missing := host.missing_tools():
            raise LabError(f"a lab needs more packages: apt-get install {' '.join(missing)}")
        if os.geteuid() != 0:
            raise LabError("a lab needs root: it makes network namespaces and starts dockerd")
        self.down()
        self.settings.directory.mkdir(parents=True, exist_ok=True)
        host.open_bridge(self.settings)
        for node in self.nodes.values():
            host.open_namespace(self.settings, node.index)
            node.launch()
        archive, self.images = app_image.archive()  # compiles while the daemons start
        self._each(lambda node: self._prepare(node, archive))
        self._join()
        self.wait_ready()
        self._write_record()

    def down(self) -> list[str]:
        """Remove the lab and all leftovers of earlier ones; return what was removed."""
        return host.clean(self.settings)

    def adopt(self, repair: bool = True) -> str:
        """Take over a running lab of the same size and code; return "" or the reason why that is impossible.

        Args:
            repair: resume paused daemons and start stopped ones, instead of giving them as the reason.
        """
        try:
            record = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return "no lab is up"
        for key, value in self._build().items():
            if record.get(key) != value:
                return f"the running lab has {key} {record.get(key)}, not {value}"
        self.images = record["images"]
        try:
            for name, node in self.nodes.items():
                node.swarm_id = record["ids"][name]
                if not Path(node.netns).exists() or not (repair or node.running):
                    return f"node {name} of the running lab is not alive"
                node.resume()
                node.start()
            self.wait_ready(20)
        except (LabError, OSError) as problem:
            return f"the running lab is not healthy: {problem}"
        return ""

    def ensure(self) -> bool:
        """Have a healthy lab; return True if it had to be built, False if one was running."""
        if not self.adopt():
            return False
        self.up()
        return True

    @contextlib.contextmanager
    def claim(self, timeout: float = 600) -> Iterator[None]:
        """Keep the lab for this process: two test sessions at once would remove each other's services."""
        # A name in the kernel rather than a lock file: it needs no directory and dies with its owner.
        with socket.socket(socket.AF_UNIX) as name:

            def claimed() -> bool:
                name.bind(f"\0lbgen-lab:{self.settings.directory}")
                return True

            host.wait_for(claimed, timeout, f"another session to let go of {self.settings.directory}", 0.5)
            yield

    def _prepare(self, node: Node, archive: bytes) -> None:
        node.wait_ready()
        node.api("POST", "/images/load", archive, timeout=60)

    def _join(self) -> None:
        first, *others = self.nodes.values()
        overlays = {"DefaultAddrPool": [self.settings.overlays], "SubnetSize": 24}
        first.api("POST", "/swarm/init", self._membership(first) | overlays, timeout=60)
        tokens = first.api("GET", "/swarm")["JoinTokens"]
        managers = self.settings.managers - 1

        def join(node: Node, role: str) -> None:
            body = self._membership(node) | {
                "RemoteAddrs": [f"{first.address}:2377"],
                "JoinToken": tokens[role],
            }
            node.api("POST", "/swarm/join", body, timeout=60)

        for node in others[:managers]:  # one at a time: each changes the raft membership
            join(node, "Manager")
        with ThreadPoolExecutor(len(others) or 1) as pool:
            list(pool.map(lambda node: join(node, "Worker"), others[managers:]))
        for node in self.nodes.values():
            node.swarm_id = node.api("GET", "/info")["Swarm"]["NodeID"]

    def _membership(self, node: Node) -> dict[str, str]:
        return {
            "ListenAddr": f"{node.address}:2377",
            "AdvertiseAddr": node.address,
            "DataPathAddr": node.address,
        }

    def _build(self) -> dict[str, Any]:
        """What a running lab must have in common with this one to be taken for it."""
        own = self.settings
        sizes = {"nodes": own.nodes, "managers": own.managers, "engines": list(own.engines)}
        return sizes | {"stamp": code_stamp()}

    def _write_record(self) -> None:
        ids = {name: node.swarm_id for name, node in self.nodes.items()}
        self.record.write_text(json.dumps(self._build() | {"ids": ids, "images": self.images, "made": time.time()}))

    def _each(self, action: Callable[[Node], T]) -> list[T]:
        """Do something on all nodes at once; the first failure is raised."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            return list(pool.map(action, self.nodes.values()))

    # -- questions -------------------------------------------------------------------------------------------

    @property
    def manager(self) -> Node:
        """A manager that can be asked now: the first one that is neither stopped nor paused nor demoted."""
        for node in self.nodes.values():
            if node.running and node.control_socket.exists():
                return node
        raise LabError("no manager of the lab is running")

    @property
    def host_address(self) -> str:
        """This machine's address on the nodes' network."""
        return self.settings.host_address

    def api(self, method: str, target: str, body: Any = None, **query: Any) -> Any:
        """One Engine API request to a manager."""
        return self.manager.api(method, target, body, **query)

    def docker(self, *arguments: str, timeout: float = 60) -> str:
        """Run the docker CLI against a manager."""
        return self.manager.docker(*arguments, timeout=timeout)

    def swarm_nodes(self) -> dict[str, dict[str, Any]]:
        """{node name: its Engine API object}, as a manager sees them."""
        names = {node.swarm_id: name for name, node in self.nodes.items()}
        return {names.get(item["ID"], item["ID"]): item for item in self.api("GET", "/nodes", timeout=5)}

    def node_state(self, name: str) -> str:
        """``ready``, ``down``, ``unknown`` or ``disconnected``."""
        return self.swarm_nodes()[name]["Status"]["State"]

    @property
    def leader(self) -> Node:
        """The manager that leads now; pausing or stopping it makes another one lead, in a lab with three."""
        for name, node in self.swarm_nodes().items():
            if (node.get("ManagerStatus") or {}).get("Leader"):
                return self.nodes[name]
        raise LabError("the Swarm has no leader at the moment")

    def node_of(self, task: dict[str, Any]) -> Node:
        """The node that a task (an Engine API object) runs on."""
        return next(node for node in self.nodes.values() if node.swarm_id == task.get("NodeID"))

    def wait_for(self, predicate: Callable[[], T], timeout: float = 30, what: str = "", interval: float = 0.1) -> T:
        """Poll until `predicate` returns something true; see `host.wait_for`."""
        return host.wait_for(predicate, timeout, what, interval)

    def wait_ready(self, timeout: float = 45, managers: int = 0) -> None:
        """Wait until every node is ready and every manager reachable; so many managers (0: as in the settings)."""

        def ready() -> bool:
            nodes = self.swarm_nodes()
            statuses = [node["ManagerStatus"] for node in nodes.values() if node.get("ManagerStatus")]
            states = {name: node["Status"]["State"] for name, node in nodes.items()}
            reachable = all(status["Reachability"] == "reachable" for status in statuses)
            if set(states) >= set(self.nodes) and set(states.values()) == {"ready"} and reachable:
                return len(statuses) == (managers or self.settings.managers)
            raise LabError(f"nodes {states}, managers {statuses}")

        host.wait_for(ready, timeout, "all nodes to be ready")

    # -- changes to nodes ------------------------------------------------------------------------------------

    def node_update(self, name: str, *flags: str) -> None:
        """``docker node update FLAGS``: ``--label-add k=v``, ``--availability drain``, ``--role manager``."""
        self.docker("node", "update", *flags, self.nodes[name].swarm_id)

    def heal(self) -> None:
        """Undo what tests do to nodes: resume, start, activate, forget labels; wait until all are ready."""
        for node in self.nodes.values():
            node.resume()
            node.start()
        for name, item in self.swarm_nodes().items():
            spec, managers = item["Spec"], list(self.nodes)[: self.settings.managers]
            role = "manager" if name in managers else "worker"
            wanted = {"Role": role, "Availability": "active", "Labels": {}}
            if any(spec.get(key) != value for key, value in wanted.items()):
                version = str(item["Version"]["Index"])
                self.api("POST", f"/nodes/{item['ID']}/update", spec | wanted, version=version)
        self.wait_ready()
