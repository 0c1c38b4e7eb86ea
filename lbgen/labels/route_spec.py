"""What every dialect of labels ends in: the routes that a service asks for, and what is wrong with its labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from lbgen.base.problem import Problem
from lbgen.labels.keys.table import BY_NAME, GUARDS, PREFIX, RouteKeys, guards_of
from lbgen.labels.match import ALWAYS, Match
from lbgen.labels.secret_values import LEFT_OUT
from lbgen.labels.values.basic import MAX_VALUE
from lbgen.labels.values.users import LabelUsers
from lbgen.labels.values.value_type import BadValue

T = TypeVar("T")
# The fields of the keys that say which requests a route wants; `rule` stands instead of them.
MATCHING = frozenset(
    {"host", "path", "path_exact", "path_regex", "method", "header", "header_regex", "query", "client_ip", "sni"}
)
DENIES = frozenset({"deny"})
_BLANK = " \t\r\n"
_STRING_OR_LINE = re.compile(r'(`[^`]*`|"[^"]*")|[\t\r\n]')
ROUTE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Denial:
    """Requests of a route that are answered with a status in place of its servers."""

    match: Match
    status: int = 403
    tls: bool | None = None  # of those that came by https alone, or by http; None: of all


@dataclass(frozen=True, slots=True)
class Share:
    """Servers that a route uses in place of its own service's tasks: those of a Swarm service, or addresses."""

    service: str = ""  # the Swarm service's name, of the route's stack or as 'docker service ls' shows it; empty: none
    # Fields of `RouteKeys` that say where the servers are and how they are spoken to: port, via, network, scheme, and
    # weight, of one server among those of its pool. Short labels of lbgen's at that Swarm service count before them.
    fields: Mapping[str, Any] = field(default_factory=dict)
    weight: int = 1  # of all its servers together, however many they are
    backup: bool = False  # they get requests only while none of the route's others is up
    addresses: tuple[str, ...] = ()  # IP addresses, with fields["port"]; only a setting may name some
    pool: str = ""  # shares of one pool have one weight, spread over all their servers alike; empty: it is alone


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
    denials: tuple[Denial, ...] = ()  # in the order to ask
    shares: tuple[Share, ...] = ()  # all its servers; none: they are its own service's tasks, by `keys`

    def label_to_blame(self, bad: BadValue) -> tuple[str, str]:
        """Return the label at fault and its value: the one that was written, or the one that is missing."""
        return self.written.get(BY_NAME.get(bad.key, ""), (f"{PREFIX}{bad.key}" if bad.key else "", ""))

    @property
    def guards(self) -> frozenset[str]:
        """The fields of what keeps requests from the application."""
        return guards_of(self.keys) | (DENIES if self.denials else frozenset())

    def problem(self, service: str, bad: BadValue) -> Problem:
        """Return the problem that keeps the route from being served."""
        return problem_of(service, *self.label_to_blame(bad), bad, self.name)


@dataclass(frozen=True, slots=True)
class ClosedSpec:
    """A route that cannot be honoured: what it asks for must not be answered by another route of its service."""

    protocol: str
    name: str  # as `RouteSpec.name`; of a label whose route has no proper name, what stands there
    keys: RouteKeys  # those that can be read
    match: Match  # what the readable keys say: a key with a bad value is left out, which only widens it
    broken: frozenset[str] = frozenset()  # fields of the keys that cannot be honoured, or that unknown ones look like
    dialect: str = "lbgen"
    origin: str = ""  # as in `RouteSpec`
    lost: frozenset[str] = frozenset()  # guards that no key is, as their dialect calls them: "forwardauth"
    denies: bool = False  # some of its requests are denied, as `RouteSpec.denials`
    users: LabelUsers | None = None  # as in `RouteSpec`
    whole: bool = False  # it stands for all routes of its dialect: the labels name none, or cannot be told apart

    @classmethod
    def of(cls, spec: RouteSpec, bad: BadValue) -> ClosedSpec:
        """Return what becomes of a route that was read, and that cannot be served as it asks."""
        field_name = BY_NAME.get(bad.key, "")
        broken = frozenset({field_name} if field_name else ())
        return cls(
            spec.protocol,
            spec.name,
            spec.keys,
            spec.match,
            broken,
            spec.dialect,
            spec.origin,
            denies=bool(spec.denials),
            users=spec.users,
        )

    @property
    def missing(self) -> frozenset[str]:
        """The guards that cannot be kept up: fields of keys, and names that are none."""
        return (self.broken & GUARDS) | self.lost

    @property
    def unreadable(self) -> bool:
        """Whether it says which requests it wants, and nothing of that can be read."""
        return self.match == ALWAYS and bool(self.broken & (MATCHING | {"rule"}))

    @property
    def guarded(self) -> bool:
        """Whether some requests were to be kept from the application."""
        return bool(self.missing or self.denies or guards_of(self.keys))


