"""What the options of services in Traefik's files mean: those that labels have, and those that only files have.

Source: traefik 3.7 pkg/config/dynamic/http_config.go, tcp_config.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lbgen.labels.foreign_options import Left, Lost, Table, Taken, flag
from lbgen.labels.traefik.options import SERVICE, TCP_SERVICE
from lbgen.labels.values import basic
from lbgen.labels.values.value_type import BadValue

_LEAVE = "remove it, or leave the service to Traefik"
_USUAL_PORTS = {"http": 80, "https": 443, "h2c": 80}
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")
_URL = re.compile(r"(?:(https?|h2c)://)([^/?#@]+)(/?.*)")


@dataclass(frozen=True, slots=True)
class FileServer:
    """A server as a file names it."""

    host: str  # an IP literal, or a name, which is meant for a Swarm service's
    port: int
    scheme: str = ""

    @property
    def is_address(self) -> bool:
        """Whether it names no service."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def server_url(text: str) -> FileServer:
    """``http://192.0.2.7:8080``: an IP address or the name of a Swarm service."""
    match = _URL.fullmatch(text)
    if not match:
        raise BadValue("is not the URL of a server", "write one such as http://192.0.2.7:8080")
    scheme, authority, path = match.groups()
    if path not in ("", "/"):
        raise BadValue("has a path, which is not put before that of requests", "use middleware addPrefix")
    return _server(authority, scheme)


def server_address(text: str) -> FileServer:
    """``192.0.2.7:5432``."""
    return _server(text, "")


def _server(text: str, scheme: str) -> FileServer:
    match = _ADDRESS.fullmatch(text)
    host = (match[1] or match[2]) if match else ""
    number = match[3] if match else ""
    if not host or not (number or scheme) or (match and match[1] and not _is_address(match[1])):
        raise BadValue("is not the address of a server", "write one such as 192.0.2.7:5432")
    if re.fullmatch(r"[0-9.]+", host) and not _is_address(host):
        raise BadValue("has no IP address where one is meant", "write one such as 192.0.2.7")
    if "." in host and not _is_address(host):
        raise BadValue(
            "has a name that only DNS knows, and no name is looked up",
            "write the IP address, or the name of a Swarm service",
        )
    return FileServer(host, basic.port(number) if number else _USUAL_PORTS[scheme], scheme)


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _without_copies(text: str) -> bool:
    if flag(text):
        return True
    raise BadValue("asks for copies without bodies, and here they have them", "write true")


_ONE_BY_ONE = Left("is left out: each server is checked on its own", "remove it")
_WEIGHT = Taken(basic.integer(0, 1_000_000), "_weights")
_STICKY = {
    option.replace("loadbalancer.", "weighted.", 1): row
    for option, row in SERVICE.items()
    if option.startswith("loadbalancer.sticky")
}
# What labels cannot say, and what only they can.
_OF_LABELS = (
    *("loadbalancer.server.", "loadbalancer.<>"),
    *("weighted.", "mirroring.", "failover.", "highestrandomweight.", "errors."),
)
HTTP: Table = {
    **{option: row for option, row in SERVICE.items() if not option.startswith(_OF_LABELS)},
    "loadbalancer.servers[n].url": Taken(server_url, "_servers"),
    "loadbalancer.servers[n].weight": Taken(basic.integer(0, 256), "_weights"),
    "loadbalancer.servers[n].preservepath": Taken(flag),
    "weighted.services[n].name": Taken(str, "_names"),
    "weighted.services[n].weight": _WEIGHT,
    "weighted.healthcheck": _ONE_BY_ONE,
    **_STICKY,
    "mirroring.service": Taken(str, "_service"),
    "mirroring.mirrors[n].name": Taken(str, "_names"),
    "mirroring.mirrors[n].percent": Taken(basic.integer(0, 100), "_weights"),
    "mirroring.mirrorbody": Taken(_without_copies),
    "mirroring.maxbodysize": Left("is left out: which bodies are copied is the proxy's own limit", "remove it"),
    "mirroring.healthcheck": _ONE_BY_ONE,
    "failover.service": Taken(str, "_service"),
    "failover.fallback": Taken(str, "_fallback"),
    "failover.healthcheck": _ONE_BY_ONE,
    "failover.errors.<>": Lost("goes by the status of an answer, and here by health checks alone", _LEAVE),
    "highestrandomweight.<>": Lost(
        "keeps clients by their addresses to weighted services", "write weighted, with sticky.cookie"
    ),
    "middlewares": Lost("puts middlewares behind the service", "name them in the routers that use it"),
}
TCP: Table = {
    **{option: row for option, row in TCP_SERVICE.items() if not option.startswith(_OF_LABELS)},
    "loadbalancer.servers[n].address": Taken(server_address, "_servers"),
    "loadbalancer.servers[n].tls": Taken(flag, "_tls"),
    "weighted.services[n].name": Taken(str, "_names"),
    "weighted.services[n].weight": _WEIGHT,
    "weighted.healthcheck": _ONE_BY_ONE,
}
UDP: Table = {
    "loadbalancer.servers[n].address": Taken(server_address, "_servers"),
    "weighted.services[n].name": Taken(str, "_names"),
    "weighted.services[n].weight": _WEIGHT,
}
SERVICES: Mapping[str, Table] = {"http": HTTP, "tcp": TCP, "udp": UDP}
