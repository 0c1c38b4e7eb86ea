"""lbgen's own vocabulary: ``lbgen.<key>`` and ``lbgen.http|tcp|udp.<route>.<key>``.

Fails closed: a route with any problem in its own keys, or in a short key it inherits, is closed and reported; the
service's other routes stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lbgen.base.problem import Problem, printable
from lbgen.labels.context import PLAIN, LabelContext
from lbgen.labels.keys.table import (
    BY_NAME,
    ENABLE,
    FAMILIES,
    KEYS,
    PREFIX,
    PROTOCOLS,
    VOCABULARY,
    RouteKeys,
    find,
    nearest,
)
from lbgen.labels.match import ALWAYS, All, Match, any_of
from lbgen.labels.route_spec import MATCHING, ROUTE_NAME, ClosedSpec, RouteSpec, ServiceLabels, problem_of, sound
from lbgen.labels.suggestions import without_dots
from lbgen.labels.values import basic, http, pages, policy
from lbgen.labels.values.value_type import BadValue, ValueType

# What the names in a family may be; those that are not here are names of headers.
MEMBERS: Mapping[str, ValueType[str]] = {
    "error_pages": pages.statuses,
    "health_check_header": policy.edited_header,
    "query": http.query_name,
    "request_header": policy.edited_header,
    "response_header": policy.edited_header,
}
_UNUSABLE = re.compile(r"[^a-z0-9_-]+")
OF_CONTAINERS = f"{PREFIX}service"  # what gives facts of hosts reads it, and leaves it out
_WITHOUT_KEYS = RouteKeys()
_SWITCHED_OFF = f"label {ENABLE} says no"
NAMED = re.compile(rf"({'|'.join(PROTOCOLS)})\.([^.]*)\.(.+)", re.DOTALL)


@dataclass(slots=True)
class Scope:
    """The keys written at one place: the short ones, or those of one named route."""

    protocol: str = ""  # empty for the short keys, which hold for every protocol that knows them
    route: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    written: dict[str, tuple[str, str]] = field(default_factory=dict)  # field -> (label, value)
    broken: dict[str, Problem] = field(default_factory=dict)  # key as written
    # The same keys by whether they are known and by the field of theirs, or of the one that an unknown key looks like.
    sorted_broken: dict[tuple[bool, str], list[str]] = field(default_factory=dict)

    def break_(self, key: str, problem: Problem) -> None:
        """Note that a key cannot be used."""
        self.broken[key] = problem
        self.sorted_broken.setdefault((find(key) is not None, _field_of(key)), []).append(key)

    def lost_by(self, own: Scope) -> list[str]:
        """Return the fields that a route with these own keys inherits broken; "" is that of a key that is like none."""
        return [
            name
            for (known, name), keys in self.sorted_broken.items()
            if not known or any(_inherits(own, key) for key in keys)
        ]


def parse(service: str, labels: Mapping[str, str], context: LabelContext = PLAIN) -> ServiceLabels:
    """Read one service's labels. A pure function of its arguments."""
    try:
        enabled = basic.boolean(sound(labels[ENABLE])) if ENABLE in labels else context.expose_by_default
    except BadValue as bad:
        unless = f"label {ENABLE} is neither true nor false"
        return ServiceLabels(False, problems=(problem_of(service, ENABLE, labels[ENABLE], bad),), unless=unless)
    if not enabled and ENABLE in labels:
        return ServiceLabels(False, unless=_SWITCHED_OFF)
    if not enabled:
        return ServiceLabels(False, unless=f"label {ENABLE}=true is missing", missing=ENABLE)
    short, named = _scopes(service, labels)
    routes, closed, problems = [], [], [*short.broken.values()]
    for _, own in sorted(named.items() or [(("http", ""), Scope("http"))]):
        made, own_problems = _route(service, short, own)
        problems += own_problems
        if isinstance(made, RouteSpec):
            routes.append(made)
        elif made:
            closed.append(made)
    return ServiceLabels(True, tuple(routes), tuple(sorted({*problems})), closed=tuple(closed))


def short_keys(service: str, labels: Mapping[str, str]) -> Scope:
    """Return what the short keys among a service's labels say."""
    return _scopes(service, labels)[0]


