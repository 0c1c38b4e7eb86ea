"""Services that share a backend: the label ``group`` (canary releases, blue and green).

The oldest service of a group that says which requests it wants leads it: the backend's settings are that one's. The
others add their servers, and routes of their own where they ask for requests of their own. Guards belong to the group:
they add up, whichever service leads, and a service whose guards cannot be added to those of older ones has no part in
the group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import KEYS
from lbgen.labels.route_spec import RouteSpec
from lbgen.labels.values.value_type import BadValue
from lbgen.model import guards
from lbgen.model.cookies import always_secure
from lbgen.model.guards import CannotAdd, Guards
from lbgen.model.health import ON_NODES, own_port
from lbgen.model.last_servers import in_service
from lbgen.model.names import check_verifiable
from lbgen.model.types import Backend, Route, Server
from lbgen.model.weights import Portion, spread

# What is a member's own: where its servers are, and which requests are meant for the group.
OWN = frozenset(
    {
        *("port", "published_port", "via", "network", "nodes", "mesh_nodes", "weight", "backup", "group"),
        *("listener", "priority"),
        *("host", "path", "path_exact", "path_regex", "method", "header", "header_regex", "query", "client_ip"),
        *("rule", "sni", "tls"),
    }
)


@dataclass(frozen=True, slots=True)
class Member:
    """A route that asks to share its backend, with that backend as it would be alone, and all that may serve in it."""

    group: str
    route: Route
    backend: Backend
    asked: frozenset[str]  # fields of `RouteKeys` that its labels set
    scope: str = ""  # groups of two scopes are two, whatever their names

    @classmethod
    def of(cls, spec: RouteSpec, route: Route, backend: Backend, scope: str = "") -> Member | None:
        """Return the member that a route is, or None if it shares nothing."""
        if not spec.keys.group:
            return None
        asked = frozenset(KEYS.keys() & spec.written.keys())  # a foreign dialect writes down names of its own, too
        return cls(spec.keys.group, route, backend, asked, scope)

    @property
    def key(self) -> tuple[str, str, str]:
        """Groups of two protocols are two."""
        return self.route.protocol, self.group, self.scope

    @property
    def guards(self) -> Guards:
        """What keeps requests from its servers."""
        return Guards.of(self.backend)

    @property
    def wants_all(self) -> bool:
        """Whether nothing says which requests it wants."""
        return self.route.alternatives == ((),)


@dataclass(frozen=True, slots=True)
class Group:
    """The members of one group, as one backend."""

    backend: Backend
    routes: tuple[Route, ...]
    problems: tuple[Problem, ...]
    remarks: tuple[Problem, ...]  # what its members should know of each other
    left_out: tuple[Member, ...]  # whose guards cannot be added, so that their requests are not served


def join_members(members: Sequence[Member], secure: Collection[str] = (), *, any_check: bool = False) -> Group:
    """Join the members of one group; they are sorted by the age of their services.

    Args:
        secure: the listeners with TLS, without which nobody has a client certificate.
        any_check: health checks may ask any port.
    """
    sum_, joined, problems = _add_guards(members, secure)
    leader = next((member for member in joined if not member.wants_all), joined[0])
    name = backend_name(leader)
    backend = replace(
        sum_.on(leader.backend),
        name=name,
        servers=tuple(_servers(joined)),
        weight=100 if any(map(_weighs, joined)) else 0,
        backup=all(member.backend.backup for member in joined),
        secure_cookie=always_secure(
            leader.backend.cookie, by_https=all(member.backend.secure_cookie for member in joined)
        ),
        members=tuple(dict.fromkeys([leader.route.service, *(member.route.service for member in joined)])),
    )
    if not any_check and (others_nodes := _asks_nodes(leader, joined)):
        problems.append(others_nodes)
        backend = replace(backend, health_check=own_port(backend.health_check))
    if unnamed := _unnamed(leader):
        problems.append(unnamed)
        backend = replace(backend, servers=())
    others = [member for member in joined if member is not leader]
    routing = [leader, *(member for member in others if not member.wants_all)]
    refusals = tuple(dict.fromkeys(refusal for member in joined for refusal in member.route.refusals))
    guarded = any(member.route.guarded for member in joined)
    routes = (
        replace(member.route, backend=name, client_ca=sum_.client_ca, guarded=guarded, refusals=refusals)
        for member in routing
    )
    problems += [problem for member in others for problem in _overruled(member, leader)]
    remarks = [remark for member in others for remark in _led(member, leader)]
    remarks += [remark for member in joined for remark in _guarded(member, sum_, joined)]
    out = tuple(member for member in members if member not in joined and not member.wants_all)
    return Group(backend, tuple(routes), tuple(problems), tuple(remarks), out)


def _add_guards(members: Sequence[Member], secure: Collection[str]) -> tuple[Guards, list[Member], list[Problem]]:
    """Return the sum of the members' guards, those that it is the sum of, and why others are not among them."""
    sum_, joined, problems = Guards(), list[Member](), list[Problem]()
    for member in members:
        try:
            added = sum_ + member.guards
            if any(map(_open_to_all(added, secure), [*joined, member])):
                raise CannotAdd("client-ca", added.client_ca, "requests without a client certificate")
        except CannotAdd as error:
            problems.append(_left_out(member, joined, error))
        else:
            sum_ = added
            joined.append(member)
    return sum_, joined, problems


