"""Engine API objects to facts, and snapshots to documents.

Reads the engine's own objects, whole or reduced, and says by path what is wrong with one. The way back is `encode`.
Source of the shapes: Engine API 1.41 reference and replies recorded from a three-node Swarm (engine 20.10).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from lbgen.base.errors import SourceError
from lbgen.snapshot import Network, Node, PublishedPort, Service, Snapshot, Task
from lbgen.source import encode
from lbgen.source.decode_fields import DRAIN_ASKED, MODES, OWN_NAME, UNLIKE, Json, each, get, labels, port_number

T = TypeVar("T")


def snapshot(
    nodes: object = (),
    services: object = (),
    tasks: object = (),
    networks: object = (),
    *,
    cluster: str = "",
    taken_at: float = 0.0,
    listing: int = 0,
) -> Snapshot:
    """Return the snapshot that these lists of API objects describe; SourceError at the first that cannot be read."""
    return Snapshot(
        cluster=cluster,
        nodes=read("nodes", nodes),
        services=read("services", services),
        tasks=read("tasks", tasks),
        networks=read("networks", networks),
        taken_at=taken_at,
        listing=listing,
    )


def read(kind: str, items: object) -> dict[str, Any]:
    """Read a list of "nodes", "services", "tasks" or "networks", keyed by id; SourceError at the first bad item.

    Left out are tasks without a service (a plain container attached to an overlay network shows up as one) and
    networks that belong to one engine only.
    """
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise SourceError(f"{kind}: expected a list, found {type(items).__name__}")
    if kind == "tasks":
        return {id_: item for id_, item in keyed(kind, items, task).items() if item.service_id}
    if kind == "networks":
        scoped = keyed(kind, items, lambda item: (network(item), get(item, "Scope", str, "swarm")))
        return {id_: item for id_, (item, scope) in scoped.items() if scope == "swarm"}
    return keyed(kind, items, node) if kind == "nodes" else keyed(kind, items, service)


def versions(items: Iterable[Any]) -> dict[str, int]:
    """Return, by id, the version of each of the engine's own objects that has one (networks have none)."""
    return {get(item, _id_key(item), str): get(item, "Version.Index", int, 0) for item in items if "Version" in item}


def keyed(kind: str, items: Iterable[object], build: Callable[[Json], T]) -> dict[str, T]:
    """Read every item and key it by id, in id order. An error names the item: ``services[3].Spec.Name: ...``."""
    built: dict[str, T] = {}
    for index, item in enumerate(items):
        try:
            if not isinstance(item, Mapping):
                raise SourceError(f": expected an object, found {type(item).__name__}")
            key = _id_key(item)
            if (id_ := get(item, key, str)) in built:
                raise SourceError(f".{key}: {id_!r} is there twice")
            built[id_] = build(item)
        except SourceError as error:
            raise SourceError(f"{kind}[{index}]{error}") from error
    return dict(sorted(built.items()))


def _id_key(item: Json) -> str:
    return "ID" if "ID" in item else "Id"


def node(item: Json) -> Node:
    """Read one item of ``GET /nodes``."""
    return Node(
        id=get(item, "ID", str),
        hostname=get(item, "Description.Hostname", str, ""),
        role=get(item, "Spec.Role", str, "worker"),
        availability=get(item, "Spec.Availability", str, "active"),
        state=get(item, "Status.State", str, "unknown"),
        address=get(item, "Status.Addr", str, ""),
        manager_address=_host(get(item, "ManagerStatus.Addr", str, "")),
        labels=labels(item, "Spec.Labels"),
        engine_labels=labels(item, "Description.Engine.Labels"),
        os=get(item, "Description.Platform.OS", str, ""),
        arch=get(item, "Description.Platform.Architecture", str, ""),
        updated_at=get(item, "UpdatedAt", str, ""),
        drain_asked=get(item, DRAIN_ASKED, bool, False),
    )