def _scopes(service: str, labels: Mapping[str, str]) -> tuple[Scope, dict[tuple[str, str], Scope]]:
    """Sort the labels into short keys and named routes; one whose name is none is broken."""
    short = Scope()
    named: dict[tuple[str, str], Scope] = {}
    for label, value in sorted(labels.items()):
        if not label.lower().startswith(PREFIX) or label == ENABLE:
            continue
        key = label.removeprefix(PREFIX)
        named_key = NAMED.fullmatch(key)
        if not named_key:
            _read(service, short, label, key, value)
            continue
        protocol, route, rest = named_key.groups()
        name = route.lower() if ROUTE_NAME.fullmatch(route.lower()) else route  # which is meant, then
        scope = named.setdefault((protocol, name), Scope(protocol, printable(name, 63)))
        _read(service, scope, label, rest, value)
        if not ROUTE_NAME.fullmatch(route) and rest not in scope.broken:
            bad = BadValue(f"{printable(route)!r} is not a route name", _renamed(protocol, route, rest))
            scope.break_(f"{label} ", problem_of(service, label, value, bad))  # no key has a space
    return short, named


def _read(service: str, scope: Scope, label: str, key: str, value: str) -> None:
    """Parse one label into its scope, as a value or as a problem."""
    located = find(key)
    if located is None:
        scope.break_(key, problem_of(service, label, value, _unknown(label, key, scope), scope.route))
        return
    field_name, member = located
    try:
        if scope.protocol not in ("", *KEYS[field_name].protocols):
            raise BadValue(f"does not apply to a {scope.protocol} route", "remove it")
        text, parsed = _parse_value(field_name, member, value)
    except BadValue as bad:
        scope.break_(key, problem_of(service, label, value, bad, scope.route))
        return
    scope.written[field_name] = (label, text)
    if member:
        family = scope.fields.setdefault(field_name, {})
        assert isinstance(family, dict)
        family[member] = parsed
    else:
        scope.fields[field_name] = parsed


def _parse_value(field_name: str, member: str, value: str) -> tuple[str, object]:
    """Return the text that counts of a value, and what it means."""
    key = KEYS[field_name]
    text = sound(value, may_be_empty=key.may_be_empty, lines=key.lines)
    if member:
        MEMBERS.get(field_name, http.header_name)(member)
    return text, key.parse(text)


def _route(service: str, short: Scope, own: Scope) -> tuple[RouteSpec | ClosedSpec | None, list[Problem]]:
    """Lay a route's own keys over the short ones; any problem among those that count closes the route.

    Also returned are the problems of its own: those of the short keys are not only its.
    """
    protocol, name = own.protocol, own.route
    fields_, written = _together_with(short, own)
    keys = RouteKeys(**fields_)  # type: ignore[arg-type]  # each value came from the field's own parser
    lost = short.lost_by(own)
    if own.broken or lost:
        broken = frozenset(filter(None, [*lost, *(each for _, each in own.sorted_broken)]))
        return _closed(protocol, name, keys, broken), [*own.broken.values()]
    try:
        match = match_of(protocol, keys)
    except BadValue as bad:
        label, value = written["rule"]
        return _closed(protocol, name, keys, frozenset({"rule"})), [problem_of(service, label, value, bad, name)]
    return RouteSpec(protocol, name, keys, match, keys.priority, written), []


def _together_with(short: Scope, own: Scope) -> tuple[dict[str, object], dict[str, tuple[str, str]]]:
    """Return the fields of a route and the labels that they were written in: its own ones laid over the short ones."""
    inherited = {key: value for key, value in short.fields.items() if own.protocol in KEYS[key].protocols}
    # A rule says all there is to match, so a route's own one stands instead of inherited keys, and the other way round.
    instead = MATCHING if "rule" in own.fields else {"rule"} if MATCHING & own.fields.keys() else set()
    inherited = {key: value for key, value in inherited.items() if key not in instead}
    fields_ = {**inherited, **own.fields}
    for key, value in own.fields.items():
        before = inherited.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            fields_[key] = {**before, **value}
    return fields_, {**{key: short.written[key] for key in inherited}, **own.written}


