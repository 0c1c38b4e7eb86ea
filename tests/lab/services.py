"""Services, networks and containers that tests make in the lab, and their complete removal.

Services are created with the docker CLI, as people do it. Images go by id and are never resolved, so that no
engine tries a registry. `Lab.clean` removes everything except what carries the label ``lab.keep``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.lab import app_image, host, mesh
from tests.lab.engine import EngineError
from tests.lab.node import Node
from tests.lab.service import Service, Task, service_flags
from tests.lab.settings import LabError
from tests.lab.swarm import Swarm

KEEP = "lab.keep"
SERVICE_ID = "com.docker.swarm.service.id"
# Swarm's own work in a node: an attachment can race with the removal or arrival of the network on that node.
RACES = ("not found", "could not find", "not manually attachable", "context deadline", "in use")


class Attached:
    """A network namespace on an overlay network: run processes of this machine inside the overlay with it."""

    def __init__(self, node: Node, container: str, network: str) -> None:
        self.node, self.container = node, container
        details = node.api("GET", f"/containers/{container}/json")
        self.pid: int = details["State"]["Pid"]
        self.netns = f"/proc/{self.pid}/ns/net"  # for nsenter --net=, `Traffic` and `get`
        self.address: str = details["NetworkSettings"]["Networks"][network]["IPAddress"]

    def command(self, *command: str) -> list[str]:
        """The command line that runs `command` in this namespace, with the host's files."""
        return ["nsenter", f"--net={self.netns}", *command]

    def run(self, *command: str) -> str:
        """Run a command to its end in this namespace and return its output."""
        return host.run(*self.command(*command))

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a process in this namespace; it is the caller's to end."""
        return subprocess.Popen(self.command(*command), **options)


