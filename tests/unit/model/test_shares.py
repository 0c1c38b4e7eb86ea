"""`model.shares`: a route's servers are the tasks of other services, by weight, or addresses; claims decide whose."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import ALWAYS
from lbgen.labels.route_spec import RouteSpec, Share
from lbgen.labels.values.value_type import BadValue
from lbgen.model import Builder
from lbgen.model.backends import route_backend
from lbgen.model.claims import NotAllowed
from lbgen.model.policy import NOTHING
from lbgen.model.routes import RouteRequest, ServiceRoutes, route_request
from lbgen.model.types import Backend, Claim
from lbgen.snapshot import STACK, Service
from tests.support.builders import a_network, a_node, a_rules, a_service, a_snapshot, a_task, surroundings

OWN = {"networks": ("edge-id",)}


def a_site(**claimed: Any) -> Any:
    """A front without tasks, and services a (one task), b (three), and shop_c of stack shop, on one network."""
    facts = [a_network(), a_node(), a_service("front", **OWN, labels={STACK: "shop"})]
    for number, (name, tasks) in enumerate((("a", 1), ("b", 3), ("shop_c", 1))):
        facts.append(a_service(name, None, labels={"lbgen.via": "task"}, **OWN))
        facts += [a_task(name, slot, addresses={"edge-id": f"10.0.{number}.{slot}"}) for slot in range(1, tasks + 1)]
    return surroundings(*facts, **claimed)


def shared(*shares: Share, around: Any = None, **keys: Any) -> tuple[Backend, Any]:
    """The backend of a route of the front with these shares, and how its servers were chosen."""
    around = around or a_site()
    spec = RouteSpec("http", "", RouteKeys(**keys), ALWAYS, None, shares=shares)
    front = around.services["front"]
    request = RouteRequest(spec, route_request(front, spec, around.rules).route, NOTHING)
    return route_backend(front, (), request, around)


def weights(backend: Backend) -> dict[str, int]:
    return {server.name: server.weight for server in backend.servers}


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([Share("a", {"port": 80})], {"a.1": 100}),
        # One pool: every server alike, as Traefik merges them.
        (
            [Share("a", {"port": 80}, pool="s"), Share("b", {"port": 81}, pool="s")],
            {"a.1": 100, "b.1": 100, "b.2": 100, "b.3": 100},
        ),
        # Two: each has its weight, whatever the number of its servers.
        ([Share("a", {"port": 80}), Share("b", {"port": 81})], {"a.1": 256, "b.1": 85, "b.2": 85, "b.3": 85}),
        (
            [Share("a", {"port": 80}, 1), Share("b", {"port": 81}, 3)],
            {"a.1": 100, **{f"b.{n}": 100 for n in (1, 2, 3)}},
        ),
        (
            [Share("a", {"port": 80, "weight": 1}, pool="s"), Share("shop_c", {"port": 80, "weight": 4}, pool="s")],
            {"a.1": 64, "shop_c.1": 256},
        ),
        ([Share("a", {"port": 80}, 0), Share("shop_c", {"port": 80})], {"a.1": 0, "shop_c.1": 100}),
        ([Share("c", {"port": 80})], {"shop_c.1": 100}),
        ([Share("a", {"port": 80}), Share("a", {"port": 81})], {"a.1": 100, "a.1-81": 100}),
        ([Share(addresses=("192.0.2.7",), fields={"port": 9000})], {"192.0.2.7-9000": 100}),
    ],
    ids=["one", "pool", "by weight", "by weights", "servers' weights", "none", "stack", "two ports", "address"],
)
def test_servers(shares, expected):
    """Who has a route's requests, and how much of them."""
    backend, chosen = shared(*shares)
    assert weights(backend) == expected
    assert not chosen.problems
    assert backend.members == tuple(dict.fromkeys(name.partition(".")[0] for name in expected if not name[0].isdigit()))


def test_standbys():
    """Servers of a backup share wait for the others to be gone."""
    backend, _ = shared(Share("a", {"port": 80}), Share("b", {"port": 80}, backup=True))
    assert {server.name: server.backup for server in backend.servers} == {
        "a.1": False,
        **{f"b.{n}": True for n in (1, 2, 3)},
    }


def test_own_place():
    """What the route's own keys say of its service is nothing for another one: port, network, nodes."""
    backend, _ = shared(Share("a", {"port": 80}), port=9, network="other", via="mesh")
    assert [(server.address, server.port) for server in backend.servers] == [("10.0.0.1", 80)]
    assert (backend.via, backend.network) == ("task", "edge")


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (Share("nobody", {"port": 80}), "leads to service nobody, and there is none of this name"),
        (Share("a"), "leads to service a: nothing says which port the application listens on"),
        (Share("a", {"port": 80, "scheme": "https"}), "has servers that are spoken to with https, and others"),
        (Share(addresses=("192.0.2.7",)), "leads to an address without a port"),
    ],
)
def test_lost(share, message):
    """A share without servers is a problem; the route is closed if there is no other."""
    backend, chosen = shared(share, Share("b", {"port": 80}))
    assert len(backend.servers) == 3
    assert [problem.message for problem in chosen.problems] == [message]
    with pytest.raises(BadValue, match=message):
        shared(share)


def test_claims():
    """Only a service that shares an entry with it may use another one's tasks, on ports that the entry has."""
    front_and_a = Claim("name!=b", ports=((80, 80),))
    around = a_site(claims=(front_and_a, Claim("name==b")))
    assert shared(Share("a", {"port": 80}), around=around)[0].servers
    for share in (Share("b", {"port": 80}), Share("a", {"port": 81})):
        with pytest.raises(NotAllowed, match=f"no entry for both this service and {share.service}"):
            shared(share, around=around)


def test_followed(monkeypatch):
    """A change of a task of a share's service decides the route again, and parses nothing."""
    facts = a_site()
    spec = RouteSpec("http", "", RouteKeys(host=("a.org",)), ALWAYS, None, shares=(Share("b", {"port": 80}),))

    def asked(service: Service, *_: object) -> ServiceRoutes:
        return ServiceRoutes((route_request(service, spec, a_rules()),)) if service.name == "front" else ServiceRoutes()

    monkeypatch.setattr(sys.modules[Builder.__module__], "service_routes", asked)
    tasks = [task for own in facts.tasks.values() for task in own]
    snapshot = a_snapshot(*facts.nodes.values(), *facts.networks.values(), *facts.services.values(), *tasks)
    builder = Builder(a_rules())
    assert len(builder.build(snapshot).servers) == 3
    parsed, decided = builder.parsed, builder.decided
    changed = snapshot.tasks | {"b-2-id": replace(snapshot.tasks["b-2-id"], state="failed")}
    assert len(builder.build(replace(snapshot, tasks=changed)).servers) == 2
    assert (builder.parsed, builder.decided) == (parsed, decided + 2)  # b, and the front
    again = builder.build(replace(snapshot, tasks=changed))
    assert builder.decided == decided + 2
    assert len(again.servers) == 2
