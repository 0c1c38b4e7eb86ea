"""Which login service a route asks, and who may ask which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.model import Builder, Model, build
from lbgen.model.types import Claim
from lbgen.snapshot import STACK
from tests.support.builders import Fact, a_network, a_node, a_rules, a_service, a_snapshot, a_task

AROUND = (a_node(), a_network("edge"))
ASKS = {"host": "a.org", "port": 80, "health-check": "off", "forward-auth": "http://login:9091/verify"}


def facts(keys: dict[str, object], *more: Fact, stack: str = "") -> list[Fact]:
    """A service that asks, its task, and a login service that does not take part."""
    app = a_service("app", keys, networks=("edge-id",))
    app = replace(app, labels={**app.labels, STACK: stack}) if stack else app
    login = a_service("login", labels={}, networks=("edge-id",))
    tasks = [a_task("app", addresses={"edge-id": "10.0.0.1"}), a_task("login", addresses={"edge-id": "10.0.0.9"})]
    return [*AROUND, app, login, *tasks, *more]


def asked(model: Model) -> str:
    """The address that the route of service app asks; empty: it is closed."""
    backends = {backend.name: backend for backend in model.backends}
    if "app" not in backends:
        assert [(item.name, item.status) for item in model.closed] == [("app", 403)]
        return ""
    login = backends["app"].policy.forward_auth
    assert login
    (server,) = backends[login.backend].servers
    return f"{server.address}:{server.port}"


def decided(keys: dict[str, object], *more: Fact, stack: str = "", **rules: object) -> str:
    return asked(build(a_snapshot(*facts({**ASKS, **keys}, *more, stack=stack)), a_rules(**rules)))


def test_found_as_a_route_finds_its_servers():
    """By its name and port; its own short keys hold; the one of the own stack goes first."""
    assert decided({}) == "10.0.0.9:9091"
    other = a_service("shop_login", labels={}, networks=("edge-id",))
    task = a_task("shop_login", addresses={"edge-id": "10.0.0.7"})
    assert decided({}, other, task) == "10.0.0.9:9091"
    assert decided({}, other, task, stack="shop") == "10.0.0.7:9091"
    assert decided({"forward-auth": "http://192.0.2.7/"}) == "192.0.2.7:80"


@pytest.mark.parametrize(
    "url",
    [
        "http://nobody/",
        "http://login/",
        "http://127.0.0.1:9099/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/",
    ],
)
def test_closed_where_nobody_can_be_asked(url):
    """A service that is not there, one whose port nothing says, and the proxy's own machine."""
    assert decided({"forward-auth": url}) == ""


@pytest.mark.parametrize(
    ("claim", "url", "allowed"),
    [
        (Claim(), "http://login:9091/", True),
        (Claim(services="name==app"), "http://login:9091/", False),
        (Claim(services="name==app", logins=("log*",)), "http://login:9091/", True),
        (Claim(logins=()), "http://login:9091/", False),
        (Claim(logins=("login",), ports=((80, 80),)), "http://login:9091/", False),
        (Claim(), "http://192.0.2.7/", False),
        (Claim(logins=("192.0.2.7",)), "http://192.0.2.7/", True),
        (Claim(logins=("127.0.0.1",)), "http://127.0.0.1/", True),
    ],
)
def test_claims(claim, url, allowed):
    """Where setting claims has entries, one of them has to allow the login service along with all else."""
    assert bool(decided({"forward-auth": url}, claims=(claim,))) is allowed


def test_what_listeners_need():
    """A target with some of the listeners has the login services of their routes."""
    model = build(a_snapshot(*facts(ASKS)), a_rules())
    assert {backend.name for backend in model.only(frozenset({"web"})).backends} == {"app", "login.login-9091"}


def test_the_same_objects():
    """What did not change is the same object as in the model before, a closed route too; tasks are followed."""
    builder = Builder(a_rules())
    for keys in (ASKS, {**ASKS, "forward-auth": "nobody"}):
        made = a_snapshot(*facts(keys))
        one, two = builder.build(made), builder.build(made)
        assert all(mine is other for mine, other in zip(one.backends, two.backends, strict=True))
        assert one.closed == two.closed
    first = facts(ASKS)
    builder.build(a_snapshot(*first))
    moved = [replace(fact, addresses={"edge-id": "10.0.0.8"}) if fact.id == "login-1-id" else fact for fact in first]
    assert asked(builder.build(a_snapshot(*moved))) == "10.0.0.8:9091"


def test_groups():
    """Two services of a group ask the same login service, or the younger one has no part in it."""
    other = {**ASKS, "group": "g", "host": "b.org"}
    younger = a_service("young", other, networks=("edge-id",), created_at="2026-11-22T11:00:00Z")
    task = a_task("young", addresses={"edge-id": "10.0.0.3"})
    model = build(a_snapshot(*facts({**ASKS, "group": "g"}, younger, task)), a_rules())
    (group,) = [backend for backend in model.backends if backend.name == "g.group"]
    assert group.policy.forward_auth
    assert group.policy.forward_auth.backend == "login.login-9091"
    assert len(group.servers) == 2
    younger = a_service(
        "young", {**other, "forward-auth": "http://login:80/"}, networks=("edge-id",), created_at=younger.created_at
    )
    model = build(a_snapshot(*facts({**ASKS, "group": "g"}, younger, task)), a_rules())
    (group,) = [backend for backend in model.backends if backend.name == "g.group"]
    assert len(group.servers) == 1
    assert any("forward-auth" in problem.message for problem in model.problems)
