"""Which servers get copies of a route's requests (key ``mirror``).

A name is that of a Swarm service, of the route's own stack first, as Docker's own names are, else that of a group. Its
servers are found by the same rules as a route's; the service need not take part otherwise. Its guards do not hold for
copies: what the route lets in is copied. What cannot be found, or is not allowed, is a problem, and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.values.value_type import BadValue
from lbgen.model.claims import share_an_entry
from lbgen.model.last_servers import in_service
from lbgen.model.parts import Around
from lbgen.model.routes import RouteRequest
from lbgen.model.servers import route_servers
from lbgen.model.service_lookup import named_service, own_keys, services_by_name
from lbgen.model.types import Backend, Mirror, Model, Server
from lbgen.snapshot import Service, Snapshot

KEY = "mirror"
_OWN = ("port", "published_port", "via", "network", "nodes", "mesh_nodes", "scheme")  # keys that say where it is


def mirror_of(keys: RouteKeys) -> Mirror | None:
    """Return the mirror that a route's keys ask for, without servers; None: there is none.

    Raises:
        BadValue: there is a share, and nothing to take it.
    """
    if not keys.mirror and keys.mirror_percent != RouteKeys().mirror_percent:
        raise BadValue("nothing is mirrored", "add mirror, the name of a service or a group", f"{KEY}.percent")
    return Mirror(keys.mirror, keys.mirror_percent) if keys.mirror and not (keys.redirect or keys.deny) else None


@dataclass(frozen=True, slots=True)
class _Targets:
    """What names can mean in one snapshot."""

    services: Mapping[str, Service]  # by name
    asked: Callable[[Service], Sequence[RouteRequest]]  # the routes that a service asks for
    groups: Sequence[Backend]
    around: Around

    def of(self, backend: Backend, mirror: Mirror) -> Mirror:
        """Return a backend's mirror with its servers; raise BadValue if there can be none."""
        asking = self.services[backend.service]
        if service := named_service(self.around.of(asking.part).services, mirror.name, backend.stack):
            return self._service(asking, service, mirror)
        for group in self.groups:
            if group.name == f"{mirror.name}.group" or group.name.startswith(f"{mirror.name}.group-claim"):
                return self._group(asking, backend, group, mirror)
        raise BadValue("is neither a service nor a group", "write the name that 'docker service ls' shows")

    def _service(self, asking: Service, service: Service, mirror: Mirror) -> Mirror:
        self._check(asking, service)
        routes = (request.spec.keys for request in self.asked(service) if request.spec.protocol == "http")
        try:
            keys = next(routes, None) or RouteKeys(**own_keys(service, _OWN))  # type: ignore[arg-type]  # parsed as such
            around = self.around.of(service.part)
            chosen = route_servers(service, around.tasks_of(service), keys, around)
        except BadValue as bad:
            raise BadValue(f"leads to service {service.name}: {bad.message}", bad.remedy) from bad
        return _with(mirror, keys.scheme, in_service(replace(server, weight=100) for server in chosen.servers))

    def _group(self, asking: Service, backend: Backend, group: Backend, mirror: Mirror) -> Mirror:
        if group.name == backend.name:
            raise BadValue("is the route's own group", "name another one")
        for name in group.members:
            self._check(asking, self.services[name])
        return _with(mirror, group.scheme, group.servers)

    def _check(self, asking: Service, service: Service) -> None:
        if service is asking:
            raise BadValue("is the route's own service", "name another one")
        if not share_an_entry(asking, service, self.around.rules.claims):
            raise BadValue(
                f"leads to service {service.name}, and setting claims has no entry for both",
                "name a service of the same entry",
            )


def _with(mirror: Mirror, scheme: str, servers: Sequence[Server]) -> Mirror:
    if scheme == "https":
        raise BadValue("leads to servers that are spoken to with https", "name a service with lbgen.scheme=http")
    up = [server for server in servers if server.state == "up" and server.weight]
    return replace(mirror, scheme=scheme, servers=tuple([each for each in up if not each.backup] or up))


class Mirrors:
    """Gives backends their mirrors' servers; a backend that has what it had is the same object as before."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Backend, Backend]] = {}  # as it was asked for, and as it was made

    def aimed(
        self,
        model: Model,
        snapshot: Snapshot,
        around: Around,
        asked: Callable[[Service], Sequence[RouteRequest]],
    ) -> Model:
        """Return the model with its mirrors' servers, and with what is wrong with them.

        Args:
            asked: returns the routes that a service asks for.
        """
        before, self._known = self._known, {}
        if not any(backend.mirror for backend in model.backends):
            return model
        groups = [backend for backend in model.backends if backend.members and backend.protocol == "http"]
        targets = _Targets(services_by_name(snapshot.services.values()), asked, groups, around)
        problems: list[Problem] = []
        backends = [self._aimed(backend, targets, before, problems) for backend in model.backends]
        return replace(model, backends=tuple(backends), problems=tuple(sorted({*model.problems, *problems})))

    def _aimed(
        self,
        backend: Backend,
        targets: _Targets,
        before: Mapping[str, tuple[Backend, Backend]],
        problems: list[Problem],
    ) -> Backend:
        if not backend.mirror:
            return backend
        mirror: Mirror | None = None
        try:
            mirror = targets.of(backend, backend.mirror)
        except BadValue as bad:
            problems.append(_problem(backend, backend.mirror, bad))
        known = before.get(backend.name)
        if not known or known[0] is not backend or known[1].mirror != mirror:
            known = backend, replace(backend, mirror=mirror)
        self._known[backend.name] = known
        return known[1]


def _problem(backend: Backend, mirror: Mirror, bad: BadValue) -> Problem:
    label = f"lbgen.http.{backend.route}.{KEY}" if backend.route else f"lbgen.{KEY}"
    remedy = f"{bad.remedy}; nothing is copied till then"
    return Problem(backend.service, bad.message, remedy, label, mirror.name, backend.route)
