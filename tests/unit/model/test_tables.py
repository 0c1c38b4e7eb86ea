"""`lbgen.model.tables`: a list in order, and a table by host, decide every request as the listener's own table does."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.match import Test
from lbgen.model import Cell, Listener, Rule
from lbgen.model.routing import route_table
from lbgen.model.tables import Site, by_host, in_order
from tests.support.builders import a_listener, a_route
from tests.support.oracle import Request, decide, holds
from tests.support.routes import REQUESTS, WEB, odd, places, route_lists


def first(rules: Sequence[Rule], request: Request) -> str:
    """The backend of the first rule that holds, as Traefik decides."""
    return next((rule.backend for rule in rules if all(holds(test, request) for test in rule.alternative)), "")


def site_of(sites: Sequence[Site], request: Request) -> Site:
    """The site that a proxy chooses by the host alone: the name itself, then one label less, then all others."""
    hosts = {site.host: site for site in sites}
    domain = "*." + request.name.partition(".")[2]
    return hosts.get(request.name) or ("." in request.name and hosts.get(domain)) or hosts["*"]


def on_site(site: Site, request: Request) -> str:
    """What a proxy decides that looks at nothing but the site: the longest place, then the rules that may go before."""
    fitting = [
        cell
        for cell in site.cells
        if request.path == cell.path
        or (not cell.exact and (cell.path == "/" or request.path.startswith(cell.path + "/")))
    ]
    cell = max(fitting, key=lambda cell: (cell.exact, len(cell.path)), default=None)
    for rule in site.rules:
        if all(holds(test, request) for test in rule.alternative):
            return rule.backend if not cell or rule.priority >= cell.priority else cell.backend
    return cell.backend if cell else ""


@given(route_lists(st.one_of(places, odd)))
@settings(deadline=None, max_examples=150)
def test_both_decide_as_the_oracle(routes):
    """The first rule of the list that holds is the route that asking every route would give; so is what the own places
    and rules of the site give that the host has chosen.
    """
    listener = route_table(WEB, routes)[0]
    rules, sites = in_order(listener), by_host(listener)
    for request in REQUESTS[::2]:
        expected = decide(routes, request)
        assert first(rules, request) == expected, request
        assert on_site(site_of(sites, request), request) == expected, request


def test_sites():
    """What broader hosts have is repeated where it can be reached, and left out where it cannot."""
    routes = [
        a_route("all", (Test("path_prefix", "/api"),), (Test("path", "/x"),)),
        a_route("wild", (Test("host", "*.a.x"), Test("path_prefix", "/"))),
        a_route("shop", (Test("host", "shop.a.x"), Test("path_prefix", "/cart"))),
        a_route("post", (Test("host", "post.a.x"), Test("method", "POST"))),
    ]
    listener = route_table(a_listener(), routes)[0]
    assert [
        (site.host, [(cell.path, cell.backend) for cell in site.cells], [rule.backend for rule in site.rules])
        for site in by_host(listener)
    ] == [
        ("*.a.x", [("/", "wild")], []),
        ("post.a.x", [("/", "wild")], ["post"]),
        ("shop.a.x", [("/", "wild"), ("/cart", "shop")], []),
        ("*", [("/api", "all"), ("/x", "all")], []),
    ]


def test_nothing_to_route():
    """A listener without routes has an empty list, and one site that knows nothing."""
    assert in_order(WEB) == []
    assert by_host(WEB) == [Site("*", (), ())]


def test_rules_go_first():
    """At the same priority a rule is asked before a place, as the look-up does."""
    rule = Rule((Test("method", "GET"),), "rule", 5)
    listener = Listener("web", "*", 80, "http", False, cells=(Cell("*", "/", False, "cell", 5),), rules=(rule,))
    assert in_order(listener) == [rule, Rule((), "cell", 5)]
