"""Which way a route's traffic goes, and to which port: decided from one service and its labels."""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.value_type import BadValue
from lbgen.snapshot import PublishedPort, Service


@dataclass(frozen=True, slots=True)
class Destination:
    """The way and the port, with what there was to choose from."""

    via: str  # "mesh", "host", "task", "vip": what auto became
    port: PublishedPort
    fitting: tuple[PublishedPort, ...]  # the service's published ports, as far as the labels leave them


def destination(service: Service, keys: RouteKeys, transport: str) -> Destination:
    """Decide between mesh, host, task and vip, and on the port.

    Args:
        transport: "tcp" or "udp": which published ports count.
    Raises:
        BadValue: nothing says, or too many things say, where the traffic should go.
    """
    fitting = tuple(
        port
        for port in service.ports
        if port.protocol == transport
        and keys.port in (None, port.target)
        and (keys.published_port is None or keys.published_port == port.published)
    )
    ingress = [port for port in fitting if port.mode == "ingress" and port.published]
    host = [port for port in fitting if port.mode == "host"]
    via = keys.via
    if via == "auto":
        via = "mesh" if ingress else "host" if host else "task"
    if via in ("mesh", "host"):
        return Destination(via, _only(ingress if via == "mesh" else host, via, keys, transport), fitting)
    if keys.port is not None:
        return Destination(via, PublishedPort(keys.port, protocol=transport), fitting)
    targets = {port.target for port in fitting}
    if len(targets) != 1:
        raise BadValue(_which_port(sorted(targets)), "say where the application listens", "port")
    return Destination(via, PublishedPort(targets.pop(), protocol=transport), fitting)


def _only(candidates: list[PublishedPort], via: str, keys: RouteKeys, transport: str) -> PublishedPort:
    mode = "ingress" if via == "mesh" else "host"
    if not candidates:
        asked = (
            f"port {keys.port or keys.published_port}" if keys.port or keys.published_port else f"no {transport} port"
        )
        verb = "is not published" if keys.port or keys.published_port else "is published"
        raise BadValue(
            f"{asked} {verb} in {mode} mode", f"publish the port with mode={mode}, or choose another way", "via"
        )
    if len(candidates) > 1:
        shown = ", ".join(f"{port.published or '*'}->{port.target}" for port in candidates)
        raise BadValue(
            f"several ports are published in {mode} mode ({shown})",
            "say which by this label or lbgen.published-port",
            "port",
        )
    return candidates[0]


def _which_port(targets: list[int]) -> str:
    if not targets:
        return "nothing says which port the application listens on"
    return f"several ports are possible ({', '.join(map(str, targets))})"
