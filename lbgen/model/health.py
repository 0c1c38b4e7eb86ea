"""How a route's servers are checked: what its labels ask for, as far as that is its own service's business.

A check is a request that the proxy makes by itself, at a pace, a path and a host that the labels choose. So it asks
only ports of the service, and with methods that change nothing, unless setting discovery.any_health_check is on.
"""

from __future__ import annotations

from dataclasses import replace

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import Match
from lbgen.labels.values.value_type import BadValue
from lbgen.model.names import check_host, check_server_name, speaks_tls
from lbgen.model.types import HealthCheck
from lbgen.snapshot import Service

ON_NODES = ("mesh", "host")  # the ways whose servers are nodes' addresses, where other programs listen, too
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
MOST_HEADERS = 10  # of a check: a line of HAProxy's takes 64 words
_REMEDY = "or set discovery.any_health_check"


def health_check(service: Service, keys: RouteKeys, match: Match, via: str, *, anything: bool) -> HealthCheck | None:
    """Return the check; None: there is none.

    Args:
        match: which requests the route wants: servers are asked by a name that it has.
        via: which way the route's traffic goes; decides whose address a port is of.
        anything: any port and method is accepted.
    Raises:
        BadValue: the check would change something, or ask a port that is not the service's.
    """
    kind = keys.health_check or ("http" if keys.health_check_path else "tcp")
    if kind == "off":
        return None
    if not anything:
        _check_method(keys.health_check_method)
        check_port(service, keys.health_check_port, via)
    if len(keys.health_check_header) > MOST_HEADERS:
        raise BadValue(f"has {len(keys.health_check_header)} headers", f"keep {MOST_HEADERS}", "health-check.header")
    name = check_server_name(keys, match)
    return HealthCheck(
        kind=kind,
        interval=keys.health_check_interval,
        timeout=keys.health_check_timeout,
        rise=keys.health_check_rise,
        fall=keys.health_check_fall,
        path=keys.health_check_path or "/",
        method=keys.health_check_method,
        host=check_host(keys, match),
        status=keys.health_check_status,
        scheme=_scheme(kind, keys, name),
        port=keys.health_check_port,
        server_name=name,
        headers=tuple(sorted(keys.health_check_header.items())),
    )


def own_port(check: HealthCheck | None) -> HealthCheck | None:
    """Return the check of each server's own port."""
    return replace(check, port=None) if check else None


def _scheme(kind: str, keys: RouteKeys, name: str) -> str:
    if kind == "http":
        return keys.health_check_scheme or ("https" if keys.server_tls else keys.scheme)
    # A handshake for no name is refused by servers that are well: then it is enough that they take connections.
    return "https" if speaks_tls(keys) and name else "http"


def _check_method(method: str) -> None:
    if method not in SAFE_METHODS:
        allowed = f"{', '.join(SAFE_METHODS[:-1])} or {SAFE_METHODS[-1]}"
        raise BadValue("may change something with each check", f"use {allowed}, {_REMEDY}", "health-check.method")


def check_port(service: Service, port: int | None, via: str) -> None:
    """Raise BadValue if checks would ask a port that is another program's, perhaps."""
    # Behind a task's address and a virtual IP is the service alone; a node's address has everybody's ports, and only
    # the published ones lead to the service: what it calls its target port may be another program's there.
    if port is None or via not in ON_NODES:
        return
    published = sorted({own.published for own in service.ports if own.published})
    if port not in published:
        known = ", ".join(map(str, published)) or "none"
        remedy = f"use a port that the service publishes ({known}), {_REMEDY}"
        raise BadValue("is not the service's on the nodes", remedy, "health-check.port")
