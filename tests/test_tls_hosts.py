"""The keys tls and passthrough: which listeners they allow."""

from __future__ import annotations

import pytest

from lbgen.model import Model
from tests.builders import a_listener, a_network, a_node, a_rules, a_service, modelled

SECURE = a_listener("websecure", 443, tls=True)
PLAIN = a_listener("web", 80)
PG, PGS = a_listener("pg", 5432, "tcp"), a_listener("pgs", 5433, "tcp", tls=True)


def model(*keys: dict[str, object], listeners=(PLAIN, SECURE, PG, PGS), defaults=("web",)) -> Model:
    """The model of a service for each set of keys."""
    services = [
        a_service(f"s{index}", {"port": 80, **own}, networks=("edge-id",), created_at=f"2026-11-22T10:00:0{index}Z")
        for index, own in enumerate(keys)
    ]
    return modelled(a_node(), a_network(), *services, rules=a_rules(*listeners, default_listeners=defaults))


@pytest.mark.parametrize(
    ("keys", "defaults", "listeners"),
    [
        ({"tls": "true"}, ("web",), ("websecure",)),
        ({"tls": "true"}, ("web", "websecure"), ("websecure",)),
        ({"tls": "false"}, ("web", "websecure"), ("web", "websecure")),
        ({"tls": "true", "listener": "websecure"}, ("web",), ("websecure",)),
        ({"tcp.x.passthrough": "true", "tcp.x.listener": "pg"}, ("web",), ("pg",)),
        ({"tcp.x.listener": "pgs"}, ("web",), ("pgs",)),
    ],
)
def test_listeners(keys, defaults, listeners):
    """What asks for TLS is on listeners with TLS only."""
    found = model(keys, defaults=defaults)
    assert found.problems == ()
    assert [route.listeners for route in found.routes] == [listeners]


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        ({"tls": "true", "listener": "web,websecure"}, "lbgen.tls"),
        ({"tcp.x.passthrough": "true", "tcp.x.listener": "pgs"}, "lbgen.tcp.x.passthrough"),
    ],
)
def test_refused(keys, label):
    """What cannot be had drops the route."""
    found = model(keys)
    assert found.routes == ()
    assert [problem.label for problem in found.problems] == [label]


def test_no_listener_has_tls():
    """Nothing is served in the clear instead."""
    found = model({"tls": "true"}, listeners=(PLAIN,))
    assert found.routes == ()
    assert "give a listener tls: true" in found.problems[0].remedy
