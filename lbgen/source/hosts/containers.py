"""Containers as an engine lists them: which service each is of, how it is, and where it is reached.

The list says nearly all (`GET /containers/json`); `Details` has the rest, which single containers are asked for
(`GET /containers/ID/json`).
Source of the shapes: Engine API 1.41 reference and replies recorded from engines 20.10, 26.1 and 28.5.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbgen.base.errors import SourceError
from lbgen.snapshot import PROJECT, STACK, PublishedPort
from lbgen.source.decode_fields import Json, each, get, labels, port_number
from lbgen.source.hosts.host import Host

COMPOSE = "com.docker.compose."
COMPOSE_SERVICE = f"{COMPOSE}service"
SERVICE = "lbgen.service"  # label of a container that names its service
SERVICE_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?")  # as Swarm has them
HOST_NETWORK = "host"  # Docker's own name of the host's network
_SWARM = "com.docker.swarm.service.id"  # on the containers of Swarm's tasks: those are the Swarm's to tell of
ENDED = frozenset({"created", "exited", "removing", "dead"})  # states of a container without a process
_HEALTH = re.compile(r"Up .*\((healthy|unhealthy|health: starting)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Details:
    """What the list does not say of a container."""

    health: str = ""  # starting, healthy, unhealthy; empty: it has no health check
    ports: tuple[PublishedPort, ...] = ()  # that it asks for, also while it does not run; 0: the engine is to choose
    stop_signal: str = ""  # as the image or Compose writes it: "SIGTERM", "15"; empty: the usual one
    stop_timeout: float = 10.0  # seconds that Docker gives it to end
    running: bool = False  # it has a process
    started_at: str = ""  # RFC 3339

    @classmethod
    def of(cls, item: Json, host: Host) -> Details:
        """Read a reply of ``GET /containers/ID/json``."""
        health = get(item, "State.Health.Status", str, "")
        return cls(
            health="" if health == "none" else health,
            ports=_asked(get(item, "HostConfig.PortBindings", dict, {}), host),
            stop_signal=get(item, "Config.StopSignal", str, ""),
            stop_timeout=float(get(item, "Config.StopTimeout", int, 10)),
            running=get(item, "State.Running", bool, False),
            started_at=get(item, "State.StartedAt", str, ""),
        )


@dataclass(frozen=True, slots=True)
class Container:
    """One container that counts as a task."""

    id: str
    service: str  # name of its service
    number: int  # Compose's; 0: it has none
    state: str  # "running": and healthy, if it has a check; else why not: starting, unhealthy, paused, exited
    created: int  # seconds since 1970
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[PublishedPort, ...] = ()  # that reach it at the host's address; while it has ended, those of before
    addresses: Mapping[str, str] = field(default_factory=dict)  # name of a network that the proxy shares -> address
    networks: tuple[str, ...] = ()  # names of shared networks that it is on, also while it has no address

    @property
    def ended(self) -> bool:
        """Whether it has no process."""
        return self.state in ENDED


def identity(item: Json) -> str:
    """Return a container's id."""
    return get(item, "Id", str)


def counts(item: Json) -> bool:
    """Tell whether a listed container is a task: no Swarm's, and none of `docker compose run`."""
    own = get(item, "Labels", dict, {})
    return _SWARM not in own and str(own.get(f"{COMPOSE}oneoff", "")).lower() != "true"


def lacks(item: Json, known: Container | None) -> bool:
    """Tell whether the list leaves something open that `Details` would say.

    Args:
        known: the same container, as it was.
    """
    if get(item, "State", str, "") == "running":
        return not get(item, "Status", str, "").startswith("Up ")
    # Only of one that runs are the ports listed; what was seen before has them since then.
    return known is None and not get(item, "Ports", list, [])


def container(item: Json, host: Host, known: Container | None = None, details: Details | None = None) -> Container:
    """Read one item of ``GET /containers/json``; raise SourceError if it cannot be read.

    Args:
        known: the same container, as it was.
        details: the rest, where it was asked for.
    """
    id_, state = identity(item), get(item, "State", str, "")
    own = labels(item, "Labels")
    attached: Mapping[str, object] = get(item, "NetworkSettings.Networks", dict, {})
    shared = [name for name in sorted(attached) if name in host.networks or name == HOST_NETWORK]
    addresses = {name: _address(attached, name, host) for name in shared}
    ports = _published(item, host)
    if state != "running" and not ports:
        ports = details.ports if details else known.ports if known else ()
    return Container(
        id=id_,
        service=_service(own, get(item, "Names", list, []), id_),
        number=_number(own.get(f"{COMPOSE}container-number", "")),
        state=_state(state, get(item, "Status", str, ""), details),
        created=get(item, "Created", int, 0),
        labels=_kept(own),
        ports=ports,
        addresses={name: address for name, address in addresses.items() if address and state in ("running", "paused")},
        networks=tuple(shared),
    )


