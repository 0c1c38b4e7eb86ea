"""What the routes of one service, and of all services on one listener, may cost a proxy.

Every rule that names no host is asked of every request of its listener, HAProxy asks even those of other hosts for
their host, and a checker reads every byte that comes of a service's labels: what one service asks for, all others pay.
HAProxy 2.6 takes 0.3 microseconds for each of 500 rules, but 1 for each of 4,000, which no longer fit in the
processor's caches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lbgen.base.problem import Problem
from lbgen.labels.match import Alternative, Test
from lbgen.labels.values.value_type import BadValue
from lbgen.model.closed import fallback
from lbgen.model.entries import Screen
from lbgen.model.policy import Policy
from lbgen.model.routing import place_of
from lbgen.model.screens import screens
from lbgen.model.streams import is_name
from lbgen.model.types import Closed, Listener, Route

# Of one service.
REGEXES = 10  # different ones
REGEX_TESTS = 20  # for one host: combinations of an expression with other tests
RULES = 128  # combinations of tests that are more than one host and one path
TESTS = 4096  # in all combinations
BYTES = 262_144  # of what the proxy is told, about

# Of all services on one listener.
LISTENER_REGEXES = 100
LISTENER_RULES = 1024
LISTENER_RULES_ANY_HOST = 512  # of these without a host: they are asked of every request

# The field of the key that a kind of tests is written with, where it has another name.
_FIELDS = {"path_prefix": "path", "path": "path_exact", "path_start": "rule"}
_RULE_KINDS = ("header", "query", "client_ip", "method", "header_regex", "path_regex", "host_regex")


class Exceeded(BadValue):
    """A service asks for more than it may; the route is not served."""

    def __init__(self, message: str, remedy: str, kinds: Iterable[str]) -> None:
        super().__init__(message, remedy)
        self._kinds = tuple(kinds)  # of the tests to blame

    def blame(self, written: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
        """Return the label to blame and its value, of those that were written: (label, value) by field."""
        fields = (*(_FIELDS.get(kind, kind) for kind in self._kinds), "rule", "host")
        return next((written[name] for name in fields if name in written), ("", ""))


@dataclass(slots=True)
class Usage:
    """What the routes of a service that are served so far take up."""

    regexes: set[tuple[str, str, str]] = field(default_factory=set)
    by_host: Counter[str] = field(default_factory=Counter)  # tests with an expression
    rules: int = 0
    tests: int = 0
    size: int = 0

    def add(self, route: Route, policy: Policy) -> None:
        """Add a route's.

        Raises:
            Exceeded: it is too much; nothing was added.
        """
        own = _usage(route, policy)
        total = Usage(
            self.regexes | own.regexes,
            self.by_host + own.by_host,
            self.rules + own.rules,
            self.tests + own.tests,
            self.size + own.size,
        )
        total._refuse_excess()
        self.regexes, self.by_host, self.rules = total.regexes, total.by_host, total.rules
        self.tests, self.size = total.tests, total.size

    def _refuse_excess(self) -> None:
        kinds = dict.fromkeys(kind for kind, _, _ in sorted(self.regexes))
        if len(self.regexes) > REGEXES:
            remedy = "write paths, prefixes and hosts in place of expressions, or split the service"
            raise Exceeded(_more("different expressions", len(self.regexes), REGEXES), remedy, kinds)
        most = max(self.by_host.values(), default=0)
        if most > REGEX_TESTS:
            remedy = "combine expressions with fewer other values, or split the service"
            raise Exceeded(_more("tests with an expression for one host", most, REGEX_TESTS), remedy, kinds)
        if self.rules > RULES:
            message = _more("combinations that are more than one host and one path", self.rules, RULES)
            remedy = "use fewer values of headers, methods, parameters and networks, or split the service"
            raise Exceeded(message, remedy, _RULE_KINDS)
        if self.tests > TESTS:
            raise Exceeded(_more("tests", self.tests, TESTS), "use fewer values, or split the service", ("host",))
        if self.size > BYTES:
            message = _more("bytes of configuration", self.size, BYTES)
            raise Exceeded(message, "use fewer or shorter values, or split the service", ("host",))


def _more(what: str, number: int, most: int) -> str:
    return f"makes the service's routes multiply out to {number:,} {what}, and {most:,} are allowed"


def _usage(route: Route, policy: Policy) -> Usage:
    asked = (*route.alternatives, *(refusal.alternative for refusal in route.refusals))
    tests = [test for alternative in asked for test in alternative]
    regexes = {(test.kind, test.name, test.value) for test in tests if test.is_regex}
    edits = [*policy.strip_regexes, *(redirect.url.regex for redirect in policy.redirects)]
    if policy.replace_regex:
        edits.append(policy.replace_regex.regex)
    return Usage(
        regexes | {("path_regex", "edit", text) for text in edits},
        Counter(_host(tests) for tests in route.alternatives for test in tests if test.is_regex),
        sum(map(_is_rule if route.protocol == "http" else _is_stream_rule, route.alternatives)),
        len(tests),
        sum(len(test.value) + len(test.name) for test in tests) + len(repr(policy)),
    )


def _is_rule(alternative: Alternative) -> bool:
    return place_of(alternative) is None


def _is_stream_rule(alternative: Alternative) -> bool:
    return not is_name(alternative)


def _host(alternative: Alternative) -> str:
    return next((test.value for test in alternative if test.kind == "host" and not test.negated), "")


@dataclass(frozen=True, slots=True)
class Carried:
    """What a listener has room for."""

    routes: list[Route]  # those of requests that nobody else takes are among them
    screens: tuple[Screen, ...]


def for_listener(
    listener: Listener, routes: Sequence[Route], closed: Sequence[Closed] = ()
) -> tuple[Carried, list[Problem]]:
    """Return what an HTTP listener has room for, and a problem for each service that there is none for.

    The younger service yields, with all its routes here: what one of them guards is not to be reached by another.

    Args:
        closed: of this listener.
    """
    by_service: dict[tuple[float, str], tuple[list[Route], list[Closed]]] = {}
    for route in routes:
        if listener.name in route.listeners:
            by_service.setdefault(route.age, ([], []))[0].append(route)
    for item in closed:
        by_service.setdefault(item.age, ([], []))[1].append(item)
    used, problems = Counter[str](), []
    carried: list[Route] = []
    screened: list[Screen] = []
    for _, (own_routes, own_closed) in sorted(by_service.items()):
        before = screens(own_routes, own_closed, tls=listener.tls, told=bool(listener.trusted_proxies))
        own_routes += filter(None, map(fallback, own_closed))
        tests = [alternative for route in own_routes for alternative in route.alternatives]
        asked = _asked([*tests, *((*screen.alternative, _SCREEN) for screen in before)])
        over = [what for what, most in _LISTENER.items() if asked[what] and used[what] + asked[what] > most]
        if over:
            what = over[0]
            message = f"asks listener {listener.name} for {asked[what]} {what}; {_LISTENER[what]:,} are allowed"
            remedy = "use hosts and paths alone, or another listener"
            service = (own_routes or own_closed)[0].service
            problems.append(Problem(service, f"{message} there, and older services have {used[what]}", remedy))
        else:
            used += asked
            carried += own_routes
            screened += before
    return Carried(carried, tuple(screened)), problems


_SCREEN = Test("path_odd", "")  # a screen is a rule, whatever it tests

_LISTENER = {
    "different expressions": LISTENER_REGEXES,
    "rules": LISTENER_RULES,
    "rules without a host": LISTENER_RULES_ANY_HOST,
}


def _asked(alternatives: Iterable[Alternative]) -> Counter[str]:
    rules = [alternative for alternative in alternatives if _is_rule(alternative)]
    regexes = {test for alternative in rules for test in alternative if test.is_regex}
    open_ones = sum(not _host(alternative) for alternative in rules)
    numbers = {"different expressions": len(regexes), "rules": len(rules), "rules without a host": open_ones}
    return Counter({what: number for what, number in numbers.items() if number})
