"""One service of the lab: change it, and wait until Swarm has really done it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from tests.lab import host
from tests.lab.node import Node
from tests.lab.settings import LabError
from tests.lab.swarm import Swarm

Task = dict[str, Any]  # the Engine API's object
Address = tuple[str, int]
# Swarm calls an update "completed" this long after its last task runs; 5 s by default, in which tests learn
# nothing.
MONITOR = "300ms"


def host_port(target: int = 8080, published: int = 0, protocol: str = "tcp") -> str:
    """A --publish value in host mode; without a published port the engine picks one for each task."""
    return _publish(target, published, protocol) + ",mode=host"


def ingress_port(target: int = 8080, published: int = 0, protocol: str = "tcp") -> str:
    """A --publish value in ingress mode; without a published port Swarm picks one (30000 and up)."""
    return _publish(target, published, protocol) + ",mode=ingress"


def _publish(target: int, published: int, protocol: str) -> str:
    return f"target={target},protocol={protocol}" + (f",published={published}" if published else "")


def service_flags(
    replicas: int,
    mode: str,
    lists: Mapping[str, Iterable[str]],
    labels: Mapping[str, str],
    values: Mapping[str, str],
) -> list[str]:
    """Flags of ``docker service create``; empty values are left to Docker's defaults."""
    flags = ["--detach", "--quiet", "--no-resolve-image", "--mode", mode]
    flags += ["--update-monitor", MONITOR, "--rollback-monitor", MONITOR]
    flags += ["--replicas", str(replicas)] if mode == "replicated" else []
    for name, items in lists.items():
        flags += [word for item in items for word in (f"--{name}", item)]
    flags += [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    return flags + [word for key, value in values.items() if value for word in (f"--{key}", value)]


class Service:
    """A service in the lab."""

    def __init__(self, swarm: Swarm, service_id: str, name: str) -> None:
        self.swarm, self.id, self.name = swarm, service_id, name

    def __repr__(self) -> str:
        return f"<Service {self.name} {self.id}>"

    # -- changing --------------------------------------------------------------------------------------------

    def scale(self, replicas: int, wait: bool = True, timeout: float = 60) -> None:
        """Set the number of replicas; waits for new tasks to run and for surplus containers to go."""
        self.swarm.docker("service", "scale", "--detach", f"{self.name}={replicas}")
        if wait:
            self.wait(timeout)
            # Removed tasks may still be serving for seconds, which is what some tests are about.
            what = f"the surplus containers of {self.name} to go"
            host.wait_for(lambda: len(self.containers()) <= replicas, timeout, what)

    def update(self, *flags: str, wait: bool = True, timeout: float = 90) -> None:
        """``docker service update FLAGS``: ``--force``, ``--args "..."``, ``--label-add k=v``."""
        self.swarm.docker("service", "update", "--detach", "--quiet", "--no-resolve-image", *flags, self.id)
        if wait:
            self.wait(timeout)

    def rollback(self, wait: bool = True, timeout: float = 90) -> None:
        """``docker service rollback``: back to the previous specification."""
        self.swarm.docker("service", "rollback", "--detach", "--quiet", self.id)
        if wait:
            self.wait(timeout)

    def remove(self, wait: bool = True, timeout: float = 60) -> None:
        """Remove the service; waits until its containers, and with them its host ports, are gone."""
        self.swarm.docker("service", "rm", self.id)
        if wait:
            what = f"the containers of {self.name} to go"
            host.wait_for(lambda: not self.containers(stopped=True), timeout, what)

    def wait(self, timeout: float = 60) -> None:
        """Wait until Swarm has nothing left to do for this service.

        That is: an update, if there is one, has ended, and exactly the wanted tasks run with the present
        specification. A change of service labels starts no update, hence the short time to see whether one
        begins.
        """
        settled_since = 0.0

        def settled() -> bool:
            nonlocal settled_since
            service = self.inspect()
            status = (service.get("UpdateStatus") or {}).get("State", "")
            if status.endswith("paused"):
                message = service["UpdateStatus"].get("Message")
                raise RuntimeError(f"update of {self.name} is {status}: {message}")
            unsettled = status in ("updating", "rollback_started") or self._unsettled(service)
            if unsettled:
                settled_since = 0.0
                raise LabError(f"{status or 'no update'}; {unsettled}")
            settled_since = settled_since or time.monotonic()
            return status != "" or time.monotonic() - settled_since > 0.3

        host.wait_for(settled, timeout, f"service {self.name} to settle")

    def _unsettled(self, service: dict[str, Any]) -> str:
        """What keeps the service from being as wanted; "" if nothing does."""
        tasks = [task for task in self.tasks() if task["DesiredState"] == "running"]
        wanted = self._wanted(service)
        if len(tasks) != wanted:
            return f"{len(tasks)} tasks wanted running instead of {wanted}; {_latest_errors(self.tasks())}"
        states = [task["Status"]["State"] for task in tasks]
        if any(state != "running" for state in states):
            return f"tasks are {states}; {_latest_errors(self.tasks())}"
        runtime = {"Runtime": "container"}  # which the engine leaves out of a task
        template = runtime | service["Spec"]["TaskTemplate"]
        old = sum(runtime | task["Spec"] != template for task in tasks)
        return f"{old} tasks have an older specification" if old else ""

    def _wanted(self, service: dict[str, Any]) -> int:
        mode = service["Spec"]["Mode"]
        if "Replicated" in mode:
            return mode["Replicated"].get("Replicas", 0)
        desired = self.swarm.api("GET", "/services", status="true", filters={"id": [self.id]})
        return desired[0]["ServiceStatus"]["DesiredTasks"]

    # -- looking ---------------------------------------------------------------------------------------------

    def inspect(self) -> dict[str, Any]:
        """`GET /services/<id>`."""
        return self.swarm.api("GET", f"/services/{self.id}")

    def tasks(self) -> list[Task]:
        """All tasks that Swarm still remembers, old ones included (`GET /tasks`)."""
        return self.swarm.api("GET", "/tasks", filters={"service": [self.id]})

    def running(self) -> list[Task]:
        """Tasks that run and shall run, by slot (by node for a global service)."""
        found = [t for t in self.tasks() if t["Status"]["State"] == t["DesiredState"] == "running"]
        return sorted(found, key=lambda task: (task.get("Slot", 0), task["NodeID"], task["ID"]))

    def containers(self, stopped: bool = False) -> list[tuple[Node, dict[str, Any]]]:
        """(node, Engine API container) of each running container, also of tasks that Swarm has given up.

        Args:
            stopped: also those that have ended; Swarm keeps some for each slot.
        """
        filters = {"label": [f"com.docker.swarm.service.id={self.id}"]}
        filters |= {} if stopped else {"status": ["running"]}
        live = [node for node in self.swarm.nodes.values() if node.running]
        return [(node, container) for node in live for container in node.containers(**filters)]

    def responder(self, task: Task) -> str:
        """What the application in this task calls itself (X-App): the beginning of the container's id."""
        return task["Status"]["ContainerStatus"]["ContainerID"][:12]

    def responders(self) -> dict[str, Task]:
        """{X-App value: running task}."""
        return {self.responder(task): task for task in self.running()}

    def addresses(self, network: str, port: int = 8080) -> list[Address]:
        """Overlay address and port of each running task."""
        return [(self.address(task, network), port) for task in self.running()]

    def address(self, task: Task, network: str) -> str:
        """A task's address on the named overlay network."""
        for attachment in task.get("NetworksAttachments") or []:
            if network in (attachment["Network"]["Spec"]["Name"], attachment["Network"]["ID"]):
                return attachment["Addresses"][0].partition("/")[0]
        raise LabError(f"task {task['ID']} of {self.name} is not on network {network}")

    def host_ports(self, target: int = 8080) -> list[Address]:
        """Node address and host-mode port of each running task."""
        return [self.host_port(task, target) for task in self.running()]

    def host_port(self, task: Task, target: int = 8080) -> Address:
        """Node address and host-mode port of a running task: of two the first, which is that of IPv4."""
        for port in (task["Status"].get("PortStatus") or {}).get("Ports") or []:
            if port["TargetPort"] == target:
                return self.swarm.node_of(task).address, port["PublishedPort"]
        raise LabError(f"task {task['ID']} of {self.name} runs, and its node has told no port for {target}")

    def published_port(self, target: int = 8080) -> int:
        """The ingress-mode port that leads to `target`."""
        for port in self.inspect()["Endpoint"].get("Ports") or []:
            if port["TargetPort"] == target and port["PublishMode"] == "ingress":
                return port["PublishedPort"]
        raise LabError(f"{self.name} publishes no port {target} in ingress mode")

    def virtual_ip(self, network: str) -> str:
        """The service's virtual IP on a network, for endpoint mode vip."""
        wanted = self.swarm.api("GET", f"/networks/{network}")["Id"]
        for virtual in self.inspect()["Endpoint"].get("VirtualIPs") or []:
            if virtual["NetworkID"] == wanted:
                return virtual["Addr"].partition("/")[0]
        raise LabError(f"{self.name} has no virtual IP on network {network}")

    def kill(self, task: Task, signal: str = "KILL") -> None:
        """Send a signal to a task's container behind Swarm's back: a crash."""
        container = task["Status"]["ContainerStatus"]["ContainerID"]
        self.swarm.node_of(task).api("POST", f"/containers/{container}/kill", signal=signal)


def _latest_errors(tasks: list[Task]) -> str:
    errors = [task["Status"]["Err"] for task in tasks if task["Status"].get("Err")]
    return f"errors of tasks: {sorted(set(errors))[:3]}"
