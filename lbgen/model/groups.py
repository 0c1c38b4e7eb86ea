"""Services that share a backend: the label ``group`` (canary releases, blue and green).

The oldest service of a group that says which requests it wants leads it: the backend's settings are that one's. The
others add their servers, and routes of their own where they ask for requests of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import KEYS
from lbgen.labels.route_spec import RouteSpec
from lbgen.model.types import Backend, Route, Server

LARGEST_WEIGHT = 256  # HAProxy's limit
# What is a member's own: where its servers are, and which requests are meant for the group.
OWN = frozenset(
    {
        *("port", "published_port", "via", "network", "nodes", "mesh_nodes", "weight", "group", "listener", "priority"),
        *("host", "path", "path_exact", "path_regex", "method", "header", "header_regex", "query", "client_ip"),
        *("rule", "sni", "tls"),
    }
)


@dataclass(frozen=True, slots=True)
class Member:
    """A route that asks to share its backend, with that backend as it would be alone."""

    group: str
    route: Route
    backend: Backend
    asked: frozenset[str]  # fields of `RouteKeys` that its labels set

    @classmethod
    def of(cls, spec: RouteSpec, route: Route, backend: Backend) -> Member | None:
        """Return the member that a route is, or None if it shares nothing."""
        if not spec.keys.group:
            return None
        asked = frozenset(KEYS.keys() & spec.written.keys())  # a foreign dialect writes down names of its own, too
        return cls(spec.keys.group, route, backend, asked)

    @property
    def key(self) -> tuple[str, str]:
        """Groups of two protocols are two."""
        return self.route.protocol, self.group

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


def join_members(members: Sequence[Member]) -> Group:
    """Join the members of one group; they are sorted by the age of their services."""
    leader = next((member for member in members if not member.wants_all), members[0])
    name = backend_name(leader)
    backend = replace(
        leader.backend, name=name, servers=tuple(_servers(members)), weight=100 if any(map(_weighs, members)) else 0
    )
    others = [member for member in members if member is not leader]
    asking = [leader, *(member for member in others if not member.wants_all)]
    # What was meant to be guarded is not served at all where the leader does not guard it the same way.
    routing = [member for member in asking if not _guards(member) or _guards(member) == _guards(leader)]
    problems = [problem for member in others for problem in _overruled(member, leader)]
    return Group(backend, tuple(replace(member.route, backend=name) for member in routing), tuple(problems))


def backend_name(member: Member) -> str:
    """Return a name that no service's own backend has: those have no dot, or two."""
    return f"{member.group}.group" + ("" if member.route.protocol == "http" else f"-{member.route.protocol}")


def _guards(member: Member) -> tuple[object, ...]:
    """Return the guards that keep clients out; empty if there are none."""
    policy = member.backend.policy
    guards = policy.allow, policy.deny, policy.users, member.backend.client_ca
    return guards if any(guards) else ()


def _weighs(member: Member) -> bool:
    return member.backend.weight > 0


def _servers(members: Iterable[Member]) -> list[Server]:
    """Give each member's servers its share of the weight, whatever their number.

    Weights are whole numbers up to 256, so shares are as fine as 1/256 of the largest server's.
    """
    shares: list[tuple[Server, float]] = []
    taken: set[tuple[str, int]] = set()
    names: set[str] = set()
    for member in members:
        up = sum(server.state == "up" for server in member.backend.servers) or 1
        for server in member.backend.servers:
            if (server.address, server.port) in taken:  # two routes of one service
                continue
            taken.add((server.address, server.port))
            if server.name in names:
                server = replace(server, name=f"{server.name}-{server.port}")
            names.add(server.name)
            shares.append((server, member.backend.weight / up))
    largest = max((share for _, share in shares), default=0.0)
    if all(share in (0.0, largest) for _, share in shares):
        return [replace(server, weight=100 if share else 0) for server, share in shares]
    return [
        replace(server, weight=max(1, round(LARGEST_WEIGHT * share / largest)) if share else 0)
        for server, share in shares
    ]


def _overruled(member: Member, leader: Member) -> Iterable[Problem]:
    """Say which settings of a member are not in force, if they are others than the leader's."""
    mine, theirs = member.backend, leader.backend
    if all(getattr(mine, item.name) == getattr(theirs, item.name) for item in fields(Backend) if item.name in _SHARED):
        return
    written = sorted(KEYS[key].name.removesuffix(".<name>") for key in member.asked - OWN)
    if written:
        guarded = _guards(member) and _guards(member) != _guards(leader) and not member.wants_all
        yield Problem(
            member.route.service,
            f"group {member.group} is led by service {leader.route.service}, whose settings hold; "
            f"here they differ ({', '.join(written)})"
            + (", so requests that this service alone asks for are not served" if guarded else ""),
            "give both services the same labels, or leave these out",
            route=member.backend.route,
        )


_SHARED = frozenset(item.name for item in fields(Backend)) - {"name", "service", "route", "via", "servers", "weight"}
