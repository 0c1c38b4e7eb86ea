"""Which login services routes ask (key ``forward-auth``), and the backends that have their servers.

A name is that of a Swarm service: of the asking service's own stack first, as Docker's own names are, else as it is
written. Its servers are found by the same rules as a route's, with the short keys of its labels; it need not take part
otherwise. What cannot be found, or is not allowed, closes the route that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from lbgen.labels.keys.servers import ServerKeys
from lbgen.labels.keys.table import FIELDS, KEYS, PREFIX, RouteKeys
from lbgen.labels.keys.upstream_tls import UpstreamTlsKeys
from lbgen.labels.match import ALWAYS
from lbgen.labels.route_spec import RouteSpec, sound
from lbgen.labels.values.references import ServiceUrl
from lbgen.labels.values.value_type import BadValue
from lbgen.model.backends import route_backend
from lbgen.model.claims import NotAllowed, check_login
from lbgen.model.closed import CANNOT_SERVE, MISSING_GUARD, PLAIN, closed_as
from lbgen.model.part import LoginRequest, Part
from lbgen.model.policy import NOTHING
from lbgen.model.routes import RouteRequest
from lbgen.model.servers import Surroundings
from lbgen.model.types import Backend, Closed, Route, Server
from lbgen.snapshot import Service, Snapshot, Task, moment

KEY = "forward-auth"
TIMEOUT = 30.0  # seconds to the first byte of answer, as Traefik has it
_USUAL_PORTS = {"http": 80, "https": 443}
# Keys of the login service's own that hold here: those about where it is, and how it is asked.
_NOT_HERE = frozenset({"scheme", "group", "weight", "sticky", "backup", "max_conn", "slow_start", "send_proxy"})
_OWN = tuple(item.name for keys in (ServerKeys, UpstreamTlsKeys) for item in fields(keys) if item.name not in _NOT_HERE)


class Logins:
    """Finds the login services of one model after another; what did not change is the same object as before."""

    def __init__(self) -> None:
        self._backends: dict[str, Backend] = {}  # those of the last model, by name
        self._parts: dict[
            int, tuple[Part, tuple[object, ...], Part]
        ] = {}  # by identity: a part, what it got, the result

    def join(self, parts: Sequence[Part], snapshot: Snapshot, around: Surroundings) -> tuple[list[Part], list[Backend]]:
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

    def __init__(self, snapshot: Snapshot, around: Surroundings, before: dict[str, Backend]) -> None:
        self._around, self._before = around, before
        services = sorted(snapshot.services.values(), key=lambda service: (moment(service.created_at), service.id))
        self._services = {service.name: service for service in reversed(services)}
        self._tasks = snapshot.tasks_by_service()
        self.found: dict[str, Backend] = {}

    def of(self, login: LoginRequest) -> str | BadValue:
        """Return the name of the backend that a route asks, or why it can ask none."""
        url = login.spec.keys.forward_auth
        assert url is not None
        try:
            service = self._service(url, login.stack)
            name = backend_name(url, service)
            backend = self.found.get(name) or self._backend(name, url, service)
            check_login(login.entries, service, backend, url.host)
        except NotAllowed as bad:
            return bad
        except BadValue as bad:
            return BadValue(f"asks login service {url.host}: {bad.message}", bad.remedy, KEY)
        self.found[name] = backend
        return name

    def _service(self, url: ServiceUrl, stack: str) -> Service | None:
        if url.is_address:
            return None
        for name in (f"{stack}_{url.host}" if stack else "", url.host):
            if service := self._services.get(name):
                return service
        raise BadValue(
            "there is no service of this name",
            "write the name that 'docker service ls' shows, or an IP address: no name is looked up in DNS",
        )

    def _backend(self, name: str, url: ServiceUrl, service: Service | None) -> Backend:
        if service is None:
            server = Server("login", url.host, url.port or _USUAL_PORTS[url.scheme], "up", "", str(url))
            made = replace(PLAIN, name=name, servers=(server,), scheme=url.scheme, timeout_response=TIMEOUT)
        else:
            made = _of_service(name, url, service, self._tasks.get(service.id, ()), self._around)
        known = self._before.get(name)
        return known if known == made else made


def _of_service(name: str, url: ServiceUrl, service: Service, tasks: Sequence[Task], around: Surroundings) -> Backend:
    own = _own_keys(service) | {"scheme": url.scheme} | ({"port": url.port} if url.port else {})
    if url.scheme == "https":
        own.setdefault("server_name", url.host)
    keys = RouteKeys(**own)  # type: ignore[arg-type]  # each value came from the field's own parser
    route = Route(name, name, service.name, "http", (), ((),), None, (moment(service.created_at), service.id))
    request = RouteRequest(RouteSpec("http", "", keys, ALWAYS, None), route, NOTHING)
    made = route_backend(service, tasks, request, around)[0]
    return replace(made, server_name=str(own["server_name"])) if url.scheme == "https" else made


def _own_keys(service: Service) -> dict[str, object]:
    """Return the short keys of the service's labels that say where it is."""
    own: dict[str, object] = {"timeout_response": TIMEOUT}
    for name in _OWN:
        label = PREFIX + KEYS[name].name
        if label in service.labels and "http" in KEYS[name].protocols and name in FIELDS:
            try:
                own[name] = KEYS[name].parse(sound(service.labels[label]))
            except BadValue as bad:
                raise BadValue(f"its label {label} {bad.message}", bad.remedy) from bad
    return own


def backend_name(url: ServiceUrl, service: Service | None) -> str:
    """Return a name that no service's own backend has: those have no dot, or two, and those of groups end otherwise.

    Of an address it begins with one that no service can have, since it ends in a dash.
    """
    whose = service.name if service else "".join(char if char.isalnum() else "-" for char in url.host) + "-"
    more: Iterator[str] = filter(None, (url.scheme.removeprefix("http"), str(url.port or "")))
    return "-".join([f"{whose}.login", *more])
