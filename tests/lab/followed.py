"""What tests ask of a followed Swarm's snapshots, and whether what was pushed is what is listed."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lbgen.snapshot import Service, Snapshot, Task
from lbgen.source.engine.schedule import Pace
from lbgen.source.engine.source import EngineSource
from lbgen.source.facts import KINDS
from tests.lab.node import Node
from tests.lab.services import Lab
from tests.support.following import Following
from tests.support.socket_proxy import SocketProxy
from tests.support.wait import wait_for

HOUR = 3600.0
PACE = Pace(timeout=5.0, retry_max=0.5)
SILENT = Pace(timeout=5.0, retry_max=0.5, fast=HOUR, slow=HOUR, resync=HOUR, head_start=HOUR)  # nothing is listed again


def listing(*endpoints: Any, pace: Pace = PACE) -> Following:
    """Follow by events and listing; an endpoint is a text or has one."""
    return Following(EngineSource([getattr(end, "endpoint", end) for end in endpoints], pace=pace))


def pushed(node: Node, pace: Pace = SILENT, endpoint: str = "", control_socket: Path | None = None) -> Following:
    """Follow by a manager's control socket."""
    endpoints = [endpoint or f"unix://{node.socket}"]
    return Following(EngineSource(endpoints, pace=pace, control_socket=str(control_socket or node.control_socket)))


def pushing(followed: Following) -> Snapshot:
    """The first snapshot, made by listing after the stream was there."""
    first = followed.next()
    assert followed.source.stats.mode == "push"
    return first


def service_of(snapshot: Snapshot, name: str) -> Service | None:
    """The service of that name."""
    return next((service for service in snapshot.services.values() if service.name == name), None)


def tasks_of(snapshot: Snapshot, name: str) -> list[Task]:
    """All tasks of the service, none where there is no such service."""
    service = service_of(snapshot, name)
    return list(snapshot.tasks_by_service().get(service.id, [])) if service else []


def serving(snapshot: Snapshot, name: str) -> list[Task]:
    """The service's tasks that run and shall run."""
    return [task for task in tasks_of(snapshot, name) if task.state == task.desired_state == "running"]


def leaving(snapshot: Snapshot, name: str) -> list[Task]:
    """The service's tasks that still run and shall not."""
    tasks = tasks_of(snapshot, name)
    return [task for task in tasks if task.state == "running" and task.desired_state in ("shutdown", "remove")]


def assert_equal(node: Node, followed: Following) -> None:
    """Wait until what was pushed is what is listed, field by field, and a listing replaces not one object.

    What moves is never equal, but that ends; a field that one of both gets wrong never is.
    """
    different: dict[str, Any] = {}

    def same() -> bool:
        told = followed.snapshots[-1]
        facts = details(EngineSource([f"unix://{node.socket}"], pace=PACE).take())
        different.clear()
        if facts != details(told):
            different.update(differing(facts, details(told)))
            return False
        followed.source.relist()
        listed = followed.until(lambda snapshot: snapshot.listing > told.listing)
        replaced = [kind for kind in KINDS if getattr(listed, kind) is not getattr(told, kind)]
        different.update({kind: _replaced(getattr(told, kind), getattr(listed, kind)) for kind in replaced})
        return not replaced

    try:
        wait_for(same, "what is pushed to be what is listed")
    except AssertionError as error:
        raise AssertionError(f"{error}; listed and pushed: {different}; {followed.source.stats}") from error
    assert followed.source.stats.drift == 0


def check_events_alone(lab: Lab, proxy: SocketProxy) -> None:
    """Check that events of services, nodes and networks lead to listing, with all timers off."""
    with listing(proxy, pace=replace(PACE, fast=HOUR, slow=HOUR, resync=HOUR)) as followed:
        followed.next()
        web = lab.service("web")
        followed.until(lambda s: service_of(s, "web"))
        web.update("--label-add", "x=1", wait=False)
        followed.until(lambda s: service_of(s, "web").labels == {"x": "1"})
        lab.node_update(list(lab.nodes)[-1], "--label-add", "zone=eu")
        followed.until(lambda s: any(node.labels == {"zone": "eu"} for node in s.nodes.values()))
        lab.network("extra")
        followed.until(lambda s: "extra" in {network.name for network in s.networks.values()})
        lab.docker("network", "rm", "extra")
        followed.until(lambda s: "extra" not in {network.name for network in s.networks.values()})


def details(snapshot: Snapshot) -> dict[str, list[dict[str, Any]]]:
    """Every field of every object, also those that equality leaves out; in order."""
    found = {kind: [asdict(item) for item in getattr(snapshot, kind).values()] for kind in KINDS}
    for node in found["nodes"]:
        del node["updated_at"]  # that of the last change of any other field
    return found


def differing(listed: dict[str, list[Any]], told: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """What two lists of objects do not have in common, each kind's first."""
    return {
        kind: [item for item in pairs if item[0] != item[1]][:1]
        for kind in KINDS
        if (pairs := list(zip_longest(listed[kind], told[kind]))) and listed[kind] != told[kind]
    }


def _replaced(told: dict[str, Any], listed: dict[str, Any]) -> Any:
    """The first object that a listing puts in the place of another one, or takes away, or adds."""
    ids = (id_ for id_ in {**told, **listed} if told.get(id_) is not listed.get(id_))
    return next(((told.get(id_), listed.get(id_)) for id_ in ids), "equal objects in another mapping")
