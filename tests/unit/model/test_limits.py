"""`lbgen.model.limits`: what one service, and all of them on one listener, may ask of a proxy."""

from __future__ import annotations

import pytest

from lbgen.labels.keys.table import guards_of
from lbgen.labels.match import Test, to_ask
from lbgen.model import limits
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, a_task, modelled, parsed

RULES = a_rules(a_listener())


def served(*services, rules=RULES):
    """The model of such services: (name, labels) each, the oldest first."""
    facts = [a_node(), a_network()]
    for index, (name, labels) in enumerate(services):
        at = f"2026-11-22T{10 + index // 3600:02}:{index // 60 % 60:02}:{index % 60:02}Z"
        keys = {"port": 80, **labels}
        facts.append(a_service(name, keys, networks=("edge-id",), created_at=at))
        facts.append(a_task(name, addresses={"edge-id": f"10.0.{index // 250}.{index % 250 + 1}"}))
    return modelled(*facts, rules=rules)


def values(number: int, pattern: str = "v{}") -> str:
    return ",".join(pattern.format(index) for index in range(number))


def any_of(matcher: str) -> str:
    """Seventeen of such tests."""
    return " || ".join(f"{matcher}(`a`, `{index}`)" for index in range(17))


def routes(number: int, **keys: str) -> dict[str, str]:
    """Named routes r0, r1, ... with these keys each, {} in them being the number."""
    return {f"http.r{index}.{key}": value.format(index) for index in range(number) for key, value in keys.items()}


@pytest.mark.parametrize(
    ("labels", "label", "words"),
    [
        ({"path-regex": values(limits.REGEXES + 1, "^/{}x")}, "path-regex", "11 different expressions, and 10 are"),
        ({"header-regex.x-a": values(11, "{}x")}, "header-regex.x-a", "11 different expressions"),
        (
            {"path-regex": values(7, "^/{}x"), "header.x-a": values(3)},
            "path-regex",
            "21 tests with an expression for one host, and 20 are",
        ),
        ({"header.x-a": values(129)}, "header.x-a", "129 combinations that are more than one host and one path"),
        ({"query.a": values(20), "header.x-a": values(20)}, "header.x-a", "400 combinations"),
        ({"rule": f"({any_of('Query')}) && ({any_of('Header')})"}, "rule", "289 combinations"),
        (
            routes(90, host="h{}.org") | {"request-header.x-a": "x" * 3000},
            "host",
            "bytes of configuration, and 262,144",
        ),
        ({"host": values(60, "h{}.org"), "path": values(40, "/{}"), "method": "GET,PUT"}, "", "more than 1024 comb"),
    ],
)
def test_too_much(labels, label, words):
    """A service that asks for more than it may is told which label, how much and how much is allowed; others go on."""
    model = served(("greedy", labels), ("honest", {"host": "a.org"}))
    problem = model.problems[0]
    assert (problem.service, words in problem.message, bool(problem.remedy)) == ("greedy", True, True)
    assert problem.label.removeprefix("lbgen.").removeprefix(f"http.{problem.route}.") == label or not label
    assert "honest" in {route.name for route in model.routes}


@pytest.mark.parametrize(
    "labels",
    [
        {"path-regex": values(10, "^/{}x"), "host": values(12, "h{}.org")},  # for each host its own
        {"header.x-a": values(128)},
        {"host": values(250, "h{}.org"), "path": "/a,/b,/c,/d"},
        routes(100, host="h{}.org", redirect="https://x.org"),
    ],
)
def test_enough(labels):
    """What a service may ask for is a lot."""
    assert served(("greedy", labels)).problems == ()


def test_one_route_too_many():
    """The routes that fit are served; the one that does not is a problem."""
    model = served(("greedy", routes(11, **{"path-regex": "^/{}x"})))
    assert len(model.routes) == 10
    (problem,) = model.problems
    assert problem.route == "greedy.http.r9" or "11 different expressions" in problem.message


def test_a_guard_that_is_left_out():
    """Where a route that keeps clients out does not fit, no broader one of its service is open in its place."""
    labels = routes(11, **{"path-regex": "^/{}x"}) | {"http.r9.allow-ip": "192.0.2.0/24", "http.open.host": "a.org"}
    model = served(("greedy", labels), ("honest", {"host": "b.org"}))
    (screen,) = model.listeners[0].screens
    assert (screen.alternative, screen.backend) == ((), "closed.403")
    assert set(screen.backends) == {route.backend for route in model.routes} - {"honest"}


@pytest.mark.parametrize(
    ("labels", "number", "what"),
    [
        (
            {"header.x-a": values(128, "v{}-S")},
            4,
            "rules without a host; 512 are allowed there, and older services have 512",
        ),
        ({"path-regex": values(10, "^/{}x"), "host": "S.org"}, 10, "different expressions; 100 are allowed there"),
        ({"header.x-a": values(128), "host": "S.org"}, 8, "rules; 1,024 are allowed there"),
    ],
)
def test_listener(labels, number, what):
    """A listener has room for so much of all services: the youngest that does not fit is left out, with all it has."""
    own = [{key: value.replace("S", str(index)) for key, value in labels.items()} for index in range(number + 1)]
    late = {f"http.x.{key}": value for key, value in own[-1].items()}
    model = served(
        *((f"s{index}", keys) for index, keys in enumerate(own[:-1])),
        ("late", late | {"http.plain.host": "plain.org"}),
        ("honest", {"host": "honest.org"}),
    )
    (problem,) = model.problems
    assert (problem.service, what in problem.message) == ("late", True), problem.message
    web = model.listeners[0]
    assert {rule.backend for rule in web.rules} == {f"s{index}" for index in range(number)}
    assert [cell.backend for cell in web.cells] == ["honest"]


def test_what_is_cheap_comes_first():
    """Tests of an alternative are asked in this order: the host, what is compared, what is not, expressions."""
    tests = [
        Test("header_regex", "a", "cookie"),
        Test("path_regex", "a"),
        Test("host", "a.org", negated=True),
        Test("query", "a", "b"),
        Test("method", "GET"),
        Test("path_prefix", "/a"),
        Test("host", "b.org"),
    ]
    kinds = ["host", "path_prefix", "method", "query", "host", "path_regex", "header_regex"]
    assert [test.kind for test in to_ask(tests)] == kinds
    keys = {"host": "evil.test", "path-regex": "^/a", "header-regex.cookie": "b", "method": "GET", "path": "/c"}
    (rule,) = served(("web", keys)).listeners[0].rules
    assert [test.kind for test in rule.alternative] == ["host", "path_prefix", "method", "path_regex", "header_regex"]


@pytest.mark.parametrize(
    ("labels", "guarded"),
    [
        ({}, False),
        ({"add-prefix": "/x", "max-body": "1m"}, False),
        ({"allow-ip": "192.0.2.0/24"}, True),
        ({"deny-ip": "192.0.2.0/24"}, True),
        ({"basic-auth": "staff"}, True),
        ({"client-ca": "partners"}, True),
        ({"rate-limit": "10/s"}, True),
        ({"max-concurrent": "10"}, True),
    ],
)
def test_guarded(labels, guarded):
    """A route that lets only some clients in, or only so many requests, is one."""
    (spec,) = parsed({"port": 80, "host": "a.org", **labels}).routes
    assert bool(guards_of(spec.keys)) is guarded
