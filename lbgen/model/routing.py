"""Which route a request takes: every listener's routes turned into a table that any proxy can look up.

The order is: higher priority first; without one the length of the alternative as a Traefik rule of its own is the
priority, whatever the dialect; then the exact host, the exact path, the older service. The table gives the same
answer as asking every route in that order, at the cost of a few look-ups however many routes there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lbgen.base.problem import Problem
from lbgen.labels.match import Alternative, Test
from lbgen.labels.rule.length import rule_length
from lbgen.model.entries import Cell, Rule
from lbgen.model.types import Closed, Listener, Route

ANY_HOST = "*"


def broader_hosts(host: str) -> list[str]:
    """Return the less specific hosts that also match, the narrowest first: ``a.b.c`` -> ``*.b.c``, ``*``."""
    if host == ANY_HOST:
        return []
    if host.startswith("*.") or "." not in host:
        return [ANY_HOST]
    return ["*." + host.partition(".")[2], ANY_HOST]


def is_one_host(test: Test) -> bool:
    """Tell whether requests that are like this have one host, which is its value."""
    return test.kind == "host" and not test.negated and not test.value.startswith("*.")


_Key = tuple[str, bool]  # path, exact
_Rank = tuple[int, bool, bool, tuple[float, str], str]


@dataclass(frozen=True, slots=True)
class _Claim:
    """One alternative of one route, as a place in the table."""

    host: str
    path: str
    exact: bool
    route: Route
    priority: int

    @property
    def rank(self) -> _Rank:
        """Sort key: the smaller goes first."""
        wild = self.host == ANY_HOST or self.host.startswith("*.")
        return -self.priority, wild, not self.exact, self.route.age, self.route.name


@dataclass(frozen=True, slots=True)
class Conflict:
    """A route that claims what an older one has."""

    route: Route
    first: Route  # the older one, which keeps it
    listener: str
    alternative: Alternative

    @property
    def loses_guard(self) -> bool:
        """Whether requests that one of a service's routes guards go to another one of its."""
        return self.route.guarded and self.route.age == self.first.age

    @property
    def problem(self) -> Problem:
        """It, for the newer service's owner."""
        return Problem(
            self.route.service,
            f"{self._what} on listener {self.listener} is already taken by service {self.first.service}, "
            "which is older",
            "change the match, or give one of the two another lbgen.priority",
            route=self.route.name,
        )

    @property
    def _what(self) -> str:
        if self.route.protocol != "http":
            name = f"TLS name {self.alternative[0].value}" if len(self.alternative) == 1 else ""
            return name or " and ".join(map(str, self.alternative)) or "every connection"
        return " and ".join(map(str, self.alternative)) or "every request"


def route_table(
    listener: Listener, routes: Iterable[Route], closed: Sequence[Closed] = ()
) -> tuple[Listener, list[Conflict]]:
    """Return the listener with its table filled in, and which routes claimed what an older one has.

    Args:
        closed: of this listener's protocol tcp or udp; of HTTP there are screens.
    """
    ours = sorted(
        (route for route in routes if listener.name in route.listeners), key=lambda route: (route.age, route.name)
    )
    return _http(listener, ours) if listener.protocol == "http" else _tcp(listener, ours, closed)


def _tcp(listener: Listener, routes: list[Route], closed: Sequence[Closed]) -> tuple[Listener, list[Conflict]]:
    """Decide every name that some route asks for, so that the narrowest entry found always holds the winner."""
    claims: dict[tuple[str, int], Route] = {}
    best: dict[str, int] = {}  # name -> its highest priority
    conflicts = []
    for route in routes:
        for alternative in route.alternatives:
            name = alternative[0].value if alternative else ANY_HOST
            priority = priority_of(route, alternative)
            first = claims.setdefault((name, priority), route)
            best[name] = max(best.get(name, priority), priority)
            if first.backend != route.backend:
                conflicts.append(Conflict(route, first, listener.name, alternative))
    winners = {}
    for name in sorted({*best, *(name for item in closed for name in _names(item))}):
        # Of the same priority the first, which is the narrowest.
        around = [host for host in (name, *broader_hosts(name)) if host in best]
        if around:
            winner = max(around, key=best.__getitem__)
            route = claims[winner, best[winner]]
            refused = any(item.age == route.age and _covers(item, name) for item in closed)
            winners[name] = f"closed.{listener.protocol}" if refused else route.backend
    default = winners.pop(ANY_HOST, "")
    return replace(listener, names=tuple(sorted(winners.items())), default=default), conflicts


def _names(closed: Closed) -> list[str]:
    return [alternative[0].value if alternative else ANY_HOST for alternative in closed.alternatives]


def _covers(closed: Closed, name: str) -> bool:
    return not {name, *broader_hosts(name)}.isdisjoint(_names(closed))