class Use(NamedTuple):
    """A name of another program's labels that some labels use, as `Definitions.find` is asked for it."""

    protocol: str
    kind: str  # "middlewares", "services", "routers"
    reference: str
    asking: str = ""  # the Swarm service
    provider: str = "swarm"


@dataclass(frozen=True, slots=True)
class Offer:
    """A definition that other services' labels can use, and that no route of its own service does."""

    protocol: str
    kind: str
    name: str
    unused: tuple[Problem, ...]  # what to say where no other service uses it either
    used: tuple[Problem, ...] = ()  # what to say where one does: what of it cannot be honoured


class Joined(NamedTuple):
    """A route that an older service asks for alike: the two are one, which is the older one's."""

    protocol: str
    name: str
    service: str  # the older one


@dataclass(frozen=True, slots=True)
class ServiceLabels:
    """What one service's labels say."""

    enabled: bool
    routes: tuple[RouteSpec, ...] = ()
    problems: tuple[Problem, ...] = ()
    unless: str = ""  # why the service does not take part
    closed: tuple[ClosedSpec, ...] = ()
    missing: str = ""  # the label that would make it take part, if none says whether it does
    uses: tuple[Use, ...] = ()  # names that may mean something else when other services' labels or settings change
    offers: tuple[Offer, ...] = ()
    joined: tuple[Joined, ...] = ()

    @property
    def alone(self) -> ServiceLabels:
        """What they say where there is no other service that could use what they define."""
        notes = (problem for offer in self.offers for problem in offer.unused)
        return replace(self, problems=tuple(sorted({*self.problems, *notes})), offers=())


def problem_of(service: str, label: str, value: str, bad: BadValue, route: str = "") -> Problem:
    """Return the problem that a label's value is."""
    return Problem(service, bad.message, bad.remedy, label, value, route)


def about(key: str, parse: Callable[..., T], *args: object) -> T:
    """Call a parser; its complaint is about this label."""
    try:
        return parse(*args)
    except BadValue as bad:
        raise BadValue(bad.message, bad.remedy, key) from bad


def sound(value: str, *, may_be_empty: bool = False, lines: bool = False) -> str:
    """Return a label's value without the spaces and ends of lines around it, which blocks of YAML leave.

    Args:
        lines: its words may stand on several lines; strings in backquotes or double quotes may not.

    Raises:
        BadValue: it is too long, is empty, or has a control character.
    """
    if len(value) > MAX_VALUE:
        raise BadValue(f"is {len(value)} characters long", f"keep it below {MAX_VALUE} characters")
    if value == LEFT_OUT:
        raise BadValue("was left out when the snapshot was recorded", "record it with 'lbgen snapshot --with-secrets'")
    text = value.strip(_BLANK)
    if lines:  # an end of a line in a string stays, and is refused
        text = _STRING_OR_LINE.sub(lambda found: found[1] or " ", text)
    if not text.isprintable():
        raise BadValue("contains a control character or a newline", "remove it")
    if not text.strip() and not may_be_empty:
        raise BadValue("is empty", "give it a value or remove the label")
    return text.strip()
