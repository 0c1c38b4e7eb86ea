"""lbgen's own vocabulary: ``lbgen.<key>`` and ``lbgen.http|tcp|udp.<route>.<key>``.

Fails closed: a route with any problem in its own keys, or in a short key it inherits, is dropped and reported;
the service's other routes stay.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lbgen.base.problem import Problem, printable
from lbgen.labels.context import PLAIN, Dialect, LabelContext
from lbgen.labels.keys.table import BY_NAME, ENABLE, FAMILIES, KEYS, PREFIX, PROTOCOLS, RouteKeys, find
from lbgen.labels.match import ALWAYS, All, Match, any_of
from lbgen.labels.route_spec import ROUTE_NAME, RouteSpec, ServiceLabels, problem_of, sound
from lbgen.labels.rule import parser
from lbgen.labels.values import basic, http, policy
from lbgen.labels.values.value_type import BadValue, ValueType

MATCHING = frozenset(
    {"host", "path", "path_exact", "path_regex", "method", "header", "header_regex", "query", "client_ip", "sni"}
)
# What the names in a family may be; those that are not here are names of headers.
MEMBERS: Mapping[str, ValueType[str]] = {
    "query": http.query_name,
    "request_header": policy.edited_header,
    "response_header": policy.edited_header,
}
_SWITCHED_OFF = f"label {ENABLE} says no"
_NAMED = re.compile(rf"({'|'.join(PROTOCOLS)})\.([^.]*)\.(.+)", re.DOTALL)


@dataclass(slots=True)
class _Scope:
    """The keys written at one place: the short ones, or those of one named route."""

    protocol: str = ""  # empty for the short keys, which hold for every protocol that knows them
    route: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    written: dict[str, tuple[str, str]] = field(default_factory=dict)  # field -> (label, value)
    broken: dict[str, Problem] = field(default_factory=dict)  # key as written


def parse(service: str, labels: Mapping[str, str], context: LabelContext = PLAIN) -> ServiceLabels:
    """Read one service's labels. A pure function of its arguments."""
    try:
        enabled = basic.boolean(labels[ENABLE]) if ENABLE in labels else context.expose_by_default
    except BadValue as bad:
        unless = f"label {ENABLE} is neither true nor false"
        return ServiceLabels(False, problems=(problem_of(service, ENABLE, labels[ENABLE], bad),), unless=unless)
    if not enabled:
        return ServiceLabels(False, unless=f"label {ENABLE}=true is missing" if ENABLE not in labels else _SWITCHED_OFF)
    short, named, stray = _scopes(service, labels)
    if not named and not stray:
        named = {("http", ""): _Scope("http")}
    routes, problems = [], [*stray, *short.broken.values()]
    for (protocol, name), own in sorted(named.items()):
        route, own_problems = _route(service, protocol, name, short, own)
        problems += own_problems
        if route:
            routes.append(route)
    return ServiceLabels(True, tuple(routes), tuple(sorted({*problems})))


def _scopes(service: str, labels: Mapping[str, str]) -> tuple[_Scope, dict[tuple[str, str], _Scope], list[Problem]]:
    """Sort the labels into short keys, named routes, and problems that belong to no route that could exist."""
    short = _Scope()
    named: dict[tuple[str, str], _Scope] = {}
    stray = []
    for label, value in sorted(labels.items()):
        if not label.lower().startswith(PREFIX) or label == ENABLE:
            continue
        key = label.removeprefix(PREFIX)
        named_key = _NAMED.fullmatch(key)
        if not named_key:
            _read(service, short, label, key, value)
            continue
        protocol, route, rest = named_key.groups()
        if not ROUTE_NAME.fullmatch(route):
            bad = BadValue(f"{printable(route)!r} is not a route name", "use lower-case letters, digits, - and _")
            stray.append(problem_of(service, label, value, bad))
        else:
            scope = named.setdefault((protocol, route), _Scope(protocol, route))
            _read(service, scope, label, rest, value)
    return short, named, stray


def _read(service: str, scope: _Scope, label: str, key: str, value: str) -> None:
    """Parse one label into its scope, as a value or as a problem."""
    located = find(key)
    if located is None:
        scope.broken[key] = problem_of(service, label, value, _unknown(key), scope.route)
        return
    field_name, member = located
    try:
        if scope.protocol not in ("", *KEYS[field_name].protocols):
            raise BadValue(f"does not apply to a {scope.protocol} route", "remove it")
        parsed = _parse_value(field_name, member, value)
    except BadValue as bad:
        scope.broken[key] = problem_of(service, label, value, bad, scope.route)
        return
    scope.written[field_name] = (label, value)
    if member:
        family = scope.fields.setdefault(field_name, {})
        assert isinstance(family, dict)
        family[member] = parsed
    else:
        scope.fields[field_name] = parsed


def _parse_value(field_name: str, member: str, value: str) -> object:
    text = sound(value, may_be_empty=KEYS[field_name].may_be_empty)
    if member:
        MEMBERS.get(field_name, http.header_name)(member)
    return KEYS[field_name].parse(text)


def _route(
    service: str, protocol: str, name: str, short: _Scope, own: _Scope
) -> tuple[RouteSpec | None, list[Problem]]:
    """Lay a route's own keys over the short ones; any problem among those that count drops the route.

    Also returned are the problems of its own: those of the short keys are not only its.
    """
    if own.broken or any(_inherits(own, key) for key in short.broken):
        return None, [*own.broken.values()]
    inherited = {key: value for key, value in short.fields.items() if protocol in KEYS[key].protocols}
    # A rule says all there is to match, so a route's own one stands instead of inherited keys, and the other way round.
    instead = MATCHING if "rule" in own.fields else {"rule"} if MATCHING & own.fields.keys() else set()
    inherited = {key: value for key, value in inherited.items() if key not in instead}
    fields_ = {**inherited, **own.fields}
    for key, value in own.fields.items():
        before = inherited.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            fields_[key] = {**before, **value}
    keys = RouteKeys(**fields_)  # type: ignore[arg-type]  # each value came from the field's own parser
    written = {**{key: short.written[key] for key in inherited}, **own.written}
    try:
        match = match_of(protocol, keys)
    except BadValue as bad:
        label, value = written["rule"]
        return None, [problem_of(service, label, value, bad, name)]
    return RouteSpec(protocol, name, keys, match, keys.priority, written), []


def _inherits(own: _Scope, key: str) -> bool:
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
        beside = [KEYS[key].name for key in sorted(MATCHING) if getattr(keys, key) != getattr(RouteKeys(), key)]
        if beside:
            raise BadValue(
                f"stands beside {', '.join(beside)}", "write all of it in the rule, or all in the other keys"
            )
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


def _unknown(key: str) -> BadValue:
    known = [*BY_NAME, *(f"{family}<name>" for family in FAMILIES), "enable"]
    if key != key.lower():
        return BadValue("keys are lower case", "write the label in lower case")
    close = difflib.get_close_matches(key, known, n=1)
    return BadValue("unknown key", f"did you mean {close[0]}?" if close else "see the list of label keys")


NATIVE = Dialect("lbgen", PREFIX, parse)
