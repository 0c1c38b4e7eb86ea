"""No guard is opened by another service's labels: names that several define, and servers that several lead to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lbgen.labels.context import EntryPoint, Provider
from lbgen.model import Model, build
from lbgen.model.types import Claim
from tests.support.builders import Fact, a_listener, a_network, a_node, a_rules, a_service, a_snapshot, a_task
from tests.support.passwords import HASH

Labels = Mapping[str, str]
OFFICE = {"lbgen.allow-ip": "192.0.2.0/24"}
AUTH = {"traefik.http.middlewares.auth.basicauth.users": f"bob:{HASH}"}
ANYBODY = {"traefik.http.middlewares.auth.ipallowlist.sourcerange": "0.0.0.0/0"}
PORT = {"traefik.http.services.s.loadbalancer.server.port": "80"}
ONE = {"traefik.http.routers.r.rule": "Host(`a.org`)"} | PORT
ASKS = {"traefik.http.routers.r.middlewares": "auth"}


def model_of(**services: Labels) -> Model:
    return model_with({}, **services)


def model_with(settings: Mapping[str, Any], **services: Labels) -> Model:
    """Services with these labels, the first the oldest, with a task each."""
    facts: list[Fact] = [a_node(), a_network("edge")]
    for number, (name, said) in enumerate(services.items()):
        labels = {"traefik.enable": "true", **said}
        facts.append(a_service(name, labels=labels, networks=("edge-id",), created_at=f"2026-11-22T10:{number:02}:00Z"))
        facts.append(a_task(name, addresses={"edge-id": f"10.0.0.{number + 1}"}))
    listener = a_listener("web")
    return build(a_snapshot(*facts), a_rules(listener, dialects=("traefik",), default_listeners=("web",), **settings))


def servers(model: Model) -> list[str]:
    return [server.name for server in model.servers]


def told(model: Model, service: str) -> list[str]:
    return [problem.message for problem in model.problems if problem.service == service]


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        (OFFICE, "its label lbgen.allow-ip guards its servers"),
        ({"lbgen.allow-ip": "nobody"}, "its label lbgen.allow-ip cannot be read"),
        ({"lbgen.allow-ipp": "192.0.2.0/24"}, "its label lbgen.allow-ipp cannot be read"),
    ],
    ids=["good", "bad", "unknown"],
)
def test_short_guard_of_the_other_service(guard, message):
    """A router of two services, one of which guards its tasks by a short key, does not lead to those."""
    model = model_of(blue=ONE, green=ONE | guard)
    assert servers(model) == ["blue.1"]
    assert any(message in text for text in told(model, "blue"))
    alone = model_of(green=PORT | guard, front={"traefik.http.routers.f.rule": "Host(`f.org`)", **_leads_to_s()})
    assert not servers(alone)
    assert [(item.name, item.status) for item in alone.closed] == [("front.http.f", 503)]


def _leads_to_s() -> dict[str, str]:
    return {"traefik.http.routers.f.service": "s", "traefik.http.services.own.loadbalancer.server.port": "81"}


def test_the_same_short_guard():
    """Where both have the guard, both serve; it holds for the tasks of both."""
    both = model_of(blue=ONE | OFFICE, green=ONE | OFFICE)
    assert servers(both) == ["blue.1", "green.1"]
    assert all(backend.policy.allow == ("192.0.2.0/24",) for backend in both.backends)
    assert servers(model_of(blue=ONE | OFFICE, green=ONE)) == ["blue.1", "green.1"]


def test_middleware_in_two_ways():
    """Who names a middleware that two others define differently is told whose it gets; the older one's."""
    for owners, users in (((AUTH, ANYBODY), "label:first.auth"), ((ANYBODY, AUTH), "")):
        model = model_of(first=owners[0], second=owners[1], shop=ONE | ASKS)
        assert [backend.policy.users for backend in model.backends] == [users]
        (message,) = told(model, "shop")
        assert message.startswith(
            "is taken: middleware auth is that of service first, and service second, which is newer"
        )


def test_middleware_of_broken_labels():
    """While an older service's labels are broken no newer one's middleware takes the place of its own."""
    broken = {"traefik.http.broken": "x"}
    model = model_of(edge=AUTH | broken, hostile=ANYBODY, shop=ONE | ASKS)
    assert "shop.http.r" in {item.name for item in model.closed if item.status == 403}
    assert told(model, "shop") == ["names middleware auth, which service edge defines, whose labels are broken"]
    assert servers(model_of(hostile=ANYBODY, edge=AUTH | broken, shop=ONE | ASKS)) == ["shop.1"]
    assert servers(model_of(edge=AUTH | broken, shop=ONE | ASKS | AUTH)) == ["shop.1"]


def test_middleware_of_an_entry_point():
    """What an entry point adds means the same for all: nobody's own definition stands in its place there."""
    settings = {
        "provider": Provider(entry_points=(EntryPoint("web", middlewares=("auth@swarm",)),)),
        "claims": (Claim("name==edge"), Claim("name==shop")),
    }
    model = model_with(settings, edge=AUTH, shop=ONE)
    assert [backend.policy.users for backend in model.backends] == ["label:edge.auth"]
    for services in ({"edge": AUTH, "shop": ONE | ANYBODY}, {"shop": ONE | ANYBODY, "edge": AUTH}):
        model = model_with(settings, **services)
        assert [(item.name, item.status) for item in model.closed] == [("shop.http.r", 403)]
        assert not servers(model)
        assert any("define in two ways" in message for message in told(model, "shop"))
    gone = model_with(settings, shop=ONE)
    assert [(item.name, item.status) for item in gone.closed] == [("shop.http.r", 403)]