def _closed(protocol: str, name: str, keys: RouteKeys, broken: frozenset[str]) -> ClosedSpec | None:
    """Return a route that cannot be honoured; None if it guards nothing, and nothing says which requests it wants."""
    if "rule" in broken:
        keys = replace(keys, rule=None)
    try:
        match = match_of(protocol, keys)
    except BadValue:  # the rule
        broken, keys = broken | {"rule"}, replace(keys, rule=None)
        match = match_of(protocol, keys)
    spec = ClosedSpec(protocol, name, keys, match, broken)
    return None if spec.unreadable and not spec.guarded else spec


def _field_of(key: str) -> str:
    """Return the field that a written key is, or that an unknown one looks like; empty: none."""
    name = nearest(key)
    family, found, _ = name.partition("<")
    return FAMILIES.get(family, "") if found else BY_NAME.get(name, "")


def _inherits(own: Scope, key: str) -> bool:
    """Tell whether a route with these own keys depends on a short key; on an unknown one every route does."""
    located = find(key)
    if located is None:
        return True
    field_name, member = located
    if own.protocol not in KEYS[field_name].protocols:
        return False
    mine = own.fields.get(field_name)
    return member not in mine if member and isinstance(mine, dict) else mine is None


def match_of(protocol: str, keys: RouteKeys) -> Match:
    """Return the expression that the matching keys mean: keys are ANDed, values of one key ORed.

    Raises:
        BadValue: the rule is none, or it stands beside other matching keys.
    """
    if protocol == "udp":
        return ALWAYS
    if keys.rule:
        beside = [KEYS[key].name for key in sorted(MATCHING) if getattr(keys, key) != getattr(_WITHOUT_KEYS, key)]
        if beside:
            raise BadValue(
                f"stands beside {', '.join(beside)}", "write all of it in the rule, or all in the other keys"
            )
        from lbgen.labels.rule import parser  # here: hardly any route has one

        return parser.parse(keys.rule, protocol)
    if protocol == "tcp":
        return _together([] if "*" in keys.sni else [any_of("sni", keys.sni)])
    terms = [
        any_of("host", keys.host),
        any_of("path_prefix", keys.path),
        any_of("path", keys.path_exact),
        any_of("path_regex", keys.path_regex),
        any_of("method", keys.method),
        any_of("client_ip", keys.client_ip),
    ]
    for kind in ("header", "header_regex", "query"):
        terms += [any_of(kind, values, name) for name, values in getattr(keys, kind).items()]
    return _together(terms)


def _together(terms: Iterable[Match | None]) -> Match:
    return All(tuple(term for term in terms if term is not None))


def _unknown(label: str, key: str, scope: Scope) -> BadValue:
    lowered = label.lower()
    if lowered == OF_CONTAINERS:
        remedy = "write a name of letters, digits, - and _ there, and remove it from services of a Swarm"
        return BadValue("names the service of a container on a host without Swarm", remedy)
    right_named = NAMED.fullmatch(lowered.removeprefix(PREFIX))
    if label != lowered and find(right_named[3] if right_named else lowered.removeprefix(PREFIX)):
        return BadValue("keys are lower case", f"write {printable(lowered)}")
    words = lowered.removeprefix(f"{PREFIX}{scope.protocol}.").split(".")
    of_family = "<" in nearest(key)  # ``headers.host`` is the header of that name
    right = without_dots(f"{PREFIX}{scope.protocol}.", words, BY_NAME)
    if scope.protocol and right and not of_family:
        return BadValue("has a dot in the name of the route", f"write {printable(right)}")
    return BadValue("unknown key", VOCABULARY.remedy(key, "see the list of label keys in docs/labels.md"))


def _renamed(protocol: str, route: str, key: str) -> str:
    """Return the remedy for a name that no route can have."""
    name = _UNUSABLE.sub("-", route.lower()).strip("-_")[:63].rstrip("-_")
    usual = "use lower-case letters, digits, - and _"
    return f"{usual}: {PREFIX}{protocol}.{name}.{printable(key)}" if name else usual
