"""Which certificate, and which authority of client certificates, each host of a TLS listener has.

TLS knows hosts and no paths, so routes of one host have to agree. Where they do not, the older service's word holds,
and a route that would be guarded by another authority than its own is not served.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lbgen.base.problem import Problem
from lbgen.model.routing import ANY_HOST
from lbgen.model.types import Listener, Route, TlsHost


def hosts_of(route: Route) -> list[str]:
    """Return the hosts that a route asks for, "*" for requests to any; sorted."""
    hosts = set()
    for alternative in route.alternatives:
        hosts |= {test.value for test in alternative if test.kind == "host" and not test.negated} or {ANY_HOST}
    return sorted(hosts)


def tls_hosts(listener: Listener, routes: Iterable[Route]) -> tuple[Listener, list[Route], list[Problem]]:
    """Return the listener with its `hosts` filled in, the routes that it carries, and what is wrong with others."""
    carried: list[Route] = []
    problems = []
    hosts: dict[str, tuple[TlsHost, Route]] = {}
    asking = [route for route in routes if listener.name in route.listeners]
    for route in sorted(asking, key=lambda route: (route.age, route.name)):
        wanted = [TlsHost(host, route.certificate, route.client_ca) for host in hosts_of(route)]
        if listener.tls and (other := _guarded(wanted, hosts)):
            problems.append(_differs(route, other, listener, "client-ca", "the route is not served there"))
            continue
        carried.append(route)
        if not listener.tls or not (route.certificate or route.client_ca):
            continue
        for item in wanted:
            known, first = hosts.get(item.host, (item, route))
            if known.certificate and item.certificate and known.certificate != item.certificate:
                problems.append(_differs(route, first, listener, "tls", f"{item.host} has {known.certificate}"))
            joined = TlsHost(item.host, known.certificate or item.certificate, known.client_ca or item.client_ca)
            hosts[item.host] = joined, first
    table = tuple(sorted((item for item, _ in hosts.values()), key=lambda item: (item.host == ANY_HOST, item.host)))
    return replace(listener, hosts=table), carried, problems


def _guarded(wanted: Iterable[TlsHost], hosts: dict[str, tuple[TlsHost, Route]]) -> Route | None:
    """Return the older route that has another authority for one of these hosts."""
    for item in wanted:
        known = hosts.get(item.host)
        if known and item.client_ca and known[0].client_ca not in ("", item.client_ca):
            return known[1]
    return None


def _differs(route: Route, first: Route, listener: Listener, key: str, instead: str) -> Problem:
    return Problem(
        route.service,
        f"{key} differs from that of service {first.service}, which is older, on listener {listener.name}: {instead}",
        "name the same file, or use another host",
        route=route.name,
    )
