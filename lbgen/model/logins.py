"""Which login services routes ask (key ``forward-auth``), and the backends that have their servers.

A name is that of a Swarm service: of the asking service's own stack first, as Docker's own names are, else as it is
written. Its servers are found by the same rules as a route's, with the short keys of its labels; it need not take part
otherwise. What cannot be found, or is not allowed, closes the route that asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lbgen.labels.values.references import USUAL_PORTS, ServiceUrl
from lbgen.labels.values.value_type import BadValue
from lbgen.model.claims import NotAllowed, check_login
from lbgen.model.closed import CANNOT_SERVE, MISSING_GUARD, PLAIN, closed_as
from lbgen.model.named_services import NamedServices, backend_name
from lbgen.model.part import LoginRequest, Part
from lbgen.model.parts import Around
from lbgen.model.types import Backend, Closed, Route, Server
from lbgen.snapshot import Service, Snapshot

KEY = "forward-auth"
TIMEOUT = 30.0  # seconds to the first byte of answer, as Traefik has it


class Logins:
    """Finds the login services of one model after another; what did not change is the same object as before."""

    def __init__(self) -> None:
        self._backends: dict[str, Backend] = {}  # those of the last model, by name
        self._parts: dict[
            int, tuple[Part, tuple[object, ...], Part]
        ] = {}  # by identity: a part, what it got, the result

    def join(self, parts: Sequence[Part], snapshot: Snapshot, around: Around) -> tuple[list[Part], list[Backend]]:
        """Return the parts with their logins' backends named, or their routes closed; and those backends."""
        if not any(part.logins for part in parts):
            self._backends, self._parts = {}, {}
            return list(parts), []
        search = _Search(snapshot, around, self._backends)
        before, self._parts = self._parts, {}
        joined = [self._joined(part, search, before) if part.logins else part for part in parts]
        self._backends = search.found
        return joined, list(search.found.values())

    def _joined(self, part: Part, search: _Search, before: dict[int, tuple[Part, tuple[object, ...], Part]]) -> Part:
        found = [(login, search.of(login)) for login in part.logins]
        outcome = tuple(item if isinstance(item, str) else (item.message, item.remedy) for _, item in found)
        known = before.get(id(part))
        if not known or known[0] is not part or known[1] != outcome:
            known = part, outcome, _with_logins(part, found)
        self._parts[id(part)] = known
        return known[2]


def _with_logins(part: Part, found: Sequence[tuple[LoginRequest, str | BadValue]]) -> Part:
    names = {login.route.name: name for login, name in found if isinstance(name, str)}
    lost = {login.route.name: (login, bad) for login, bad in found if isinstance(bad, BadValue)}
    members = (member for member in part.members if member.route.name not in lost)
    return replace(
        part,
        routes=tuple(route for route in part.routes if route.name not in lost),
        backends=tuple(_asking(backend, names) for backend in part.backends if backend.name not in lost),
        members=tuple(replace(member, backend=_asking(member.backend, names)) for member in members),
        problems=(*part.problems, *(login.spec.problem(login.route.service, bad) for login, bad in lost.values())),
        closed=(*part.closed, *(_closed(login.route, bad) for login, bad in lost.values())),
    )


def _closed(route: Route, bad: BadValue) -> Closed:
    return closed_as(route, MISSING_GUARD, unclaimed=0 if isinstance(bad, NotAllowed) else CANNOT_SERVE)


def _asking(backend: Backend, names: dict[str, str]) -> Backend:
    login = backend.policy.forward_auth
    if not login or backend.name not in names:
        return backend
    return replace(backend, policy=replace(backend.policy, forward_auth=replace(login, backend=names[backend.name])))


class _Search:
    """Finds the login services in one snapshot."""

    def __init__(self, snapshot: Snapshot, around: Around, before: dict[str, Backend]) -> None:
        self._services, self._before = NamedServices(snapshot, around), before
        self.found: dict[str, Backend] = {}

    def of(self, login: LoginRequest) -> str | BadValue:
        """Return the name of the backend that a route asks, or why it can ask none."""
        url = login.spec.keys.forward_auth
        assert url is not None
        try:
            service = (
                None if url.is_address else self._services.find(url, login.part, login.stack, ", or an IP address")
            )
            name = backend_name(url, service, "login")
            backend = self.found.get(name) or self._backend(name, url, service)
            check_login(login.entries, service, backend, url.host)
        except NotAllowed as bad:
            return bad
        except BadValue as bad:
            return BadValue(f"asks login service {url.host}: {bad.message}", bad.remedy, KEY)
        self.found[name] = backend
        return name

    def _backend(self, name: str, url: ServiceUrl, service: Service | None) -> Backend:
        if service is None:
            server = Server("login", url.host, url.port or USUAL_PORTS[url.scheme], "up", "", str(url))
            made = replace(PLAIN, name=name, servers=(server,), scheme=url.scheme, timeout_response=TIMEOUT)
        else:
            made = self._services.backend(name, url, service, TIMEOUT)
        known = self._before.get(name)
        return known if known == made else made
