"""`lbgen.model.routing`: the table that a proxy looks requests up in decides as asking every route in order would."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.match import Test
from lbgen.model import Cell, Listener, Rule
from lbgen.model.routing import priority_of, route_table
from tests.support.builders import a_listener, a_route
from tests.support.oracle import Request, decide, look_up
from tests.support.routes import REQUESTS, WEB, below, exactly, host, odd, places, route_lists


def filled(*routes, listener: Listener = WEB) -> Listener:
    """The listener with these routes, none of which is in another's way."""
    result, problems = route_table(listener, routes)
    assert problems == []
    return result


def cells(listener: Listener) -> set[tuple[str, str, str]]:
    """``(host, path, backend)``; an exact path is marked by ``=``."""
    return {(cell.host, "=" * cell.exact + cell.path, cell.backend) for cell in listener.cells}


# ------------------------------------------------------------------------------------------------ the property


@given(route_lists(places))
@settings(deadline=None, max_examples=250)
def test_places(routes):
    """Hosts, wildcards, prefixes, exact paths and priorities: the table answers every request like the oracle."""
    listener, _ = route_table(WEB, routes)
    assert listener.rules == ()
    for request in REQUESTS[::3]:
        assert look_up(listener, request) == decide(routes, request), request


@given(route_lists(st.one_of(places, odd)))
@settings(deadline=None, max_examples=150)
def test_places_and_rules(routes):
    """The same with methods, headers and negations among them."""
    listener, _ = route_table(WEB, routes)
    for request in REQUESTS:
        assert look_up(listener, request) == decide(routes, request), request


@given(route_lists(st.one_of(places, odd)), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_order_of_routes_is_irrelevant(routes, random):
    """The table and the problems are the same in whatever order the routes come."""
    shuffled = random.sample(routes, len(routes))
    assert route_table(WEB, shuffled) == route_table(WEB, routes)


# ------------------------------------------------------------------------------------------------ examples


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([a_route()], {("*", "/", "web")}),
        ([a_route("web", (host("a.org"),))], {("a.org", "/", "web")}),
        ([a_route("web", (host("*.a.org"), exactly("/x")))], {("*.a.org", "=/x", "web")}),
        ([a_route("web", (host("a.org"),), (host("b.org"),))], {("a.org", "/", "web"), ("b.org", "/", "web")}),
        (
            [a_route("web", (host("a.org"),)), a_route("api", (host("a.org"), below("/api")))],
            {("a.org", "/", "web"), ("a.org", "/api", "api")},
        ),
        (  # a longer path for any host counts less than a host and "/"...
            [a_route("web", (host("www.a.org"),)), a_route("acme", (below("/a"),))],
            {("www.a.org", "/", "web"), ("*", "/a", "acme")},
        ),
        (  # ... unless it is longer than the host; then the host needs a place for it
            [a_route("web", (host("a.org"),)), a_route("acme", (below("/.well-known"),))],
            {("a.org", "/", "web"), ("a.org", "/.well-known", "acme"), ("*", "/.well-known", "acme")},
        ),
        (  # a high priority takes even the places it does not name
            [a_route("web", (host("a.org"), below("/x"))), a_route("all", priority=1000)],
            {("a.org", "/x", "all"), ("*", "/", "all")},
        ),
    ],
)
def test_cells(routes, expected):
    """Every claim is a cell, and a broader host's claim gets one under a narrower host only where it wins there."""
    assert cells(filled(*routes)) == expected


def test_cells_are_sorted():
    """Cells come sorted by host and path, whatever the age of the services."""
    routes = [
        a_route(name, (host(name), below("/z")), (host(name), below("/a"))) for name in ("c.org", "a.org", "b.org")
    ]
    listed = [(cell.host, cell.path) for cell in filled(*routes).cells]
    assert listed == sorted(listed)
    assert len(listed) == 6


@pytest.mark.parametrize(
    ("host_", "level"), [("a.org", "exact"), ("*.a.org", "domain"), ("*", "any"), ("localhost", "exact")]
)
def test_level(host_, level):
    """A cell knows at which of the three look-ups it is found."""
    assert Cell(host_, "/", False, "web", 1).level == level


