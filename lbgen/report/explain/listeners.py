"""Through which listeners a route is reached, for which requests, and who has those that it does not get."""

from __future__ import annotations

from typing import Any

from lbgen.base.address import host_port
from lbgen.model import Listener, Route
from lbgen.model.tls import hosts_of
from lbgen.render.sni import SniTable
from lbgen.report.explain.facts import Facts
from lbgen.report.reach import Reach, secure_listeners


class Listeners:
    """What the listeners make of routes; each table is made when it is asked for."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._reach: dict[str, Reach] = {}
        self._sni = SniTable(facts.model.listeners, facts.credentials.certificates)

    def of(self, route: Route, *, chosen: bool) -> list[dict[str, Any]]:
        """Describe every listener that a route asks for.

        Args:
            chosen: by a label, rather than by setting default_listeners.
        """
        known = {listener.name: listener for listener in self._facts.model.listeners}
        return [
            self._one(route, known[name], "label" if chosen else "default") for name in route.listeners if name in known
        ]

    def reach(self, backend: str) -> bool:
        """Tell whether some listener leads requests to a backend."""
        known = {listener.name: listener for listener in self._facts.model.listeners}
        return any(
            self._reach_of(known[name]).served(route)
            for route in self._facts.model.routes
            if route.backend == backend
            for name in route.listeners
            if name in known
        )

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
        reach = self._reach_of(listener)
        targets = self._facts.targets
        serving = [target.name for target in targets if target.listeners is None or listener.name in target.listeners]
        carried = route.name in reach.carried
        matches: list[dict[str, Any]] = [
            {
                "match": " && ".join(map(str, share.alternative)) or "every request",
                "priority": share.priority,
                "served": carried and not share.why,
                "taken_by": share.taken_by,
                "why": share.why,
            }
            for share in reach.shares(route)
        ]
        why = ""
        if not carried:
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

    def _reach_of(self, listener: Listener) -> Reach:
        if listener.name not in self._reach:
            self._reach[listener.name] = Reach(listener, self._facts.model.routes, secure_listeners(self._facts.model))
        return self._reach[listener.name]
