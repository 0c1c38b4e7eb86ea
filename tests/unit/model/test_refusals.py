"""Denials: which of a backend's own requests are answered with a status, wherever they come from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.labels.match import Test
from lbgen.model import Model, Route
from lbgen.model.entries import Refusal, Screen
from lbgen.model.screens import MOST, screens
from tests.support.builders import a_listener, a_network, a_node, a_route, a_rules, a_service, modelled

HOST, ADMIN, POST = Test("host", "a.org"), Test("path_prefix", "/admin"), Test("method", "POST")
NO_POST = Refusal((POST,), 403, None)
LISTENERS = a_listener(), a_listener("websecure", 443, tls=True)


def served(*services: dict[str, str]) -> Model:
    """The model of services with these labels of docker-flow-proxy's."""
    written = [
        {"com.df.notify": "true", "com.df.port": "80", **{f"com.df.{key}": value for key, value in labels.items()}}
        for labels in services
    ]
    own = [a_service(f"web{number}", labels=labels, networks=("edge-id",)) for number, labels in enumerate(written)]
    return modelled(*own, a_network(), a_node(), rules=a_rules(*LISTENERS, dialects=("dockerflow",)))


@pytest.mark.parametrize(
    ("labels", "plain", "secure"),
    [
        ({"deniedMethods": "POST"}, [(POST,)], [(POST,)]),
        ({"allowedMethods": "POST"}, [(replace(POST, negated=True),)], [(replace(POST, negated=True),)]),
        ({"denyHttp": "true"}, [()], []),
        ({"denyHttp": "true", "deniedMethods": "POST"}, [(POST,), ()], [(POST,)]),
    ],
)
def test_listeners(labels, plain, secure):
    """A method is denied on every listener, plain HTTP on those without TLS."""
    model = served({"servicePath": "/admin", **labels})
    for listener, expected in zip(model.listeners, (plain, secure), strict=True):
        assert listener.screens == tuple(Screen(("web0",), tests, "closed.403") for tests in expected)
    assert "closed.403" in {backend.name for backend in model.backends}


def test_told_by_load_balancers():
    """Where a load balancer is trusted, it says what came by https."""
    plain, secure = (
        screens([a_route("web", (HOST,), refusals=(Refusal((), 418, tls),))], [], tls=True, told=True)
        for tls in (False, True)
    )
    assert [screen.alternative for screen in (*plain, *secure)] == [
        (Test("scheme", "http"),),
        (Test("scheme", "https"),),
    ]


@pytest.mark.parametrize("path", ["/a", "/"])
def test_groups(path):
    """What one member of a group denies is denied to the requests of all: their servers are its, too."""
    labels = {"servicePath": path, "serviceGroup": "shop", "deniedMethods": "POST"}
    model = served(labels, {"servicePath": "/b", "serviceGroup": "shop"})
    assert {route.refusals for route in model.routes} == {(NO_POST,)}
    assert model.listeners[0].screens[0] == Screen(("shop.group",), (POST,), "closed.403")


def listed(*routes: Route) -> list[tuple[tuple[str, ...], set[Test], str]]:
    """The screens of routes as plain values."""
    return [(item.backends, set(item.alternative), item.backend) for item in screens(routes, [])]


def test_odd_spellings():
    """Requests that come to a route by an odd spelling of its path are denied like others."""
    open_, guard = a_route("open", (HOST,)), a_route("guard", (HOST, ADMIN), guarded=True, refusals=(NO_POST,))
    first, denied, led = listed(open_, guard)
    assert first == (("guard",), {POST}, "closed.403")
    assert led[2] == "guard"
    assert denied == (("open",), {*led[1], POST}, "closed.403")


def test_too_many():
    """A service that denies more than a listener should ask is denied as a whole."""
    refusals = tuple(Refusal((Test("method", f"M{number}"),), 403, None) for number in range(MOST + 1))
    assert listed(a_route("one", (HOST,), refusals=refusals))[0] == (("one",), set(), "closed.403")