def service(item: Json) -> Service:
    """Read one item of ``GET /services``."""
    mode = next((MODES[key] for key in get(item, "Spec.Mode", dict, {}) if key in MODES), "replicated")
    asked = each(item, "Spec.TaskTemplate.Networks", _target) or each(item, "Spec.Networks", _target)
    addresses = each(item, "Endpoint.VirtualIPs", lambda ip: (get(ip, "NetworkID", str), get(ip, "Addr", str, "")))
    return Service(
        id=get(item, "ID", str),
        name=get(item, "Spec.Name", str),
        labels=labels(item, "Spec.Labels"),
        created_at=get(item, "CreatedAt", str, ""),
        updated_at=get(item, "UpdatedAt", str, ""),
        mode=mode,
        replicas=get(item, "Spec.Mode.Replicated.Replicas", int, 1) if mode == "replicated" else 1,
        endpoint_mode=get(item, "Spec.EndpointSpec.Mode", str, "vip"),
        ports=tuple(each(item, "Endpoint.Ports", _port) or each(item, "Spec.EndpointSpec.Ports", _port)),
        networks=tuple(sorted(asked)),
        # The host's own network is listed without an address (seen).
        virtual_ips={network: _without_prefix(address) for network, address in addresses if address},
        update_state=get(item, "UpdateStatus.State", str, ""),
        own=get(item, OWN_NAME, str, ""),
        unlike=labels(item, UNLIKE),
    )


def task(item: Json) -> Task:
    """Read one item of ``GET /tasks``."""
    # Each host-mode port is listed twice, for IPv4 and then for IPv6 (seen). Mostly the numbers are equal and one is
    # kept; where a node chooses them and one was taken in one family, engine 20.10 reports two: their order counts.
    ports = dict.fromkeys(each(item, "Status.PortStatus.Ports", lambda port: _port({**port, "PublishMode": "host"})))
    return Task(
        id=get(item, "ID", str),
        service_id=get(item, "ServiceID", str, ""),
        node_id=get(item, "NodeID", str, ""),
        slot=get(item, "Slot", int, 0),
        state=get(item, "Status.State", str, "new"),
        desired_state=get(item, "DesiredState", str, "running"),
        created_at=get(item, "CreatedAt", str, ""),
        updated_at=get(item, "UpdatedAt", str, ""),
        state_at=get(item, "Status.Timestamp", str, ""),
        addresses={id_: address for id_, address in each(item, "NetworksAttachments", _attachment) if address},
        ports=tuple(sorted(ports, key=lambda port: (port.target, port.protocol))),
        drain_asked=get(item, DRAIN_ASKED, bool, False),
    )


def _target(item: Json) -> str:
    return get(item, "Target", str)


def _attachment(item: Json) -> tuple[str, str]:
    """Return network id and address, the first one if there is one for IPv6 as well; "" for the host's network."""
    addresses = get(item, "Addresses", list, [])
    return get(item, "Network.ID", str), _without_prefix(str(addresses[0])) if addresses else ""


def network(item: Json) -> Network:
    """Read one item of ``GET /networks``."""
    return Network(
        id=get(item, _id_key(item), str),
        name=get(item, "Name", str),
        driver=get(item, "Driver", str, "overlay"),
        ingress=get(item, "Ingress", bool, False),
        labels=labels(item, "Labels"),
    )


def document(facts: Snapshot) -> dict[str, object]:
    """Return the snapshot as a snapshot file's document, version 1. Reading it back gives an equal snapshot."""
    return {
        "version": 1,
        "cluster": facts.cluster,
        "taken_at": datetime.fromtimestamp(facts.taken_at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "nodes": [encode.item("nodes", item) for item in facts.nodes.values()],
        "services": [encode.item("services", item) for item in facts.services.values()],
        "tasks": [encode.item("tasks", item) for item in facts.tasks.values()],
        "networks": [encode.item("networks", item) for item in facts.networks.values()],
    }


def _port(item: Json) -> PublishedPort:
    return PublishedPort(
        target=port_number(item, "TargetPort"),
        published=port_number(item, "PublishedPort", 0),
        protocol=get(item, "Protocol", str, "tcp"),
        mode=get(item, "PublishMode", str, "ingress"),
    )


def _without_prefix(address: str) -> str:
    """``10.0.1.7/24`` -> ``10.0.1.7``.

    IPv6 in its shortest form: moby's main branch lists it so, older engines as it is in the store.
    """
    bare = address.partition("/")[0]
    if ":" in bare:
        with suppress(ValueError):
            return str(ipaddress.IPv6Address(bare))
    return bare


def _host(address: str) -> str:
    """``10.0.0.2:2377`` -> ``10.0.0.2``, ``[fd00::2]:2377`` -> ``fd00::2``; an address without a port is itself."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address
