"""`lbgen.model.numbers`: the highest number decides as the table does, and a route changes no other one's number."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.match import Alternative, Test
from lbgen.model import Cell, Listener, Rule
from lbgen.model.entries import Screen, TlsHost
from lbgen.model.numbers import HIGHEST_PRIORITY, ROOM, Numbered, numbered
from lbgen.model.routing import place_of, route_table
from lbgen.model.tables import in_order
from tests.support.builders import a_listener, a_route
from tests.support.oracle import Request, decide, holds
from tests.support.routes import REQUESTS, WEB, below, exactly, host, odd, places, route_lists


def taking(entries: list[Numbered], request: Request) -> set[str]:
    """The backends of the highest number whose entries hold: a proxy may take any of them."""
    fitting = [entry for entry in entries if all(holds(test, request) for test in entry.alternative)]
    highest = max((entry.number for entry in fitting), default=0)
    return {entry.backend for entry in fitting if entry.number == highest} or {""}


def wild(alternative: Alternative) -> bool:
    """Tell whether requests that are like this may have any host."""
    return not any(test.kind == "host" and not test.negated for test in alternative)


def numbers(listener: Listener) -> dict[tuple, int]:
    """Each entry's number."""
    return {(entry.alternative, entry.backend): entry.number for entry in numbered(listener)}


@given(route_lists(st.one_of(places, odd)))
@settings(deadline=None, max_examples=100)
def test_the_highest_decides(routes):
    """Whatever comes first of equal numbers, the request goes where asking every route in order would send it."""
    entries = numbered(route_table(WEB, routes)[0])
    for request in REQUESTS[::4]:
        assert taking(entries, request) == {decide(routes, request)}, request


@given(route_lists(st.one_of(places, odd)), st.sampled_from(["w0", "w1"]))
@settings(deadline=None, max_examples=40)
def test_screens_go_before(routes, backend):
    """What goes before a backend does so at each of its entries, and nowhere else."""
    listener = route_table(WEB, routes)[0]
    screens = [Screen(tuple(sorted({"s0", "s1"})), (Test("header", str(n), "x-a"),), backend) for n in (1, 2)]
    listener = replace(listener, screens=tuple(screens))
    entries, in_turn = numbered(listener), in_order(listener)
    for request in REQUESTS[::4]:
        first = next((rule.backend for rule in in_turn if all(holds(test, request) for test in rule.alternative)), "")
        assert taking(entries, request) == {first}, request


@given(route_lists(st.one_of(places, odd)), st.one_of(places, odd), st.sampled_from([None, 0, 18, 40]))
@settings(deadline=None, max_examples=200)
def test_another_route(routes, tests, priority):
    """A route for a host of its own changes no number for another host, unless a rule for any host is in between."""
    tests = tuple(sorted({host("own.y"), *(test for test in tests if test.kind != "host")}))
    own = a_route("own", tests, priority=priority, age=(1.0, "own"))
    before, after = numbers(route_table(WEB, routes)[0]), numbers(route_table(WEB, [*routes, own])[0])
    between = {
        number // ROOM for (alternative, _), number in before.items() if not place_of(alternative) and wild(alternative)
    }
    for (alternative, backend), number in before.items():
        if not wild(alternative) and between.isdisjoint(n // ROOM for n in (number, after[alternative, backend])):
            assert after[alternative, backend] == number, (alternative, backend)


@given(route_lists(places), st.sampled_from(["a.x", "b.x"]), st.sampled_from([None, 18]))
@settings(deadline=None, max_examples=200)
def test_another_path(routes, name, priority):
    """A path of a host more changes no number at another host."""
    own = a_route("own", (host(name), below("/of/its/own")), priority=priority, age=(9.0, "own"))
    before, after = numbers(route_table(WEB, routes)[0]), numbers(route_table(WEB, [*routes, own])[0])
    for (alternative, backend), number in before.items():
        if (host("x") in alternative or host("b.x" if name == "a.x" else "a.x") in alternative) and (
            alternative,
            backend,
        ) in after:
            assert after[alternative, backend] == number, (alternative, backend)


def test_of_what_overlaps():
    """A number is that of the priority; what overlaps at one priority goes before by one, and nothing else does."""
    paths = ("/two/three", "/one", "/")  # the oldest goes first
    routes = [
        a_route(f"s{path[1:]}", (host("a.x"), below(path)), priority=7, age=(float(age), ""))
        for age, path in enumerate(paths)
    ]
    routes += [a_route(f"t{n}", (host(f"h{n}.x"),), priority=7) for n in range(50)]
    routes.append(a_route("exactly", (exactly("/one"), host("a.x")), priority=7))
    routes.append(a_route("any", (below("/"),), priority=7))
    table = {entry.backend: entry.number - 8 * ROOM for entry in numbered(route_table(WEB, routes)[0])}
    tens = {f"t{n}": 1 for n in range(50)}
    assert table == {"any": 0, **tens, "s": 1, "sone": 2, "stwo/three": 2, "exactly": 3}


def test_of_one_backend():
    """What leads to one backend has one number, unless another one is in between."""
    web = a_route("web", (host("a.x"), below("/")), (host("a.x"), below("/a/b")), (host("much.longer.x"), below("/")))
    between = a_route("api", (host("a.x"), below("/a")))
    alone, both = (numbered(route_table(WEB, routes)[0]) for routes in ([web], [web, between]))
    assert [(entry.backend, entry.number) for entry in alone] == [("web", alone[0].number)] * 3
    assert [entry.backend for entry in both] == ["web", "api", "web", "web"]
    assert both[0].number > both[1].number > both[2].number == both[3].number == alone[0].number


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 1),
        ({"trusted_proxies": ("192.0.2.0/24",)}, 2),
        ({"hosts": (TlsHost("a.x", "", "staff"),), "tls": True}, 2),
    ],
    ids=["plain", "trusting", "certificates"],
)
def test_what_is_told_apart(changes, count):
    """Where their order matters to Traefik, entries of one backend that overlap have two numbers."""
    rule = Rule((Test("client_ip", "192.0.2.7/32"),), "web", 5)
    cells = (Cell("a.x", "/", False, "web", 9),)
    listener = replace(a_listener(), cells=cells, rules=(rule,), **changes)
    assert len({entry.number for entry in numbered(listener)}) == count


def test_bounds():
    """Numbers fit into 31 bits twice, whatever labels say, and a priority that has used up its room keeps its order."""
    rules = tuple(Rule((Test("header", str(n), "x"),), f"r{n}", 5) for n in range(ROOM + 1))
    cells = (Cell("*", "/a", False, "a", HIGHEST_PRIORITY * 9), Cell("b.x", "/", False, "b", HIGHEST_PRIORITY + 1))
    cells += (Cell("*", "/", False, "nobody", -1), Cell("*", "/c", False, "six", 6))
    entries = numbered(replace(a_listener(), cells=cells, rules=rules))
    names = [entry.backend for entry in entries]
    assert names[2:] == ["six", *(rule.backend for rule in rules), "nobody"]
    assert sorted(names[:2]) == ["a", "b"]
    assert len({entry.number for entry in entries[2:]}) == ROOM + 3
    assert 0 < entries[-1].number < entries[0].number * 2 + 1 < 2_100_000_000 < 2**31 - 1 - 1000
