"""Through which listeners a route is reached, for which requests, and who has those that it does not get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lbgen.base.address import host_port
from lbgen.labels.match import Alternative
from lbgen.model import Cell, Listener, Route
from lbgen.model.routing import Conflict, place_of, priority_of, route_table
from lbgen.model.tls import hosts_of, tls_hosts
from lbgen.render.sni import SniTable
from lbgen.report.explain.facts import Facts


@dataclass(frozen=True, slots=True)
class _Table:
    """One listener's routing, decided once more for the explanation."""

    carried: frozenset[str]  # names of the routes that it carries
    conflicts: tuple[Conflict, ...]
    cells: dict[tuple[str, str, bool], Cell]  # by place


class Listeners:
    """What the listeners make of routes; each table is made when it is asked for."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._tables: dict[str, _Table] = {}
        self._sni = SniTable(facts.model.listeners, facts.credentials.certificates)

    def of(self, route: Route, *, chosen: bool) -> list[dict[str, Any]]:
        """Describe every listener that a route asks for.

        Args:
            chosen: by a label, rather than by setting default_listeners.
        """
        known = {listener.name: listener for listener in self._facts.rules.listeners}
        return [
            self._one(route, known[name], "label" if chosen else "default") for name in route.listeners if name in known
        ]

    def certificates(self, route: Route) -> list[dict[str, Any]]:
        """Say which certificate the clients of a route's hosts are shown on its listeners with TLS."""
        known = {listener.name: listener for listener in self._facts.rules.listeners}
        if route.protocol != "http" or not any(known[name].tls for name in route.listeners if name in known):
            return []
        return [
            {
                "host": host,
                "files": [item.name for item in self._sni.certificates(host)],
                "client_ca": self._sni.client_ca(host),
                "known": "certificates" in self._facts.credentials.readable,
            }
            for host in hosts_of(route)
        ]

    def _one(self, route: Route, listener: Listener, by: str) -> dict[str, Any]:
        table = self._table(listener)
        targets = self._facts.targets
        serving = [target.name for target in targets if target.listeners is None or listener.name in target.listeners]
        matches = list(self._matches(route, table))
        why = ""
        if route.name not in table.carried:
            why = "an older service asks for other client certificates for its hosts"
        elif not any(match["served"] for match in matches):
            why = "; ".join(dict.fromkeys(match["why"] for match in matches))
        elif targets and not serving:
            why = "no target serves this listener"
        return {
            "name": listener.name,
            "bind": host_port(listener.address, listener.port),
            "protocol": listener.protocol,
            "tls": listener.tls,
            "by": by,
            "targets": serving,
            "served": not why,
            "why": why,
            "matches": matches,
        }

    def _matches(self, route: Route, table: _Table) -> Iterator[dict[str, Any]]:
        lost = {
            conflict.alternative: conflict.first for conflict in table.conflicts if conflict.route.name == route.name
        }
        for alternative in route.alternatives:
            taken_by, why = "", ""
            if alternative in lost:
                taken_by = lost[alternative].service
                why = f"service {taken_by}, which is older, asks for the same"
            elif (cell := _cell_of(alternative, table)) and cell.backend != route.backend:
                taken_by = cell.backend
                why = f"backend {taken_by} has the same requests at priority {cell.priority}"
            yield {
                "match": " && ".join(map(str, alternative)) or "every request",
                "priority": priority_of(route, alternative),
                "served": not why and route.name in table.carried,
                "taken_by": taken_by,
                "why": why,
            }

    def _table(self, listener: Listener) -> _Table:
        if listener.name not in self._tables:
            with_hosts, carried, _ = tls_hosts(listener, self._facts.model.routes)
            filled, conflicts = route_table(with_hosts, carried)
            names = frozenset(route.name for route in carried)
            cells = {(cell.host, cell.path, cell.exact): cell for cell in filled.cells}
            self._tables[listener.name] = _Table(names, tuple(conflicts), cells)
        return self._tables[listener.name]


def _cell_of(alternative: Alternative, table: _Table) -> Cell | None:
    """Return who has all of an alternative's requests, if it is a place in the table."""
    place = place_of(alternative)
    return table.cells.get(place) if place else None
