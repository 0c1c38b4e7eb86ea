"""Whether a route gets requests on a listener, and who has those that it does not get.

"Served" is said of an alternative only if there is a request that it takes (`lbgen.report.witness`), or if it depends
on an expression that no request was found for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lbgen.labels.match import Alternative, Test
from lbgen.model import Cell, Listener, Model, Route, Rule
from lbgen.model.entries import Screen
from lbgen.model.listener_redirects import redirect_name
from lbgen.model.routing import ANY_HOST, Conflict, broader_hosts, place_of, priority_of, route_table
from lbgen.model.tls import tls_hosts
from lbgen.report.witness import Request, holds, impossible, witness

CLOSED = "closed."  # what the names of backends that only refuse begin with

_PATH = {True: "path", False: "path_prefix"}


@dataclass(frozen=True, slots=True)
class Share:
    """What one alternative of a route gets of a listener's requests."""

    alternative: Alternative
    priority: int
    taken_by: str = ""  # the service or backend that has them instead
    why: str = ""  # it gets none; empty: it gets some
    proof: Request | None = None  # one that it gets; None: not needed, or none was found


class Reach:
    """One listener's table, asked for each route what it gets."""

    def __init__(self, listener: Listener, routes: Sequence[Route], secure: Collection[str] = ()) -> None:
        """
        Args:
            listener: with its table.
            routes: all of the model.
            secure: its listeners with TLS.
        """
        with_hosts, carried, _ = tls_hosts(listener, routes, secure)
        self._conflicts: dict[tuple[str, Alternative], Conflict] = {
            (conflict.route.name, conflict.alternative): conflict for conflict in route_table(with_hosts, carried)[1]
        }
        streams = (route.name for route in routes if route.protocol == "tcp" and listener.name in route.listeners)
        self.carried = frozenset((*(route.name for route in carried), *streams))
        self._listener = listener
        self._names = dict(listener.names)
        self._cells = {(cell.host, cell.path, cell.exact): cell for cell in listener.cells}
        self._rules: dict[str, list[tuple[int, Rule]]] = {}  # by the one host that they are for; "*": others
        for place, rule in enumerate(listener.rules):
            hosts = [test.value for test in rule.alternative if test.kind == "host" and not test.negated]
            self._rules.setdefault(hosts[0] if hosts else ANY_HOST, []).append((place, rule))
        self._screens: dict[str, list[Screen]] = {}  # by the backend that they go before
        for screen in listener.screens:
            for backend in screen.backends:
                self._screens.setdefault(backend, []).append(screen)

    def shares(self, route: Route) -> Iterator[Share]:
        """Yield what each of a route's alternatives gets."""
        for alternative in route.alternatives:
            yield Share(alternative, priority_of(route, alternative), *self._taken(route, alternative))

    def served(self, route: Route) -> bool:
        """Tell whether a route gets any requests here."""
        return route.name in self.carried and any(not share.why for share in self.shares(route))

    def _taken(self, route: Route, alternative: Alternative) -> tuple[str, str, Request | None]:
        """Return who has all requests of an alternative instead, a sentence about it, and one that it does get."""
        if conflict := self._conflicts.get((route.name, alternative)):
            return conflict.first.service, f"service {conflict.first.service}, which is older, asks for the same", None
        if route.protocol != "http":
            return self._connections(route, alternative)
        place = place_of(alternative)
        cell = self._cells.get(place) if place else None
        if cell and cell.backend != route.backend:
            return cell.backend, self._same_requests(cell.backend, cell.priority), None
        if impossible(alternative):
            return "", "no request can match all of it", None
        rivals: dict[str, int] = {}  # backend -> priority

        def rival(request: Request) -> Alternative | None:
            taker = self._taker(request)
            screen = self._screen(taker.backend, request) if taker else None
            if taker and not screen and taker.backend == route.backend:
                return None
            taken_by = screen or taker
            rivals.setdefault(taken_by.backend if taken_by else "", taker.priority if taker else 0)
            return screen.alternative if screen else _tests(taker) if taker else ()

        proof = witness(alternative, rival)
        if proof or not rivals:
            return "", "", proof
        first, priority = next(iter(rivals.items()))
        if not first:
            return "", "the listener leaves it out", None
        if len(rivals) == 1 and first.startswith(CLOSED):
            return "", "all of its requests are refused, for another route of the service cannot be honoured", None
        if len(rivals) == 1:
            return first, self._same_requests(first, priority), None
        return first, f"backends {', '.join(rivals)} have all of its requests before it", None

    def _same_requests(self, backend: str, priority: int) -> str:
        if self._listener.redirect and backend == redirect_name(self._listener.name):
            return f"every request is redirected, see listeners.{self._listener.name}.redirect"
        return f"backend {backend} has the same requests at priority {priority}"

    def _connections(self, route: Route, alternative: Alternative) -> tuple[str, str, None]:
        if self._listener.streams:
            first = (each.backend for each in self._listener.streams if set(each.alternative) <= set(alternative))
            backend = next(first, self._listener.default)
        else:
            name = alternative[0].value if alternative else ANY_HOST
            backend = self._listener.default if name == ANY_HOST else self._names.get(name, route.backend)
        why = "" if backend == route.backend else f"backend {backend} has the same connections"
        return backend if why else "", why, None

    def _taker(self, request: Request) -> Cell | Rule | None:
        """Return the cell or the rule that decides a request."""
        host, path = request.part("host") or "", request.part("path") or "/"
        hosts = [host, *broader_hosts(host)]
        cell = next(filter(None, (self._in_cells(each, path) for each in hosts)), None)
        rules = sorted((place, rule) for each in hosts for place, rule in self._rules.get(each, ()))
        for _, rule in rules:
            if cell and rule.priority < cell.priority:
                break
            if holds(rule.alternative, request):
                return rule
        return cell

    def _screen(self, backend: str, request: Request) -> Screen | None:
        """Return what goes before a backend for a request."""
        own = self._screens.get(backend, ())
        return next((screen for screen in own if holds(screen.alternative, request)), None)

    def _in_cells(self, host: str, path: str) -> Cell | None:
        """Return a host's cell for a path: the exact one, else that of the longest prefix by segment."""
        if exact := self._cells.get((host, path, True)):
            return exact
        around = path
        while around and around != "/":
            if cell := self._cells.get((host, around, False)):
                return cell
            around = around.rpartition("/")[0]
        return self._cells.get((host, "/", False))