def _service(own: Mapping[str, str], names: list[object], id_: str) -> str:
    """Return the name of the service: by label, by Compose, else the container's own name."""
    if SERVICE_NAME.fullmatch(named := own.get(SERVICE, "").strip()):
        return named
    project, service = own.get(PROJECT, ""), own.get(COMPOSE_SERVICE, "")
    if project and service:
        return _usable(f"{project}_{service}")
    # With the old links a container has further names, "/other/alias".
    own_names = sorted(name[1:] for name in names if isinstance(name, str) and name.count("/") == 1 and name[1:])
    return _usable(own_names[0]) if own_names else id_[:12]


def _usable(name: str) -> str:
    """Return a name that a service can have; Compose and Docker allow dots, dashes at the end, and more characters.

    What had to be changed gets a mark that is made of the whole name: two services never become one by that.
    """
    if SERVICE_NAME.fullmatch(name):
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '-', name).strip('_-')[:56] or 'x'}-{mark}"


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0


def _kept(own: Mapping[str, str]) -> dict[str, str]:
    """Leave out what Docker and Compose note for themselves: it differs between replicas, or names directories.

    Of `SERVICE` a value stays that names no service, for the problem that it is.
    """
    return {name: value for name, value in own.items() if not _is_noted(name, value)}


def _is_noted(name: str, value: str) -> bool:
    if name == SERVICE:
        return SERVICE_NAME.fullmatch(value.strip()) is not None
    return name == STACK or (name.startswith(COMPOSE) and name not in (PROJECT, COMPOSE_SERVICE))


def _state(state: str, status: str, details: Details | None) -> str:
    """Return "running" for a container that is to have traffic, else the word for how it is."""
    if state != "running":
        return state or "unknown"
    found = _HEALTH.fullmatch(status)
    health = found[1].removeprefix("health: ") if found else details.health if details else ""
    return "running" if health in ("", "healthy") else health


def _address(attached: Mapping[str, object], name: str, host: Host) -> str:
    if name == HOST_NETWORK:
        return host.address
    settings = attached[name]
    if not isinstance(settings, Mapping):
        return ""
    return get(settings, "IPAddress", str, "") or get(settings, "GlobalIPv6Address", str, "")


def _published(item: Json, host: Host) -> tuple[PublishedPort, ...]:
    """Return the ports that are published now and lead to the container at the host's address.

    Listed as ``{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 32768, "Type": "tcp"}``, for IPv4 and for IPv6;
    without PublicPort where a port is not published.
    """
    bound = each(item, "Ports", lambda port: (get(port, "IP", str, ""), _port(port)))
    return _reachable([(address, port) for address, port in bound if port.published], host)


def _port(item: Json) -> PublishedPort:
    target, published = port_number(item, "PrivatePort"), port_number(item, "PublicPort", 0)
    return PublishedPort(target, published, get(item, "Type", str, "tcp"), "host")


def _asked(bindings: Mapping[str, object], host: Host) -> tuple[PublishedPort, ...]:
    """Read ``{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}``; without HostPort, or with a range, 0."""
    bound = []
    for text, places in bindings.items():
        target, _, protocol = text.partition("/")
        if not target.isdecimal():
            raise SourceError(f".HostConfig.PortBindings: {text[:40]!r} is not a port")
        for place in places if isinstance(places, list) else []:
            if not isinstance(place, Mapping):
                raise SourceError(f".HostConfig.PortBindings.{text}: expected an object")
            number = get(place, "HostPort", str, "")
            port = PublishedPort(int(target), _number(number), protocol or "tcp", "host")
            bound.append((get(place, "HostIp", str, ""), port))
    return _reachable(bound, host)


def _reachable(bound: Iterable[tuple[str, PublishedPort]], host: Host) -> tuple[PublishedPort, ...]:
    """Return the ports that the host's address leads to, those of every address or of just this one first."""
    fitting = [(_fit(address, host.address), port) for address, port in bound]
    best: dict[PublishedPort, int] = {}
    for fit, port in fitting:
        if fit:
            best[port] = max(fit, best.get(port, 0))
    return tuple(sorted(best, key=lambda port: (port.target, port.protocol, -best[port], port.published)))


def _fit(bound: str, address: str) -> int:
    """Return how well a port that is bound to one address is reached at another; 0: not at all."""
    if not bound:
        return 2
    try:
        at, to = ipaddress.ip_address(bound), ipaddress.ip_address(address)
    except ValueError:
        return 0
    if at.version != to.version:
        return 0
    if at == to or at.is_unspecified:
        return 2
    # To another address of the host: it may be the one that a public address stands for.
    return 0 if at.is_loopback or to.is_loopback else 1