def _http(listener: Listener, routes: list[Route]) -> tuple[Listener, list[Conflict]]:
    places: dict[tuple[str, str, bool, int], _Claim] = {}
    rules: dict[tuple[Alternative, int], tuple[Route, Rule]] = {}
    conflicts = []
    for route in routes:
        for alternative in route.alternatives:
            claim = _claim(route, alternative)
            priority = priority_of(route, alternative)
            if claim:
                first = places.setdefault((claim.host, claim.path, claim.exact, claim.priority), claim).route
            else:
                rule = Rule(alternative, route.backend, priority)
                first = rules.setdefault((alternative, priority), (route, rule))[0]
            # Routes of one group may well ask for the same; and below 0 is only what no route takes.
            if first.backend != route.backend and priority >= 0:
                conflicts.append(Conflict(route, first, listener.name, alternative))
    in_order = sorted(
        rules.values(), key=lambda item: (-item[1].priority, item[0].age, item[0].name, item[1].alternative)
    )
    return (
        replace(listener, cells=tuple(_cells(places.values())), rules=tuple(rule for _, rule in in_order)),
        conflicts,
    )


def priority_of(route: Route, alternative: Alternative) -> int:
    """Return the priority that one of a route's alternatives has: that of the route, else its length as a rule."""
    return rule_length(alternative) if route.priority is None else route.priority


Order = tuple[int, bool, bool, bool, tuple[float, str], str]


def order_of(route: Route, alternative: Alternative) -> Order:
    """Return the sort key of all that a listener's routes ask for: the smaller is asked first.

    Of one priority what no place in the table expresses goes before what one does.
    """
    place = place_of(alternative)
    wild, prefix = (place[0].startswith("*"), not place[2]) if place else (False, False)
    return -priority_of(route, alternative), bool(place), wild, prefix, route.age, route.name


def place_of(alternative: Alternative) -> tuple[str, str, bool] | None:
    """Return the place in the table (host, path, exact), or None if it tests more than one host and one path."""
    hosts = [test.value for test in alternative if test.kind == "host"]
    paths = [test for test in alternative if test.kind in ("path", "path_prefix")]
    if len(hosts) > 1 or len(paths) > 1 or len(hosts) + len(paths) < len(alternative):
        return None
    if any(test.negated for test in alternative):
        return None
    path, exact = (paths[0].value, paths[0].kind == "path") if paths else ("/", False)
    return hosts[0] if hosts else ANY_HOST, path, exact


def _claim(route: Route, alternative: Alternative) -> _Claim | None:
    place = place_of(alternative)
    return _Claim(*place, route, priority_of(route, alternative)) if place else None


def _cells(claims: Iterable[_Claim]) -> Iterator[Cell]:
    """Decide every place that some claim names, so that the most specific place found always holds the winner."""
    by_host: dict[str, dict[_Key, _Claim]] = {}
    for claim in sorted(claims, key=lambda claim: claim.rank):
        by_host.setdefault(claim.host, {}).setdefault((claim.path, claim.exact), claim)
    for host, own in sorted(by_host.items()):
        broader = [claim for parent in broader_hosts(host) for claim in by_host.get(parent, {}).values()]
        for (path, exact), winner in sorted(_winners(own, broader).items()):
            yield Cell(host, path, exact, winner.route.backend, winner.priority)


def _winners(own: Mapping[_Key, _Claim], broader: list[_Claim]) -> dict[_Key, _Claim]:
    """Return the winner at each of a host's places.

    A broader host's claim needs a place of its own here only where this host's table would answer before it is
    reached, and answer wrongly.
    """
    places = set(own)
    for claim in broader:
        covering = _winner(own, claim.path, claim.exact)
        if covering and claim.rank < covering.rank:
            places.add((claim.path, claim.exact))
    rivals = {(claim.path, claim.exact): claim for claim in sorted((*own.values(), *broader), key=_rank, reverse=True)}
    decided = {}
    for path, exact in places:
        winner = _winner(rivals, path, exact)
        assert winner is not None  # at least the claim that named the place covers it
        decided[path, exact] = winner
    return decided


def _winner(claims: Mapping[_Key, _Claim], path: str, exact: bool) -> _Claim | None:
    """Return who goes first of those whose place holds all requests of this place."""
    covering = [claims.get((around, False)) for around in prefixes_around(path)]
    if exact:
        covering.append(claims.get((path, True)))
    return min((claim for claim in covering if claim), key=_rank, default=None)


def prefixes_around(path: str) -> Iterator[str]:
    """Yield the prefixes that hold a path: ``/a/b`` -> ``/a/b``, ``/a``, ``/``."""
    yield path
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)
    yield "/"


def _rank(claim: _Claim) -> _Rank:
    return claim.rank