class Lab(Swarm):
    """The lab as tests use it: the Swarm, and what runs on it."""

    _numbers = itertools.count(1)

    # -- making ----------------------------------------------------------------------------------------------

    def image_id(self, name: str) -> str:
        """The id of ``app``, ``app-health``, or any other image by its tag; ids are returned as they are."""
        if name.startswith("sha256:"):
            return name
        return self.images.get(name) or self.manager.api("GET", f"/images/{name}/json")["Id"]

    def service(
        self,
        name: str,
        *,
        image: str = "app",
        replicas: int = 1,
        mode: str = "replicated",
        publish: Iterable[str] = (),
        networks: Iterable[str] = (),
        endpoint_mode: str = "",
        labels: Mapping[str, str] | None = None,
        args: Iterable[str] = (),
        constraints: Iterable[str] = (),
        update_order: str = "",
        update_parallelism: int | None = None,
        stop_grace: str = "",
        flags: Iterable[str] = (),
        wait: bool = True,
        timeout: float = 60,
    ) -> Service:
        """Create a service and wait until all its tasks run.

        Args:
            image: "app", "app-health", another image's tag, or an id.
            publish: values of --publish; `host_port` and `ingress_port` make them.
            labels: of the service, not of its containers.
            args: of the application; see app/app.c.
            update_order: "start-first" or "stop-first".
            stop_grace: duration between SIGTERM and SIGKILL, "30s"; Docker's default is 10s.
            flags: more flags of ``docker service create``, as they are.
        """
        command = service_flags(
            replicas=replicas,
            mode=mode,
            lists={"publish": publish, "network": networks, "constraint": constraints},
            labels=labels or {},
            values={
                "name": name,
                "endpoint-mode": endpoint_mode,
                "update-order": update_order,
                "update-parallelism": "" if update_parallelism is None else str(update_parallelism),
                "stop-grace-period": stop_grace,
            },
        )
        service_id = self.docker("service", "create", *command, *flags, self.image_id(image), *args)
        service = Service(self, service_id, name)
        if wait:
            service.wait(timeout)
        return service

    def network(self, name: str, attachable: bool = True, *flags: str) -> str:
        """Create an overlay network and return its name."""
        self.docker("network", "create", "--driver", "overlay", *["--attachable"] * attachable, *flags, name)
        return name

    @contextlib.contextmanager
    def attached(self, network: str, node: str = "n1", timeout: float = 30) -> Iterator[Attached]:
        """Hold a network namespace on an attachable overlay network, on the given node."""
        where, name = self.nodes[node], f"lab-attached-{os.getpid()}-{next(self._numbers)}"

        def attach() -> str:
            try:
                return where.docker(
                    *("run", "--detach", "--network", network, "--name", name), self.images["app"], "pause"
                )
            except LabError as problem:
                with contextlib.suppress(LabError):
                    where.docker("rm", "--force", name)
                if any(race in str(problem) for race in RACES):
                    return ""
                raise RuntimeError(str(problem)) from problem  # not worth another try

        container = self.wait_for(attach, timeout, f"a container on network {network} of {node}", 0.3)
        try:
            yield Attached(where, container, network)
        finally:
            with contextlib.suppress(LabError):
                where.docker("rm", "--force", "--volumes", container)

    @contextlib.contextmanager
    def app_on(self, node: str, *args: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run the application itself in a node's namespace: a stand-in for whatever should answer there."""
        command = [str(app_image.binary()), "--name", node, *args]
        process = subprocess.Popen(["nsenter", f"--net={self.nodes[node].netns}", *command])
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def mesh(self, *spaces: Attached) -> contextlib.AbstractContextManager[None]:
        """While in the block, ingress ports answer on every node, and virtual IPs in these namespaces.

        The kernel does that where it has IPVS; elsewhere iptables rules stand in for it, see `mesh.mesh`.
        """
        return mesh.mesh(self, spaces)

    # -- looking ---------------------------------------------------------------------------------------------

    def services(self) -> list[dict[str, Any]]:
        """`GET /services`."""
        return self.api("GET", "/services")

    def tasks(self, **filters: list[str]) -> list[Task]:
        """`GET /tasks`, by Engine API filters: ``service``, ``node``, ``desired-state``."""
        return self.api("GET", "/tasks", filters=filters)

    # -- unmaking --------------------------------------------------------------------------------------------

    def clean(self, timeout: float = 60) -> None:
        """Remove services, networks, configs, secrets and containers, and wait until they are really gone.

        After ``service rm`` containers and their ports linger for seconds; the next test would meet them.
        What carries the label ``lab.keep`` stays. Nodes are healed first: a paused one would keep its
        containers.
        """
        self.heal()
        staying = [item for item in self.services() if KEEP in (item["Spec"].get("Labels") or {})]
        kept = {item["ID"] for item in staying}
        for item in staying:
            kept |= {network["Target"] for network in item["Spec"]["TaskTemplate"].get("Networks") or []}
        for kind in ("services", "configs", "secrets"):
            for item in self.api("GET", f"/{kind}"):
                if KEEP not in (item["Spec"].get("Labels") or {}):
                    self._delete(self.manager, f"/{kind}/{item['ID']}")
        self.wait_for(lambda: self._containers_gone(kept), timeout, "the containers of removed services to go")
        self.wait_for(lambda: self._networks_gone(kept), timeout, "overlay networks to go")
        if not kept:
            self.wait_for(lambda: not self._open_ports(), timeout, "published ports to be closed")

    def _containers_gone(self, kept: set[str]) -> bool:
        """Remove all containers but those of the services `kept`; True when there is none any more.

        Swarm would do it too, but takes 6 s for a task on an overlay network. With the service gone it starts
        no replacement, and takes a container that is missing for one that it has removed.
        """
        left = 0
        for node, containers in self._each(lambda node: (node, node.containers())):
            for container in containers:
                if KEEP not in container["Labels"] and container["Labels"].get(SERVICE_ID) not in kept:
                    left += 1
                    with contextlib.suppress(LabError):  # gone meanwhile
                        node.api("DELETE", f"/containers/{container['Id']}", force="true", v="true")
        return not left

    def _networks_gone(self, kept: set[str]) -> bool:
        """Remove overlay networks where that is possible by now; True when no node knows one any more."""
        left = 0
        for node in self.nodes.values():
            for network in node.api("GET", "/networks", filters={"driver": ["overlay"]}):
                if network["Ingress"] or KEEP in (network.get("Labels") or {}) or network["Id"] in kept:
                    continue
                left += 1
                with contextlib.suppress(LabError):  # still in use
                    self._delete(self.manager, f"/networks/{network['Id']}")
        return not left

    def _open_ports(self) -> list[str]:
        """Command lines of the nodes' docker-proxy processes: each holds a published port open."""
        found = []
        for pid in host.processes_of("\0", "\0", [Path(node.netns).name for node in self.nodes.values()]):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                found += [command] if "docker-proxy" in command else []
        return found

    def _delete(self, node: Node, target: str) -> None:
        try:
            node.api("DELETE", target)
        except EngineError as problem:
            if problem.status != 404:
                raise
