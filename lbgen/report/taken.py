"""Who takes requests of whom: routes that go before an older service's, by priority, rule, wildcard or a longer path.

Pure: made from the routes of each listener, in the order in which they are asked. Whether that is meant nobody can
tell from labels, so it is a remark to both. Setting ``claims`` says who may.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lbgen.base.problem import Problem
from lbgen.labels.match import Alternative
from lbgen.labels.relations import exclude
from lbgen.model import Listener, Model, Route
from lbgen.model.routing import ANY_HOST, Order, broader_hosts, order_of, priority_of

_UNVERIFIED = "add server-ca, the name of an authority or system; nothing, if the network to them is trusted"
_KINDS = {"http": ("host",), "tcp": ("sni",), "udp": ()}
_PATHS = ("path", "path_prefix", "path_start", "path_regex")
_REMEDY = "nothing, if that is meant; setting claims says who may use what"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One alternative of one route."""

    order: Order  # the smaller is asked first
    route: Route
    alternative: Alternative

    @property
    def text(self) -> str:
        """What it asks for, and at which priority."""
        what = " && ".join(map(str, self.alternative)) or "every request"
        return f"{what} at priority {priority_of(self.route, self.alternative)}"

    def names(self, protocol: str) -> list[str]:
        """The hosts that it names; ``*`` if it may be for any."""
        kinds = _KINDS[protocol]
        return [test.value for test in self.alternative if test.kind in kinds and not test.negated] or [ANY_HOST]

    @property
    def has_path(self) -> bool:
        """Whether it names a path, or an expression for it."""
        return any(test.kind in _PATHS and not test.negated and test.value != "/" for test in self.alternative)


def remarks(model: Model, service: str = "") -> tuple[Problem, ...]:
    """Return remarks for services: about their groups, about requests that one takes from another, and about servers.

    Args:
        service: only what this one should know; empty: everybody.
    """
    found = {remark for remark in model.remarks if service in ("", remark.service)}
    found.update(remark for remark in (*_unverified(model), *_several(model)) if service in ("", remark.service))
    for listener in model.listeners:
        own = [each for each in model.routes if listener.name in each.listeners and each.protocol == listener.protocol]
        found.update(_on(listener, own, service))
    return tuple(sorted(found))


def _unverified(model: Model) -> Iterator[Problem]:
    """Yield the backends with TLS to servers that anybody might be."""
    for backend in model.backends:
        if backend.by_tls and not backend.server_ca:
            message = "its servers' certificates are not verified"
            yield Problem(backend.service, message, _UNVERIFIED, route=backend.route)


def _several(model: Model) -> Iterator[Problem]:
    """Yield the routes whose requests other services' tasks answer as well, since labels define a service alike."""
    routes = {route.name for route in model.routes}
    for backend in model.backends:
        if len(backend.members) > 1 and backend.name in routes:
            message = f"the tasks of services {', '.join(backend.members)} answer its requests"
            remedy = "if that is not meant, give Traefik's service another name in the labels of one of them"
            yield Problem(backend.service, message, remedy, route=backend.route)


def _on(listener: Listener, routes: Iterable[Route], service: str) -> Iterator[Problem]:
    """Yield two remarks, one for each side, for every two routes of which the younger takes requests of the older."""
    asked = [
        _Asked(order_of(route, alternative), route, alternative)
        for route in routes
        for alternative in route.alternatives
    ]
    by_name: dict[str, list[_Asked]] = defaultdict(list)
    for each in asked:
        for name in dict.fromkeys(each.names(listener.protocol)):
            by_name[name].append(each)
    pairs: dict[tuple[str, str], list[tuple[_Asked, _Asked]]] = defaultdict(list)
    for older in asked:
        for taker in _candidates(older, by_name, listener.protocol):
            concerned = service in ("", older.route.service, taker.route.service)
            if concerned and _takes(taker, older, listener.protocol):
                pairs[older.route.name, taker.route.name].append((older, taker))
    for found in pairs.values():
        yield from _both(listener, found, service)


def _candidates(older: _Asked, by_name: dict[str, list[_Asked]], protocol: str) -> Iterator[_Asked]:
    for name in older.names(protocol):
        around = [name, *broader_hosts(name)]
        if name.startswith("*."):
            around += [other for other in by_name if other.partition(".")[2] == name[2:] and other != name]
        for each in dict.fromkeys(around):
            yield from by_name.get(each, ())


def _takes(taker: _Asked, older: _Asked, protocol: str) -> bool:
    """Tell whether a younger service's alternative gets requests of an older one's host or path."""
    if taker.route.age <= older.route.age or taker.route.backend == older.route.backend:
        return False
    hostless = older.names(protocol) == [ANY_HOST]  # it has no host that somebody could take, but perhaps a path
    if hostless and (taker.names(protocol) != [ANY_HOST] or (taker.has_path and not older.has_path)):
        return False
    return taker.order < older.order and not exclude(taker.alternative, older.alternative)


def _both(listener: Listener, pairs: list[tuple[_Asked, _Asked]], service: str) -> Iterator[Problem]:
    older, taker = pairs[0]
    more = f", and {len(pairs) - 1} more such pair{'s' if pairs[2:] else ''}" if pairs[1:] else ""
    first, then = f"{taker.text} goes before {older.text}{more}", f"on listener {listener.name}"
    if service in ("", older.route.service):
        message = f"service {taker.route.service}, which is younger, takes requests of it {then}: {first}"
        yield Problem(older.route.service, message, _REMEDY, route=_route(older))
    if service in ("", taker.route.service):
        message = f"takes requests of service {older.route.service}, which is older, {then}: {first}"
        yield Problem(taker.route.service, message, _REMEDY, route=_route(taker))


def _route(asked: _Asked) -> str:
    """Return the route's name as problems have it: that of its labels."""
    return asked.route.name.removeprefix(asked.route.service).rpartition(".")[2]
