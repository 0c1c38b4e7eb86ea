"""`lbgen.model.mirrors`: who gets copies of a route's requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.model import Builder, build
from lbgen.model.types import Claim
from lbgen.snapshot import STACK
from tests.support.builders import (
    Fact,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_snapshot,
    a_task,
    modelled,
)

AROUND: list[Fact] = [a_node(), a_network("edge")]


def of(name: str, address: str, /, labels: dict[str, str] | None = None, **keys: object) -> list[Fact]:
    """A service with one task at this address."""
    keys = {"port": 80, **{key.replace("__", "."): value for key, value in keys.items()}}
    service = a_service(name, keys, networks=("edge-id",))
    service = a_service(name, labels={**service.labels, **(labels or {})}, networks=("edge-id",))
    return [service, a_task(name, addresses={"edge-id": address})]


WEB = of("web", "10.0.0.1", host="a.org", mirror="next", mirror__percent=10)
# It takes no part, and its guards are not the copies' business.
NEXT = of("next", "10.0.0.2", {"lbgen.enable": "false", "lbgen.allow-ip": "192.0.2.1"})


def mirror_of(found, name="web"):
    """The mirror of a service's backend."""
    return next(backend.mirror for backend in found.backends if backend.name == name)


def places(mirror):
    """Where copies go."""
    return [f"{server.address}:{server.port}" for server in mirror.servers]


def test_service():
    """A service's tasks get copies, whether it takes part or not; it gets no route by that."""
    found = modelled(*AROUND, *WEB, *NEXT)
    mirror = mirror_of(found)
    assert (found.problems, mirror.name, mirror.percent, mirror.scheme) == ((), "next", 10, "http")
    assert places(mirror) == ["10.0.0.2:80"]
    assert [route.name for route in found.routes] == ["web"]
    named = of("next", "10.0.0.2", {"lbgen.port": "1"}, http__x__host="next.org", http__x__port=81)
    assert places(mirror_of(modelled(*AROUND, *WEB, *named))) == ["10.0.0.2:81"]


def test_stack_goes_first():
    """A name is that of the own stack's service first."""
    mine = of("shop_web", "10.0.0.1", {STACK: "shop"}, host="a.org", mirror="next")
    other = of("shop_next", "10.0.0.3")
    assert places(mirror_of(modelled(*AROUND, *mine, *NEXT, *other), "shop_web")) == ["10.0.0.3:80"]
    assert places(mirror_of(modelled(*AROUND, *mine, *NEXT), "shop_web")) == ["10.0.0.2:80"]


def test_group():
    """All of a group's servers share the copies by their weights; its standbys get none."""
    keys = {"group": "next", "host": "next.org"}
    members = [*of("a", "10.0.0.3", **keys), *of("b", "10.0.0.4", group="next", weight=50)]
    members += of("c", "10.0.0.5", group="next", backup="true")
    mirror = mirror_of(modelled(*AROUND, *WEB, *members))
    assert places(mirror) == ["10.0.0.3:80", "10.0.0.4:80"]
    assert [server.weight for server in mirror.servers] == [256, 128]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([], "is neither a service nor a group"),
        (of("next", "10.0.0.2", network="back"), "leads to service next: the service is not on network back"),
        (of("next", "10.0.0.2", {"lbgen.enable": "false"}, port="x"), "leads to service next: its label lbgen.port"),
        (of("next", "10.0.0.2", scheme="https"), "leads to servers that are spoken to with https"),
        ([a_service("next", mode="replicated-job")], "leads to service next: the service is a replicated-job"),
    ],
)
def test_problems(others, message):
    """What cannot be a mirror is told with the label, and the route goes on without."""
    found = modelled(*AROUND, *WEB, *others)
    (problem,) = [problem for problem in found.problems if problem.service == "web"]
    assert problem.message.startswith(message)
    assert (problem.label, problem.value) == ("lbgen.mirror", "next")
    assert mirror_of(found) is None
    assert [route.name for route in found.routes if route.service == "web"] == ["web"]


def test_itself():
    """A service is no mirror of its own, nor is a group."""
    (problem,) = modelled(*AROUND, *of("web", "10.0.0.1", http__a__mirror="web")).problems
    assert (problem.message, problem.label, problem.route) == (
        "is the route's own service",
        "lbgen.http.a.mirror",
        "a",
    )
    (problem,) = modelled(*AROUND, *of("web", "10.0.0.1", group="next", mirror="next")).problems
    assert problem.message == "is the route's own group"


def test_share_of_nothing():
    """A share needs somebody to take it."""
    (problem,) = modelled(*AROUND, *of("web", "10.0.0.1", mirror__percent=10)).problems
    assert (problem.message, problem.label) == ("nothing is mirrored", "lbgen.mirror.percent")


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        ((Claim(),), True),
        ((Claim("name==web"), Claim("name==next")), False),
        ((Claim("name==web"), Claim()), True),
    ],
)
def test_claims(claims, allowed):
    """Where services have claims, one sends copies to those of its own entries alone."""
    found = build(a_snapshot(*AROUND, *WEB, *NEXT), replace(a_rules(), claims=claims))
    assert bool(mirror_of(found)) is allowed
    assert [problem.service for problem in found.problems] == ([] if allowed else ["web"])


def test_nothing_new():
    """What did not change is the same object as in the model before; a mirror's new server is a new backend."""
    builder = Builder(a_rules())
    before = builder.build(a_snapshot(*AROUND, *WEB, *NEXT))
    assert builder.build(a_snapshot(*AROUND, *WEB, *NEXT)).backends[0] is before.backends[0]
    moved = of("next", "10.0.0.9", {"lbgen.enable": "false"})
    assert places(builder.build(a_snapshot(*AROUND, *WEB, *moved)).backends[0].mirror) == ["10.0.0.9:80"]
