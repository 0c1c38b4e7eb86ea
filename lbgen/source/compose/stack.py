"""What a valid file says of services and networks, as far as it decides where traffic goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lbgen.base.yaml_tree import KeyPath
from lbgen.snapshot import PublishedPort
from lbgen.source.compose import ports
from lbgen.source.compose.stack_file import StackFile

MODES = ("replicated", "global", "replicated-job", "global-job")
ENDPOINT_MODES = ("vip", "dnsrr")
PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class StackService:
    """A service as one or several files ask for it; what is empty or None is not said."""

    image: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)  # of the service
    mode: str = ""
    replicas: int | None = None
    endpoint_mode: str = ""
    constraints: tuple[str, ...] = ()
    most_on_a_node: int = 0
    ports: tuple[PublishedPort, ...] = ()
    networks: tuple[str, ...] = ()  # as the file calls them


@dataclass(frozen=True, slots=True)
class StackNetwork:
    """A network of the file."""

    name: str = ""  # what Swarm calls it, if that does not follow from the stack's name
    external: bool = False
    driver: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """What one file says, or several that were merged."""

    services: Mapping[str, StackService] = field(default_factory=dict)
    networks: Mapping[str, StackNetwork] = field(default_factory=dict)


def stack_in(file: StackFile) -> Stack:
    """Read a file that has the right shape; values that cannot be used are added to its errors."""
    services = file.data.get("services") or {}
    networks = file.data.get("networks") or {}
    return Stack(
        {name: _service(file, ("services", name), item) for name, item in services.items()},
        {name: _network(file, name, item or {}) for name, item in networks.items()},
    )


def _service(file: StackFile, path: KeyPath, item: Mapping[str, Any]) -> StackService:
    deploy = item.get("deploy") or {}
    placed = deploy.get("placement") or {}
    replicas = deploy.get("replicas")
    if replicas is not None and replicas < 0:
        file.wrong((*path, "deploy", "replicas"), f"{replicas} is less than nothing", "write 0 or more")
    return StackService(
        image=item.get("image") or "",
        labels=pairs(deploy.get("labels")),
        mode=_one_of(file, (*path, "deploy", "mode"), deploy.get("mode"), MODES),
        replicas=replicas,
        endpoint_mode=_one_of(file, (*path, "deploy", "endpoint_mode"), deploy.get("endpoint_mode"), ENDPOINT_MODES),
        constraints=tuple(placed.get("constraints") or ()),
        most_on_a_node=placed.get("max_replicas_per_node") or 0,
        ports=tuple(_ports(file, (*path, "ports"), item.get("ports") or [])),
        networks=tuple(item.get("networks") or ()),
    )


def _one_of(file: StackFile, path: KeyPath, value: str | None, known: tuple[str, ...]) -> str:
    # The command line client lowers the endpoint mode and no other of these.
    word = (value or "").lower() if known is ENDPOINT_MODES else value or ""
    if word and word not in known:
        file.wrong(path, f"there is no {path[-1]} {value!r}", f"write one of {', '.join(known)}")
        return ""
    return word


def _ports(file: StackFile, path: KeyPath, items: list[Any]) -> Iterator[PublishedPort]:
    for index, item in enumerate(items):
        place = (*path, index)
        if not isinstance(item, Mapping) and (address := ports.address_of(item)):
            file.note(place, f"Swarm does not heed the address {address}: the port is open on all of them")
        for port in ports.long(item) if isinstance(item, Mapping) else ports.short(item):
            if _usable(file, place, port):
                yield port


def _usable(file: StackFile, place: KeyPath, port: PublishedPort) -> bool:
    if not 1 <= port.target <= 65535:
        file.wrong(
            (*place, "target"), f"{port.target} is not a port that an application listens on", "write 1 to 65535"
        )
    elif not 0 <= port.published <= 65535:
        file.wrong((*place, "published"), f"{port.published} is not a port", "write 1 to 65535, or leave it out")
    elif port.protocol not in PROTOCOLS:
        file.wrong((*place, "protocol"), f"there is no protocol {port.protocol!r}", "write tcp, udp or sctp")
    elif port.mode not in ("ingress", "host"):
        file.wrong((*place, "mode"), f"there is no mode {port.mode!r}", "write ingress or host")
    else:
        return True
    return False


def _network(file: StackFile, name: str, item: Mapping[str, Any]) -> StackNetwork:
    external = item.get("external") or False
    own, outer = item.get("name") or "", ""
    if isinstance(external, Mapping):
        outer, external = external.get("name") or "", True
    if own and outer:
        file.wrong(("networks", name, "external", "name"), "conflicts with the network's name", "remove this one")
    if external:
        own = own or outer or name
    return StackNetwork(own, external, item.get("driver") or "", pairs(item.get("labels")))


def pairs(value: Mapping[str, Any] | list[str] | None) -> dict[str, str]:
    """Return labels or variables in either form, ``a: b`` or ``- a=b``, as texts; none has the empty one."""
    if isinstance(value, Mapping):
        return {key: as_text(item) for key, item in value.items()}
    return {key: text for key, _, text in (item.partition("=") for item in value or ())}


def as_text(value: object) -> str:
    """Write a value as docker does, whose way with numbers is Go's: 1.50 is 1.5, 1.0 is 1, 1e6 is 1e+06."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        value = float(value)
    return _float_text(value) if isinstance(value, float) else str(value)


def _float_text(value: float) -> str:
    """Go's format %v: as few digits as tell the number apart, with an exponent below 1e-4 and from 1e6 on."""
    number = Decimal(repr(value)).normalize()
    exponent = number.adjusted()
    if -4 <= exponent < 6:
        return format(number, "f")
    sign, digits, _ = number.as_tuple()
    first, *rest = map(str, digits)
    return f"{'-' * sign}{first}{'.' * bool(rest)}{''.join(rest)}e{exponent:+03d}"
