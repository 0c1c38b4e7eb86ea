"""Which TCP route a connection takes, where a table of server names does not say it: rules in the order to ask.

The order is: higher priority first; without one the length of the alternative as a Traefik rule of its own; then more
tests, the exact name, the older service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from lbgen.base.problem import Problem
from lbgen.labels.match import Alternative, Test, to_ask
from lbgen.labels.relations import exclude
from lbgen.model.closed import backend_name
from lbgen.model.entries import Stream
from lbgen.model.routing import Conflict, broader_hosts, is_one_host, priority_of
from lbgen.model.types import Closed, Listener, Route


def is_name(alternative: Alternative) -> bool:
    """Tell whether a table of names has a place for it: it is one server name, or any."""
    return not alternative or (len(alternative) == 1 and alternative[0].kind == "sni" and not alternative[0].negated)


def stream_table(
    listener: Listener, routes: Sequence[Route], closed: Sequence[Closed] = ()
) -> tuple[Listener, list[Conflict]]:
    """Return the listener with its `streams` filled in, and which routes claimed what another one has.

    Args:
        routes: of this listener, the older service's first.
        closed: of this listener.
    """
    streams, conflicts = _streams(listener, routes, closed)
    place = next((place for place, stream in enumerate(streams) if not stream.alternative), len(streams))
    default = streams[place].backend if place < len(streams) else ""
    return replace(listener, streams=tuple(streams[:place]), default=default), conflicts


def streams_beside_http(
    listener: Listener, routes: Iterable[Route], closed: Sequence[Closed] = ()
) -> tuple[Listener, list[Problem]]:
    """Return an HTTP listener with its `streams` filled in, and a problem for each name that another route has.

    A host that HTTP routes name stays HTTP's, as with Traefik; each alternative of the TCP routes names its own.

    Args:
        routes: of TCP on this listener.
        closed: of TCP on this listener.
    """
    ours = sorted(routes, key=lambda route: (route.age, route.name))
    streams, conflicts = _streams(listener, ours, closed)
    hosts = http_hosts(listener)
    wanted = {test.value for stream in streams for test in stream.alternative if is_positive_name(test)}
    kept = [host for host in sorted(hosts) if not wanted.isdisjoint((host, *broader_hosts(host)))]
    before = [Stream((Test("sni", host),), "", passthrough=False) for host in kept]
    lost = [
        Problem(
            route.service,
            f"TLS name {test.value} is a host of HTTP routes on listener {listener.name}, which go first",
            "use another name, or a TCP listener",
            route=route.name,
        )
        for route in ours
        for test in {test for alternative in route.alternatives for test in alternative if is_positive_name(test)}
        if test.value in hosts
    ]
    return replace(listener, streams=(*before, *streams)), [*(each.problem for each in conflicts), *lost]


def is_positive_name(test: Test) -> bool:
    """Tell whether connections that are like this ask for one TLS server name, or one of a domain."""
    return test.kind == "sni" and not test.negated


def _streams(
    listener: Listener, routes: Sequence[Route], closed: Sequence[Closed]
) -> tuple[list[Stream], list[Conflict]]:
    rules, conflicts = _ordered(listener, routes)
    return [stream for alternative, route in rules for stream in _guarded(alternative, route, closed)], conflicts


def _ordered(listener: Listener, routes: Sequence[Route]) -> tuple[list[tuple[Alternative, Route]], list[Conflict]]:
    claims: dict[tuple[Alternative, int], Route] = {}
    conflicts = []
    for route in routes:
        for alternative in route.alternatives:
            first = claims.setdefault((alternative, priority_of(route, alternative)), route)
            if first.backend != route.backend:
                conflicts.append(Conflict(route, first, listener.name, alternative))
    in_order = sorted(claims.items(), key=lambda item: (-item[0][1], *_width(item[0][0]), item[1].age, item[1].name))
    return [(alternative, route) for (alternative, _), route in in_order], conflicts


def _width(alternative: Alternative) -> tuple[int, int, Alternative]:
    return -len(alternative), sum(test.value.startswith("*.") for test in alternative), alternative


def _guarded(alternative: Alternative, route: Route, closed: Sequence[Closed]) -> Iterator[Stream]:
    """Yield what a route takes, after what of that its own service refuses."""
    own = (each for item in closed if item.age == route.age for each in item.alternatives)
    for refused in dict.fromkeys(own):
        if not exclude(alternative, refused):
            yield Stream(to_ask({*alternative, *refused}), backend_name("tcp"), route.passthrough)
    yield Stream(alternative, route.backend, route.passthrough)


def http_hosts(listener: Listener) -> set[str]:
    """Return the exact hosts that the HTTP routes of a listener ask for."""
    tests = (test for rule in listener.rules for test in rule.alternative if is_one_host(test))
    return {cell.host for cell in listener.cells if cell.level == "exact"} | {test.value for test in tests}