def _tests(taker: Cell | Rule) -> Alternative:
    if isinstance(taker, Rule):
        return taker.alternative
    path = () if taker.path == "/" and not taker.exact else (Test(_PATH[taker.exact], taker.path),)
    return (*path, *(() if taker.host == ANY_HOST else (Test("host", taker.host),)))


def secure_listeners(model: Model) -> frozenset[str]:
    """Return the names of the listeners with TLS."""
    return frozenset(listener.name for listener in model.listeners if listener.tls)


def reaches(model: Model, listeners: Iterable[str]) -> dict[str, Reach]:
    """Return the tables of these listeners by name."""
    wanted = frozenset(listeners)
    secure = secure_listeners(model)
    return {item.name: Reach(item, model.routes, secure) for item in model.listeners if item.name in wanted}


def routed_services(model: Model, listeners: Iterable[str]) -> set[str]:
    """Return the names of the services that get traffic by one of these listeners.

    A service whose servers stand in another's backend shares the traffic of that one.
    """
    tables = reaches(model, listeners)
    backends = {
        route.backend
        for route in model.routes
        if not route.backend.startswith(CLOSED)
        and any(name in tables and tables[name].served(route) for name in route.listeners)
    }
    services = {route.service for route in model.routes if route.backend in backends}
    for backend in model.backends:
        if backend.name in backends:
            own = (server for server in backend.servers if server.origin != server.address)  # else settings name it
            services |= {server.name.partition(".")[0] for server in own}
    return services
