"""The table of one listener: which of all routes it carries, in which order they are asked, and what it refuses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from lbgen.base.problem import Problem
from lbgen.model import limits
from lbgen.model.closed import MISSING_GUARD, closed_as, refused
from lbgen.model.listener_redirects import redirect_route, takes_everything
from lbgen.model.routing import Conflict, route_table
from lbgen.model.streams import is_name, stream_table, streams_beside_http
from lbgen.model.tls import tls_hosts
from lbgen.model.types import Closed, Listener, Route


def listener_table(
    listener: Listener, routes: Sequence[Route], closed: Sequence[Closed], secure: Collection[str]
) -> tuple[Listener, list[Problem]]:
    """Return a listener with its table, and the problems of routes that compete on it.

    Args:
        routes, closed: those of all services.
        secure: names of the listeners that end TLS.
    """
    here = [item for item in closed if listener.name in item.listeners]
    mine = [item for item in here if item.protocol == listener.protocol]
    streams = [route for route in routes if route.protocol != listener.protocol and listener.name in route.listeners]
    routes = [route for route in routes if route.protocol == listener.protocol]
    with_hosts, carried, problems = tls_hosts(listener, routes, secure)
    names = {route.name for route in carried}
    out = [route for route in routes if listener.name in route.listeners and route.name not in names]
    mine += [refused(route, (listener.name,)) for route in out]
    if listener.protocol != "http":
        by_rules = any(not is_name(alternative) for route in carried for alternative in route.alternatives)
        table = stream_table if by_rules else route_table
        with_table, conflicts = table(with_hosts, carried, mine)
        return with_table, [*problems, *(conflict.problem for conflict in conflicts)]
    if takes_everything(listener):
        carried, mine = [], []
    carried += [route] if (route := redirect_route(listener)) else []
    served, over = limits.for_listener(listener, carried, mine)
    with_table, conflicts = route_table(with_hosts, served.routes)
    if lost := [_lost(conflict) for conflict in conflicts if conflict.loses_guard]:
        served, over = limits.for_listener(listener, carried, [*mine, *lost])
        with_table, conflicts = route_table(with_hosts, served.routes)
    problems += [*over, *(each.problem for each in conflicts)]
    if streams:  # of TCP, by their names
        with_table, lost_names = streams_beside_http(with_table, streams, [item for item in here if item not in mine])
        problems += lost_names
    return replace(with_table, screens=served.screens), problems


def _lost(conflict: Conflict) -> Closed:
    """Return what a route would have guarded, had not another one of its service the same match."""
    route = replace(conflict.route, alternatives=(conflict.alternative,))
    return closed_as(route, MISSING_GUARD, unclaimed=0, listeners=(conflict.listener,))
