"""Listeners that lead their requests elsewhere: before all routes, or before those of a lower priority."""

from __future__ import annotations

import pytest

from lbgen.labels.match import Test
from lbgen.model import Listener, Model, Redirect
from lbgen.model.entries import Cell, ListenerRedirect, Screen
from lbgen.report.reach import Reach, secure_listeners
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, modelled

TO_HTTPS = ListenerRedirect("https", 443, 308)
SERVICES = [
    a_service("shop", {"port": 80, "host": "shop.org", "listener": "web,websecure"}, networks=("edge-id",)),
    a_service("ping", {"port": 80, "path": "/ping", "listener": "web", "priority": 11}, networks=("edge-id",)),
    a_service(
        "typo", {"port": 80, "host": "typo.org", "listener": "web", "alow-ip": "10.0.0.0/8"}, networks=("edge-id",)
    ),
]


def model_with(**web: object) -> Model:
    """The model of a listener with these facts, and of one with TLS."""
    listeners = a_listener(**web), a_listener("websecure", 443, tls=True)
    return modelled(*SERVICES, a_network(), a_node(), rules=a_rules(*listeners))


def of_web(model: Model) -> Listener:
    """The listener that redirects."""
    return next(listener for listener in model.listeners if listener.name == "web")


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        (TO_HTTPS, Redirect(308, (("text", "https://"), ("host", ""), ("uri", "")))),
        (
            ListenerRedirect("https", 8443, 307),
            Redirect(307, (("text", "https://"), ("host", ""), ("text", ":8443"), ("uri", ""))),
        ),
        (ListenerRedirect("http", 80, 307), Redirect(307, (("text", "http://"), ("host", ""), ("uri", "")))),
    ],
)
def test_every_request_is_redirected(redirect, expected):
    """Those that no route matches, and those of closed routes, too; other listeners are as they were."""
    model = model_with(redirect=redirect)
    assert of_web(model).cells == (Cell("*", "/", False, "web.redirect", 2**31),)
    assert of_web(model).rules == ()
    (backend,) = (backend for backend in model.backends if backend.name == "web.redirect")
    assert (backend.redirect, backend.about) == (expected, "a listener's redirect")
    assert [cell.backend for listener in model.listeners for cell in listener.cells if listener.tls] == ["shop"]


def test_a_higher_priority_goes_first():
    """With a priority of its own a redirect is a route among others."""
    cells = of_web(model_with(redirect=ListenerRedirect("https", 443, 308, 10))).cells
    assert Cell("*", "/ping", False, "ping", 11) in cells
    assert Cell("*", "/", False, "web.redirect", 10) in cells


def test_no_loops():
    """What came by https, as a trusted load balancer says, is refused as with Traefik."""
    told = of_web(model_with(redirect=TO_HTTPS, trusted_proxies=("10.0.0.0/8",)))
    assert told.screens == (Screen(("web.redirect",), (Test("scheme", "https"),), "closed.418"),)
    assert of_web(model_with(redirect=TO_HTTPS)).screens == ()


@pytest.mark.parametrize(("priority", "expected"), [(None, {"web"}), (10, set())])
def test_dialects_know_it(priority, expected):
    """A router need not be on a listener whose requests never reach it."""
    web = a_listener(redirect=ListenerRedirect("https", 443, 308, priority))
    assert a_rules(web, a_listener("websecure", 443, tls=True)).label_context().listeners.redirecting == expected


def test_why_a_route_gets_no_requests():
    """The setting is named that leads them elsewhere."""
    model = model_with(redirect=TO_HTTPS)
    reach = Reach(of_web(model), model.routes, secure_listeners(model))
    (shop,) = (route for route in model.routes if route.name == "shop")
    assert [share.why for share in reach.shares(shop)] == [
        "every request is redirected, see listeners.web.redirect",
    ]
