"""Which way a route's traffic goes, and to which port: decided from one service and its labels.

Nothing is guessed: what leaves a choice is a problem that says how to settle it. docs/labels.md lists what is concluded
where a label is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.value_type import BadValue
from lbgen.snapshot import PublishedPort, Service

_MODES = {"mesh": "ingress", "host": "host"}


@dataclass(frozen=True, slots=True)
class Destination:
    """The way and the port, with what there was to choose from."""

    via: str  # "mesh", "host", "task", "vip": what auto became
    port: PublishedPort
    fitting: tuple[PublishedPort, ...]  # the service's published ports, as far as the labels leave them


def destination(service: Service, keys: RouteKeys, transport: str, via: str) -> Destination:
    """Decide between mesh, host, task and vip, and on the port.

    Args:
        transport: "tcp" or "udp": which published ports count.
        via: the way that label or setting ask for; "auto": as the port is published.
    Raises:
        BadValue: nothing says, or too many things say, where the traffic should go.
    """
    ports = tuple(port for port in service.ports if port.protocol == transport)
    fitting = tuple(
        port for port in ports if keys.port in (None, port.target) and keys.published_port in (None, port.published)
    )
    ingress = [port for port in fitting if port.mode == "ingress" and port.published]
    host = [port for port in fitting if port.mode == "host"]
    if via == "auto":
        if keys.published_port and not fitting:
            raise BadValue(_not_published(ports, keys, transport), "name a port that is published", "published-port")
        via = "mesh" if ingress else "host" if host else "task"
        if via == "task" and (mistaken := _published_as(ports, keys)):
            raise _not_the_target(mistaken, f", or lbgen.via=task if it listens on {keys.port} too")
    if via in _MODES:
        if via == "mesh" and service.on_hosts:
            raise BadValue("hosts without Swarm have no mesh", "write lbgen.via=host, or leave it out", "via")
        return Destination(via, _only(ingress if via == "mesh" else host, ports, via, keys, transport), fitting)
    if keys.port is not None:
        return Destination(via, PublishedPort(keys.port, protocol=transport), fitting)
    targets = {port.target for port in fitting}
    if len(targets) != 1:
        raise BadValue(*_which_port(sorted(targets)), "port")
    return Destination(via, PublishedPort(targets.pop(), protocol=transport), fitting)


def way_by_port(service: Service, port: PublishedPort) -> str:
    """Return how a service's port could be reached without a network that is known to be shared, as a remedy."""
    published = [each for each in service.ports if (each.target, each.protocol) == (port.target, port.protocol)]
    for via, mode in _MODES.items():
        for each in published:
            if each.mode == mode:
                number = f" as {each.published}" if each.published else ""
                return f"write lbgen.via={via}: port {port.target} is published{number} in {mode} mode"
    if service.on_hosts:  # without Swarm there is no mesh
        return "publish the port"
    return "publish the port and write lbgen.via=mesh"


def _only(
    candidates: list[PublishedPort], ports: Sequence[PublishedPort], via: str, keys: RouteKeys, transport: str
) -> PublishedPort:
    mode = _MODES[via]
    if not candidates:
        if mistaken := _published_as(ports, keys):
            raise _not_the_target(mistaken)
        message = _not_published(ports, keys, transport, f" in {mode} mode")
        raise BadValue(message, f"publish the port with mode={mode}, or choose another way", "via")
    if len(candidates) > 1:
        shown = ", ".join(map(_shown, candidates))
        if len({port.target for port in candidates}) == 1:
            message = f"port {candidates[0].target} is published several times in {mode} mode ({shown})"
            raise BadValue(message, "say which by label lbgen.published-port", "published-port")
        raise BadValue(
            f"several ports are published in {mode} mode ({shown})",
            "say which by this label or lbgen.published-port",
            "port",
        )
    return candidates[0]


def _not_published(ports: Sequence[PublishedPort], keys: RouteKeys, transport: str, mode: str = "") -> str:
    asked = keys.port or keys.published_port
    message = f"port {asked} is not published{mode}" if asked else f"no {transport} port is published{mode}"
    others = ", ".join(f"{_shown(port)} in {port.mode} mode" for port in ports)
    return f"{message} (the service publishes {others})" if others else message


def _shown(port: PublishedPort) -> str:
    return f"{port.published or '*'}->{port.target}"


def _published_as(ports: Sequence[PublishedPort], keys: RouteKeys) -> PublishedPort | None:
    """Return the port whose published number stands where its target should; None: there is no such mistake."""
    if keys.port is None or any(port.target == keys.port for port in ports):
        return None
    return next((port for port in ports if port.published == keys.port), None)


def _not_the_target(port: PublishedPort, otherwise: str = "") -> BadValue:
    return BadValue(
        f"port {port.published} is the published one; in the container the application listens on {port.target}",
        f"write {port.target}{otherwise}",
        "port",
    )


def _which_port(targets: list[int]) -> tuple[str, str]:
    if not targets:
        return "nothing says which port the application listens on", "add this label"
    return f"several ports are possible ({', '.join(map(str, targets))})", "add this label, with one of them"
