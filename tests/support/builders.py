"""Small factories for facts and settings: whatever a test does not say is the plainest thing that works."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lbgen.labels import native
from lbgen.labels.match import Test
from lbgen.labels.route_spec import ServiceLabels
from lbgen.model import Listener, Model, Route, Rules, build
from lbgen.model.servers import Surroundings
from lbgen.render.context import TargetContext
from lbgen.render.renderer import Renderer
from lbgen.render.templates import find
from lbgen.settings import Settings
from lbgen.snapshot import Network, Node, PublishedPort, Service, Snapshot, Task

Fact = Node | Service | Task | Network
CREATED = "2026-11-22T10:00:00Z"


def a_node(name: str = "node1", **facts: Any) -> Node:
    """A ready worker; its id is ``<name>-id``, its address ends in the digits of its name."""
    digits = "".join(char for char in name if char.isdecimal()) or "1"
    return Node(**{"id": f"{name}-id", "hostname": name, "address": f"192.168.1.{digits}", **facts})


def lbgen_labels(keys: Mapping[str, object] | None = None, *, enable: str | None = "true") -> dict[str, str]:
    """``{"port": 80}`` -> ``{"lbgen.enable": "true", "lbgen.port": "80"}``."""
    labels = {} if enable is None else {"lbgen.enable": enable}
    return labels | {f"lbgen.{key}": str(value) for key, value in (keys or {}).items()}


def a_service(name: str = "web", keys: Mapping[str, object] | None = None, **facts: Any) -> Service:
    """An enabled service with id ``<name>-id``; ``keys`` are its labels without ``lbgen.``."""
    return Service(**{"id": f"{name}-id", "name": name, "labels": lbgen_labels(keys), "created_at": CREATED, **facts})


def a_task(service: str = "web", slot: int = 1, node: str = "node1", **facts: Any) -> Task:
    """A running task of the service with id ``<service>-<slot>-id`` (``<service>-<node>-id`` without a slot)."""
    return Task(
        **{
            "id": f"{service}-{slot or node}-id",
            "service_id": f"{service}-id",
            "node_id": f"{node}-id",
            "slot": slot,
            "state": "running",
            "created_at": CREATED,
            **facts,
        }
    )


def a_network(name: str = "edge", **facts: Any) -> Network:
    """An overlay network with id ``<name>-id``."""
    return Network(**{"id": f"{name}-id", "name": name, **facts})


def ingress(target: int = 8080, published: int = 80, **facts: Any) -> PublishedPort:
    """A port published in the routing mesh."""
    return PublishedPort(target, published, **facts)


def host_port(target: int = 8080, published: int = 0) -> PublishedPort:
    """A port published in host mode; 0: the node chooses."""
    return PublishedPort(target, published, mode="host")


def a_snapshot(*facts: Fact, listing: int = 1) -> Snapshot:
    """A snapshot of the facts in the order given (sources sort by id; the model must not care)."""
    kinds: dict[type, dict[str, Any]] = {Node: {}, Service: {}, Task: {}, Network: {}}
    for fact in facts:
        kinds[type(fact)][fact.id] = fact
    return Snapshot(
        nodes=kinds[Node],
        services=kinds[Service],
        tasks=kinds[Task],
        networks=kinds[Network],
        listing=listing,
    )


def a_listener(name: str = "web", port: int = 80, protocol: str = "http", **facts: Any) -> Listener:
    """A listener on every address."""
    return Listener(name, facts.pop("address", "*"), port, protocol, facts.pop("tls", False), **facts)


def a_rules(*listeners: Listener, **settings: Any) -> Rules:
    """Rules with these listeners (default: ``web`` on port 80), all of them default listeners."""
    known = listeners or (a_listener(),)
    return Rules(**{"listeners": known, "default_listeners": tuple(listener.name for listener in known), **settings})


def surroundings(*facts: Fact, drained: frozenset[str] = frozenset(), **settings: Any) -> Surroundings:
    """Nodes, networks and settings around one service."""
    snapshot = a_snapshot(*facts)
    by_name = {service.name: service for service in snapshot.services.values()}
    tasks = snapshot.tasks_by_service()
    return Surroundings(a_rules(**settings), snapshot.nodes, snapshot.networks, drained, by_name, tasks)


def a_route(name: str = "web", *alternatives: tuple[Test, ...], **facts: Any) -> Route:
    """An HTTP route on listener ``web``; each alternative is a tuple of tests."""
    return Route(
        **{
            "name": name,
            "backend": name,
            "service": name,
            "protocol": "http",
            "listeners": ("web",),
            "alternatives": alternatives or ((),),
            "priority": None,
            "age": (0.0, f"{name}-id"),
            **facts,
        }
    )


def parsed(keys: Mapping[str, object], *, service: str = "web", enable: str | None = "true") -> ServiceLabels:
    """What the labels ``lbgen.<key>`` of a service say."""
    return native.parse(service, lbgen_labels(keys, enable=enable))


def modelled(*facts: Fact, rules: Rules | None = None, drained: frozenset[str] = frozenset()) -> Model:
    """The model of a snapshot of these facts."""
    return build(a_snapshot(*facts), rules or a_rules(), drained)


def a_renderer(
    *directories: Path | str,
    settings: Settings | None = None,
    output: Path | str = "/var/lib/lbgen/edge",
    **options: Any,
) -> Renderer:
    """A renderer of these template directories, the built-in haproxy set by default."""
    templates = find([str(directory) for directory in directories] or ["haproxy"])
    target = TargetContext("edge", str(output), options, stats_socket=f"{output}/haproxy.sock")
    return Renderer(templates, target, settings or Settings())


def app(name: str, keys: Mapping[str, object], port: int, *addresses: str, **facts: Any) -> list[Fact]:
    """A service with a task at each of these addresses, reached on them; without a check unless the keys say so."""
    tasks = [a_task(name, slot, addresses={"edge-id": address}) for slot, address in enumerate(addresses, 1)]
    usual = {} if all(key.startswith("udp.") for key in keys) and keys else {"health-check": "off"}
    return [a_service(name, {"port": port, **usual, **keys}, networks=("edge-id",), **facts), *tasks]


def cluster(port: int, *addresses: str, **keys: object) -> list[Fact]:
    """A service with a task at each of these addresses."""
    tasks = [a_task("web", slot, addresses={"edge-id": address}) for slot, address in enumerate(addresses, 1)]
    usual = {"port": port, "health-check": "off"}
    labels = {**usual, **{key.replace("_", "-"): value for key, value in keys.items()}}
    return [a_node(), a_network(), a_service("web", labels, networks=("edge-id",)), *tasks]