def _open_to_all(sum_: Guards, secure: Collection[str]) -> Callable[[Member], bool]:
    """Return the test for members some of whose requests cannot come with a certificate that the sum asks for."""

    def is_open(member: Member) -> bool:
        if not sum_.client_ca or member.guards.client_ca or member.wants_all:
            return False
        hosts = (any(test.kind == "host" and not test.negated for test in tests) for tests in member.route.alternatives)
        return not all(hosts) or not set(member.route.listeners) <= set(secure)

    return is_open


def _asks_nodes(leader: Member, joined: Iterable[Member]) -> Problem | None:
    """Return the problem that the leader's checks would ask a port of nodes that is nobody's here."""
    check = leader.backend.health_check
    on_nodes = sorted({member.route.service for member in joined if member.backend.via in ON_NODES})
    if not check or check.port is None or leader.backend.via in ON_NODES or not on_nodes:
        return None
    return Problem(
        leader.route.service,
        f"port {check.port} is not checked in group {leader.group}, since servers of {', '.join(on_nodes)} are nodes, "
        "where it may be another program's; each server's own port is",
        "leave health-check.port out, or set discovery.any_health_check",
        route=leader.backend.route,
    )


def _unnamed(leader: Member) -> Problem | None:
    """Return the problem that servers cannot be verified, since the leader has no name for them."""
    try:
        check_verifiable(leader.backend.server_ca, leader.backend.server_name)
    except BadValue as bad:
        message = f"{bad.message}; so group {leader.group} has no server"
        return Problem(leader.route.service, message, bad.remedy, route=leader.backend.route)
    return None


def backend_name(member: Member) -> str:
    """Return a name that no service's own backend has: those have no dot, or two."""
    protocol = member.route.protocol if member.route.protocol != "http" else ""
    return "-".join(filter(None, (f"{member.group}.group", protocol, member.scope)))


def _weighs(member: Member) -> bool:
    return member.backend.weight > 0


def _servers(members: Sequence[Member]) -> list[Server]:
    """Give each member's servers its share of the weight."""
    return spread([Portion(member.backend.weight, member.backend.servers) for member in members], in_service)


def _left_out(member: Member, joined: Sequence[Member], error: CannotAdd) -> Problem:
    others = ", ".join(sorted({other.route.service for other in joined}))
    return Problem(
        member.route.service,
        f"its guards cannot be added to those of the older services of group {member.group} ({others}): {error}; "
        "so none of its servers is in the group, and requests that this service alone asks for are not served",
        f"give them the same {error.key}, or use another group",
        route=member.backend.route,
    )


def _differ(member: Member, leader: Member) -> bool:
    mine, theirs = Guards().on(_by_the_same_names(member, leader.backend)), Guards().on(leader.backend)
    return any(getattr(mine, name) != getattr(theirs, name) for name in _SHARED)


def _by_the_same_names(member: Member, backend: Backend) -> Backend:
    """Return a member's backend with another one's names for what it has by its hosts, and not by a label."""
    mine, check, theirs = member.backend, member.backend.health_check, backend.health_check
    if not member.asked & {"host_header", "server_name"}:
        mine = replace(mine, server_name=backend.server_name)
    if check and theirs and not member.asked & {"host_header", "server_name", "health_check_host"}:
        check = replace(check, host=theirs.host, server_name=theirs.server_name)
        if check.kind == "tcp":
            check = replace(check, scheme=theirs.scheme)
    return replace(mine, health_check=check)


def _written(member: Member) -> list[str]:
    return sorted(KEYS[key].name.partition(".<")[0] for key in member.asked - OWN - guards.KEYS)


def _overruled(member: Member, leader: Member) -> Iterable[Problem]:
    """Say which settings of a member are not in force, if they are others than the leader's."""
    if _differ(member, leader) and (written := _written(member)):
        yield Problem(
            member.route.service,
            f"group {member.group} is led by service {leader.route.service}, whose settings hold; "
            f"here they differ ({', '.join(written)})",
            "give both services the same labels, or leave these out",
            route=member.backend.route,
        )


def _led(member: Member, leader: Member) -> Iterable[Problem]:
    """Say which settings hold for a member that has none itself."""
    if _differ(member, leader) and not _written(member) and (theirs := _written(leader)):
        yield Problem(
            member.route.service,
            f"group {member.group} is led by service {leader.route.service}, whose settings hold here, too: "
            f"{', '.join(theirs)}",
            "nothing, if that is meant; setting claims says who may be in a group",
            route=member.backend.route,
        )


def _guarded(member: Member, sum_: Guards, joined: Sequence[Member]) -> Iterable[Problem]:
    """Say which guards of other members hold for a member's requests."""
    if keys := list(sum_.beyond(member.guards)):
        others = {other.route.service for other in joined if any(key in keys for key in other.guards.beyond(Guards()))}
        names = ", ".join(sorted(others - {member.route.service})) or "another route of it"
        yield Problem(
            member.route.service,
            f"guards of a group add up: those of {names} hold for group {member.group} here, too ({', '.join(keys)})",
            "nothing, if that is meant; otherwise use another group",
            route=member.backend.route,
        )


_NOT_SHARED = {"name", "service", "route", "via", "servers", "weight", "backup", "stack", "network", "members"}
_SHARED = tuple(item.name for item in fields(Backend) if item.name not in _NOT_SHARED)
