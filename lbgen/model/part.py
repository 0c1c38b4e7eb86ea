"""What one service adds to the model, as if no other was in its way."""

from __future__ import annotations

from dataclasses import dataclass

from lbgen.base.problem import Problem
from lbgen.labels.route_spec import RouteSpec
from lbgen.labels.values.users import LabelUsers
from lbgen.model.groups import Member
from lbgen.model.types import Backend, Claim, Closed, Route


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A route that has a login service asked: which one that is, is not known yet."""

    spec: RouteSpec
    route: Route
    part: str  # of the route's service; empty: there is one source, without a name
    stack: str  # likewise; empty: none
    entries: (
        tuple[Claim, ...] | None
    )  # of setting claims that allow the rest of the route; None: there is no such setting


@dataclass(frozen=True, slots=True)
class Part:
    """What one service adds to the model."""

    routes: tuple[Route, ...] = ()
    backends: tuple[Backend, ...] = ()
    problems: tuple[Problem, ...] = ()
    members: tuple[Member, ...] = ()  # routes that share their backend with other services
    users: tuple[LabelUsers, ...] = ()  # that its labels hold
    closed: tuple[Closed, ...] = ()
    logins: tuple[LoginRequest, ...] = ()

    @property
    def takes(self) -> tuple[Route, ...]:
        """The routes whose servers are found, those of groups as they would be alone."""
        return (*self.routes, *(member.route for member in self.members))
