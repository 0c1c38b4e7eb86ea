"""`lbgen.report.reach`: a route is served if there is a request that it gets, and is not if there is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.match import Test, to_ask
from lbgen.labels.rule import parser
from lbgen.labels.values.regex import tree
from lbgen.model import Model
from lbgen.model.routing import route_table
from lbgen.report import witness
from lbgen.report.reach import Reach, routed_services
from tests.support import oracle
from tests.support.builders import a_listener, a_route
from tests.support.oracle import decide
from tests.support.routes import REQUESTS, WEB, below, exactly, host, odd, places, route_lists


def reach_of(*routes) -> Reach:
    """The listener with these routes."""
    return Reach(route_table(WEB, routes)[0], routes)


def whys(*routes) -> list[str]:
    """Why the last of the routes does not get what its alternatives ask for."""
    return [share.why for share in reach_of(*routes).shares(routes[-1])]


@given(route_lists(st.one_of(places, odd)))
@settings(deadline=None, max_examples=150)
def test_served_is_proven(routes):
    """What is served has a request that only it gets; what gets one of many requests is served."""
    reach = reach_of(*routes)
    asked = {decide(routes, request) for request in REQUESTS}
    for route in routes:
        for share in reach.shares(route):
            if share.why:
                continue
            assert share.proof
            request = oracle.Request(
                share.proof.part("host"),
                share.proof.part("path"),
                share.proof.part("method"),
                {"x-a": value} if (value := share.proof.part("header", "x-a")) else {},
            )
            assert decide(routes, request) == route.backend, request
        assert reach.served(route) or route.backend not in asked


GET, POST = Test("method", "GET"), Test("method", "POST")


@pytest.mark.parametrize(
    ("before", "tests", "why"),
    [
        ([], (host("a.org"),), ""),
        ([a_route("all", priority=99)], (host("a.org"),), "backend all has the same requests at priority 99"),
        ([a_route("get", (GET,), priority=99)], (host("a.org"),), ""),
        (  # all that a rule leaves another one takes
            [a_route("get", (GET,), priority=99), a_route("not", (Test("method", "GET", negated=True),), priority=98)],
            (host("a.org"),),
            "backends get, not have all of its requests before it",
        ),
        (
            [a_route("any", (Test("host_regex", ".*"),), priority=99)],
            (host("a.org"),),
            "backend any has the same requests at priority 99",
        ),
        ([a_route("some", (Test("host_regex", r"^b\."),), priority=99)], (host("a.org"),), ""),
        ([a_route("not", (Test("host", "b.org", negated=True),), priority=99)], (), ""),
        (
            [a_route("not", (Test("host", "b.org", negated=True),), priority=99)],
            (host("a.org"),),
            "backend not has the same requests at priority 99",
        ),
        (
            [a_route("net", (Test("client_ip", "0.0.0.0/0"),), (Test("client_ip", "::/0"),), priority=99)],
            (host("a.org"),),
            "backend net has the same requests at priority 99",
        ),
        ([a_route("net", (Test("client_ip", "0.0.0.0/0"),), priority=99)], (host("a.org"),), ""),
        (
            [a_route("deep", (host("a.org"), below("/api")), priority=99)],
            (host("a.org"), Test("path_start", "/api")),
            "",
        ),
        (
            [a_route("raw", (host("a.org"), Test("path_start", "/api")), priority=99)],
            (host("a.org"), exactly("/api")),
            "backend raw has the same requests at priority 99",
        ),
        ([], (host("a.org"), host("b.org")), "no request can match all of it"),
        ([], (Test("path_prefix", "/", negated=True),), "no request can match all of it"),
        ([], (below("/api"), Test("path_regex", r"^/api/v[0-9]+/x$")), ""),
        ([], (Test("path_regex", "a"), Test("path_regex", "b")), ""),  # not found, and not impossible
        ([], (Test("header_regex", "(?i)mobi", "user-agent"), Test("query_regex", "^[0-9]{3}$", "page")), ""),
    ],
)
def test_reasons(before, tests, why):
    """Rules are told from cells, several that take all together from one, and what no request can be from both."""
    assert whys(*before, a_route("it", to_ask(tests), age=(9.0, "it"))) == [why]


def test_left_out():
    """A route that the listener's table does not have, for its cost maybe, is not served."""
    routes = [a_route("web", (host("a.org"),))]
    assert [share.why for share in Reach(WEB, routes).shares(routes[0])] == ["the listener leaves it out"]


@pytest.mark.parametrize(("priority", "served"), [(None, True), (99, False)])
def test_connections(priority, served):
    """A TCP route whose connections a broader one of higher priority has is not served."""
    listener = a_listener("pg", 5432, "tcp")
    routes = [
        a_route("any", protocol="tcp", listeners=("pg",), priority=priority),
        a_route("db", (Test("sni", "db.org"),), protocol="tcp", listeners=("pg",)),
    ]
    model = Model((route_table(listener, routes)[0],), tuple(routes))
    assert routed_services(model, ["pg"]) == ({"any", "db"} if served else {"any"})
    assert routed_services(model, []) == set()


def test_closed_is_not_routed():
    """A route that leads to what only refuses gets no traffic."""
    routes = [a_route("open", (host("a.org"),)), a_route("shut", (host("b.org"),), backend="closed.503")]
    assert routed_services(Model((route_table(WEB, routes)[0],), tuple(routes)), ["web"]) == {"open"}


@pytest.mark.parametrize(
    "expression",
    [r"^/v[0-9]+(/|$)", r"\.(png|jpe?g)$", "(?i)^de(-|,|$)", ".{3,5}", r"^a+b*c{2}\d\w\s?$", "^(a|b)c|d$", "x"],
)
def test_texts(expression):
    """For what people write a text is found that the expression is true of."""
    assert tree(expression)
    alternative = (Test("header_regex", expression, "x-a"),)
    request = witness.a_request(alternative)
    assert request
    assert re.search(expression, request.part("header", "x-a") or "")


def test_every_kind_is_known():
    """No test that a rule of HTTP can have is left out when requests are made up."""
    rules = ["Host(`a.org`)", "HostRegexp(`a`)", "Path(`/a`)", "PathPrefix(`/a`)", "PathRegexp(`a`)", "Method(`GET`)"]
    rules += [
        "Header(`a`, `b`)",
        "HeaderRegexp(`a`, `b`)",
        "Query(`a`)",
        "QueryRegexp(`a`, `b`)",
        "ClientIP(`10.0.0.1`)",
    ]
    for rule in rules:
        test = parser.parse(rule)
        assert isinstance(test, Test)
        request = witness.a_request((test,))
        assert request, rule
        assert witness.holds((test,), request), rule
