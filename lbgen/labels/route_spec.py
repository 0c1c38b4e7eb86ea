"""What every dialect of labels ends in: the routes that a service asks for, and what is wrong with its labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import BY_NAME, PREFIX, RouteKeys
from lbgen.labels.match import Match
from lbgen.labels.values.basic import MAX_VALUE
from lbgen.labels.values.users import LabelUsers
from lbgen.labels.values.value_type import BadValue

T = TypeVar("T")
ROUTE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route as its labels ask for it."""

    protocol: str  # http, tcp, udp
    name: str  # as in lbgen.http.<name>; empty for the one that is named after its service
    keys: RouteKeys
    match: Match
    priority: int | None  # as the label says, or Traefik's own; None: the length of the alternative that matches
    # field -> (label, value), for messages; the value is empty where the label was not written but could have been
    written: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    dialect: str = "lbgen"  # whose labels ask for it
    origin: str = ""  # what it is made of there: "router shop", "destination 1"; empty: nothing particular
    users: LabelUsers | None = None  # those that its labels hold; `keys.basic_auth` has their name

    def label_to_blame(self, bad: BadValue) -> tuple[str, str]:
        """Return the label at fault and its value: the one that was written, or the one that is missing."""
        return self.written.get(BY_NAME.get(bad.key, ""), (f"{PREFIX}{bad.key}" if bad.key else "", ""))

    def problem(self, service: str, bad: BadValue) -> Problem:
        """Return the problem that keeps the route from being served."""
        return problem_of(service, *self.label_to_blame(bad), bad, self.name)


@dataclass(frozen=True, slots=True)
class ServiceLabels:
    """What one service's labels say."""

    enabled: bool
    routes: tuple[RouteSpec, ...] = ()
    problems: tuple[Problem, ...] = ()
    unless: str = ""  # why the service does not take part


def problem_of(service: str, label: str, value: str, bad: BadValue, route: str = "") -> Problem:
    """Return the problem that a label's value is."""
    return Problem(service, bad.message, bad.remedy, label, value, route)


def about(key: str, parse: Callable[..., T], *args: object) -> T:
    """Call a parser; its complaint is about this label."""
    try:
        return parse(*args)
    except BadValue as bad:
        raise BadValue(bad.message, bad.remedy, key) from bad


def sound(value: str, *, may_be_empty: bool = False) -> str:
    """Return a label's value without the spaces around it.

    Raises:
        BadValue: it is too long, is empty, or has a control character.
    """
    if len(value) > MAX_VALUE:
        raise BadValue(f"is {len(value)} characters long", f"keep it below {MAX_VALUE} characters")
    if not value.isprintable():
        raise BadValue("contains a control character or a newline", "remove it")
    if not value.strip() and not may_be_empty:
        raise BadValue("is empty", "give it a value or remove the label")
    return value.strip()