def test_rules():
    """What no cell can express is a rule; rules are asked by priority, then by age."""
    get, post = Test("method", "GET"), Test("method", "POST")
    routes = [
        a_route("new", (host("a.org"), get), age=(2.0, "x")),
        a_route("old", (host("b.org"), get), age=(1.0, "y")),
        a_route("high", (post,), priority=500, age=(3.0, "z")),
        a_route("two", (host("a.org"), host("b.org")), age=(0.0, "0")),
        a_route("not", (Test("host", "a.org", negated=True),), age=(0.0, "0")),
        a_route("both", (below("/a"), exactly("/a/b")), age=(0.0, "0")),
    ]
    listener = filled(*routes)
    assert listener.cells == ()
    assert [rule.backend for rule in listener.rules] == ["high", "both", "two", "old", "new", "not"]
    assert listener.rules[0] == Rule((post,), "high", 500)


@pytest.mark.parametrize(
    ("tests", "rule"),
    [
        ((), ""),
        ((host("a.org"),), "Host(`a.org`)"),
        ((host("*.a.org"), below("/api")), "Host(`*.a.org`) && PathPrefix(`/api`)"),
        ((Test("path_start", "/caf%C3%A9%2Fx"),), "PathPrefix(`/caf\u00e9%2Fx`)"),
        ((Test("path_regex", "^/%C3"),), "PathRegexp(`^/%C3`)"),
        ((exactly("/api"),), "Path(`/api`)"),
        ((Test("host", "a.org", negated=True),), "!Host(`a.org`)"),
        ((Test("header", "v", "x-a"), Test("method", "GET")), "Header(`x-a`, `v`) && Method(`GET`)"),
        ((Test("query", "", "debug"),), "Query(`debug`)"),
        ((Test("client_ip", "10.0.0.0/8"),), "ClientIP(`10.0.0.0/8`)"),
        ((Test("sni", "db.org"), Test("alpn", "h2")), "HostSNI(`db.org`) && ALPN(`h2`)"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_length(tests, rule):
    """Without a priority an alternative has the length in bytes of the Traefik rule that it would be."""
    assert priority_of(a_route(), tests) == len(rule.encode())
    assert priority_of(a_route(priority=3), tests) == 3


# ------------------------------------------------------------------------------------------------ conflicts

OLD, NEW = (1.0, "b-id"), (2.0, "a-id")


@pytest.mark.parametrize(
    ("tests", "shown"),
    [
        ((host("a.org"), below("/api")), "host(a.org) and path_prefix(/api)"),
        ((host("*.a.org"), exactly("/x")), "host(*.a.org) and path(/x)"),
        ((), "every request"),
        ((host("a.org"), Test("method", "GET")), "host(a.org) and method(GET)"),
        ((Test("header", "1", "x-a"), host("a.org")), "header(x-a: 1) and host(a.org)"),
    ],
)
@pytest.mark.parametrize("priority", [None, 7])
def test_conflict(tests, shown, priority):
    """The older service keeps a match, the newer one gets a problem that names both and the remedy."""
    routes = [a_route("new", tests, age=NEW, priority=priority), a_route("old", tests, age=OLD, priority=priority)]
    for order in (routes, routes[::-1]):
        listener, (conflict,) = route_table(WEB, order)
        problem = conflict.problem
        assert {claim.backend for claim in (*listener.cells, *listener.rules)} == {"old"}
        assert (problem.service, problem.route) == ("new", "new")
        assert f"{shown} on listener web" in problem.message
        assert "service old" in problem.message
        assert "priority" in problem.remedy


def test_two_paths_are_no_place():
    """Not even where one of them is the root: both are asked for, so it is a rule, and goes before a place."""
    table = filled(
        a_route("all", (), age=(0.0, "a")), a_route("two", (below("/"), below("/a")), priority=0, age=(1.0, "b"))
    )
    assert cells(table) == {("*", "/", "all")}
    assert [rule.backend for rule in table.rules] == ["two"]


def test_conflict_by_age_then_id():
    """Of two services created at the same moment the smaller id is the older one."""
    routes = [a_route("b", age=(1.0, "1")), a_route("a", age=(1.0, "2"))]
    assert cells(route_table(WEB, routes)[0]) == {("*", "/", "b")}


def test_conflict_of_one_alternative():
    """A route that loses one of its matches keeps the others."""
    listener, conflicts = route_table(
        WEB, [a_route("old", (host("a.org"),), age=OLD), a_route("new", (host("a.org"),), (host("b.org"),), age=NEW)]
    )
    assert cells(listener) == {("a.org", "/", "old"), ("b.org", "/", "new")}
    assert [conflict.alternative for conflict in conflicts] == [(host("a.org"),)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (a_route("new", (host("a.org"),), age=NEW, priority=99), a_route("old", (host("a.org"),), age=OLD)),
        (a_route("new", (host("a.org"),), age=NEW, priority=9), a_route("old", (host("a.org"),), age=OLD, priority=8)),
        (
            a_route("new", (Test("method", "GET"),), age=NEW, priority=9),
            a_route("old", (Test("method", "GET"),), age=OLD, priority=8),
        ),
    ],
)
def test_priority_settles(one, other):
    """Equal matches of different priority are no conflict: the higher one wins, whichever is older."""
    listener = filled(one, other)
    assert look_up(listener, Request("a.org")) == "new"


def test_same_length_is_no_conflict():
    """Different matches of one length are both in force."""
    assert len(filled(a_route("a", (host("a.org"),)), a_route("b", (host("b.org"),))).cells) == 2


def test_only_own_listener():
    """Routes of other listeners are left out."""
    assert filled(a_route("web", listeners=("other",))).cells == ()


# ------------------------------------------------------------------------------------------------ tcp

PG = a_listener("pg", 5432, "tcp")


def a_tcp_route(name: str, *names: str, **facts):
    """A TCP route for these server names, or for every connection."""
    tests: Iterable[tuple[Test, ...]] = [(Test("sni", each),) for each in names] or [()]
    return a_route(name, *tests, protocol="tcp", listeners=("pg",), **facts)


def test_tcp():
    """TCP routes are told apart by TLS server name; one without a name takes all the rest."""
    listener = filled(a_tcp_route("c", "z.org", "*.b.org"), a_tcp_route("b", "a.org"), a_tcp_route("a"), listener=PG)
    assert listener.names == (("*.b.org", "c"), ("a.org", "b"), ("z.org", "c"))
    assert listener.default == "a"


@pytest.mark.parametrize(("names", "shown"), [(["a.org"], "TLS name a.org"), ([], "every connection")])
def test_tcp_conflict(names, shown):
    """Two TCP routes for one name, or for all, are a conflict; the older wins."""
    routes = [a_tcp_route("new", *names, age=NEW), a_tcp_route("old", *names, age=OLD)]
    listener, (conflict,) = route_table(PG, routes)
    problem = conflict.problem
    assert {*dict(listener.names).values(), listener.default} - {""} == {"old"}
    assert f"{shown} on listener pg" in problem.message
    assert problem.service == "new"


@pytest.mark.parametrize(
    ("priorities", "names", "default"),
    [
        ({}, {"a.b.org": "exact", "*.b.org": "domain"}, "any"),
        ({"any": 100}, {"a.b.org": "any", "*.b.org": "any"}, "any"),
        ({"any": 100, "exact": 101}, {"a.b.org": "exact", "*.b.org": "any"}, "any"),
        ({"domain": 100}, {"a.b.org": "domain", "*.b.org": "domain"}, "any"),
        ({"domain": 100, "any": 99}, {"a.b.org": "domain", "*.b.org": "domain"}, "any"),
        ({"domain": 5, "any": 5, "exact": 5}, {"a.b.org": "exact", "*.b.org": "domain"}, "any"),
        ({"any": -1}, {"a.b.org": "exact", "*.b.org": "domain"}, "any"),
    ],
)
def test_tcp_priorities(priorities, names, default):
    """Without priorities the narrower name goes first; a broader one of higher priority takes its connections."""
    asked = {"any": (), "domain": ("*.b.org",), "exact": ("a.b.org",)}
    routes = [a_tcp_route(name, *found, priority=priorities.get(name)) for name, found in asked.items()]
    listener = filled(*routes, listener=PG)
    assert (dict(listener.names), listener.default) == (names, default)


@pytest.mark.parametrize(("old", "new", "winner"), [(1, 2, "new"), (2, 1, "old"), (None, 1, "old"), (None, 99, "new")])
def test_tcp_priority_settles_a_conflict(old, new, winner):
    """Of two routes for one name the one of higher priority has it, however old it is; nothing is wrong then."""
    routes = [a_tcp_route("old", "a.org", age=OLD, priority=old), a_tcp_route("new", "a.org", age=NEW, priority=new)]
    assert dict(filled(*routes, listener=PG).names) == {"a.org": winner}


def test_tcp_without_routes():
    """A TCP listener that no route names refuses every connection."""
    assert filled(listener=PG) == PG
