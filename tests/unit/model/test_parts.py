"""Several parts in one model: none sees, names or takes what is another one's, whatever its labels say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lbgen.base.problem import Problem
from lbgen.model import Builder, Model, build
from lbgen.model.types import Claim
from lbgen.snapshot import Snapshot
from lbgen.source.merge import Placed, Whole, joined
from tests.support.builders import (
    a_listener,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_snapshot,
    a_task,
    ingress,
    lbgen_labels,
)

WEB, HASH = a_listener("web", 80), "$2y$05$abcdefghijklmnopqrstuuu5s3fP4CL6w2Uj1pZFqkBYVwRlo2Z0G"


def app(name: str, address: str, *, raw: dict[str, str] | None = None, created: str = "", **keys: Any) -> list[Any]:
    """A service on network edge with one task at this address; its labels are keys without ``lbgen.``, or raw ones."""
    own = lbgen_labels({"port": 80, **{key.replace("__", ".").replace("_", "-"): value for key, value in keys.items()}})
    own |= raw or {}
    facts: dict[str, Any] = {"created_at": created} if created else {}
    return [
        a_service(name, labels=own, networks=("edge-id",), **facts),
        a_task(name, addresses={"edge-id": address}),
    ]


def a_part(*apps: list[Any], cluster: str = "") -> Snapshot:
    """A part with these services, a node and a network."""
    return replace(a_snapshot(a_node(), a_network(), *(fact for own in apps for fact in own)), cluster=cluster)


def both(a: Snapshot, b: Snapshot) -> Snapshot:
    """Parts a and b, whose ids are alike."""
    return joined({"a": a, "b": b}, {"a": "a/", "b": "b/"})


def addresses(model: Model, backend: str) -> list[str]:
    """Where the servers of a backend are."""
    return [server.address for each in model.backends if each.name == backend for server in each.servers]


def texts(model: Model) -> str:
    """All problems."""
    return "\n".join(map(str, model.problems))


def test_same_name():
    """Services of one name are two: routes, backends and servers are called by their parts, and each has its own."""
    model = build(
        both(a_part(app("web", "10.0.0.1", host="a.org")), a_part(app("web", "10.0.0.2", host="b.org"))), a_rules()
    )
    assert [route.name for route in model.routes] == ["a_web", "b_web"]
    assert (addresses(model, "a_web"), addresses(model, "b_web")) == (["10.0.0.1"], ["10.0.0.2"])
    assert [server.name for server in model.servers] == ["a_web.1", "b_web.1"]
    assert not model.problems


def test_nodes():
    """Traffic for the mesh goes to nodes of the service's own part alone."""
    service = replace(app("web", "10.0.0.1", via="mesh", host="a.org")[0], ports=(ingress(80),))
    a = a_snapshot(a_node(address="192.0.2.1"), service, a_task("web"))
    b = a_snapshot(a_node(address="192.0.2.2"), a_node("node2", address="192.0.2.3"))
    model = build(both(a, b), a_rules())
    assert not model.problems
    assert addresses(model, "web") == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("networks", "found"),
    [
        ((), True),
        (("edge",), True),
        (("a/edge",), True),
        (("b/edge",), False),
        (("b/edge", "edge"), True),
        (("other",), False),
    ],
)
def test_networks(networks, found):
    """An entry of discovery.networks is for all parts, or for the one that it names."""
    snapshot = both(a_part(app("web", "10.0.0.1", host="a.org")), a_part())
    assert bool(addresses(build(snapshot, replace(a_rules(), networks=networks)), "web")) == found


MIDDLEWARE = {"traefik.enable": "true", "traefik.http.middlewares.auth.basicauth.users": f"ann:{HASH}"}
ROUTER = {
    "traefik.enable": "true",
    "traefik.http.routers.web.rule": "Host(`a.org`)",
    "traefik.http.services.web.loadbalancer.server.port": "80",
}


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (app("web", "10.0.0.1", host="a.org", forward_auth="http://login:80"), app("login", "10.0.0.9")),
        (app("web", "10.0.0.1", host="a.org", mirror="copy"), app("copy", "10.0.0.9")),
        (app("web", "10.0.0.1", host="a.org", **{"error-pages__503": "http://pages/x"}), app("pages", "10.0.0.9")),
    ],
    ids=["login", "mirror", "pages"],
)
def test_services_that_labels_name(mine, theirs):
    """A name in labels is that of a service of the same part; one of another part is none."""
    theirs = [replace(theirs[0], labels={"lbgen.port": "80"}), theirs[1]]
    apart = build(both(a_part(mine), a_part(theirs)), a_rules())
    assert "10.0.0.9" not in str(apart)
    assert apart.problems
    beside = build(both(a_part(mine, theirs), a_part()), a_rules())
    assert not beside.problems
    assert "10.0.0.9" in str(beside)


def test_definitions_of_another_part():
    """What labels of another part define means nothing here, and an older one of it takes no name away."""
    rules = replace(a_rules(), dialects=("traefik",))
    named = ROUTER | {"traefik.http.routers.web.middlewares": "auth"}
    mine, theirs = (
        app("web", "10.0.0.1", raw=named),
        app("gate", "10.0.0.9", raw=MIDDLEWARE, created="2000-01-01T00:00:00Z"),
    )
    model = build(both(a_part(mine), a_part(theirs)), rules)
    assert "names middleware auth, which nothing defines" in texts(model)
    assert "gate" not in texts(model).partition("auth, which")[2]
    own = app("mine", "10.0.0.2", raw=MIDDLEWARE)
    guarded = build(both(a_part(mine, own), a_part(theirs)), rules)
    assert [user.name for user in guarded.users] == ["label:a_mine.auth"]
    assert guarded.routes[0].guarded


@pytest.mark.parametrize("theirs_first", [False, True])
def test_definitions_whichever_part_is_first(theirs_first):
    """A middleware of another part guards nothing here, in whichever order the parts are listed."""
    mine = a_part(app("web", "10.0.0.1", raw=ROUTER | {"traefik.http.routers.web.middlewares": "auth"}))
    theirs = a_part(app("gate", "10.0.0.9", raw=MIDDLEWARE))
    model = build(both(theirs, mine) if theirs_first else both(mine, theirs), replace(a_rules(), dialects=("traefik",)))
    assert "names middleware auth, which nothing defines" in texts(model)
    assert not model.routes


def test_users_of_one_name():
    """Lists of users of two parts are two, though service and middleware are called alike."""
    rules = replace(a_rules(), dialects=("traefik",))

    def part(host: str, user: str) -> Snapshot:
        labels = MIDDLEWARE | {
            "traefik.http.middlewares.auth.basicauth.users": f"{user}:{HASH}",
            "traefik.http.routers.web.rule": f"Host(`{host}`)",
            "traefik.http.routers.web.middlewares": "auth",
            "traefik.http.services.web.loadbalancer.server.port": "80",
        }
        return a_part(app("web", "10.0.0.1", raw=labels))

    model = build(both(part("a.org", "ann"), part("b.org", "bob")), rules)
    lists = {users.name: [user.name for user in users.users] for users in model.users}
    assert lists == {"label:a_web.auth": ["ann"], "label:b_web.auth": ["bob"]}
    assert [backend.policy.users for backend in model.backends] == ["label:a_web.auth", "label:b_web.auth"]


def test_shared_traefik_services():
    """Traefik's services of one name are shared within a part alone."""
    rules = replace(a_rules(), dialects=("traefik",))
    mine, theirs = app("web", "10.0.0.1", raw=ROUTER), app("api", "10.0.0.9", raw=ROUTER)
    apart = build(both(a_part(mine), a_part(theirs)), rules)
    assert {address for backend in apart.backends for address in addresses(apart, backend.name)} <= {
        "10.0.0.1",
        "10.0.0.9",
    }
    assert not any(len(backend.servers) > 1 for backend in apart.backends)


def test_default_rule_has_the_own_name():
    """A rule made of a service's name stays, whatever another part calls a service of its."""
    provider = replace(a_rules().provider, default_rule="Host(`{{ normalize .Name }}.a.org`)")
    rules = replace(a_rules(), dialects=("traefik",), provider=provider)
    labels = {"traefik.enable": "true", "traefik.http.services.web.loadbalancer.server.port": "80"}
    mine = a_part(app("web", "10.0.0.1", raw=labels))
    alone, beside = (build(both(mine, a_part(*other)), rules) for other in ([], [app("web", "10.0.0.9")]))
    hosts = [[test.value for test in model.routes[0].alternatives[0]] for model in (alone, beside)]
    assert hosts == [["web.a.org"], ["web.a.org"]]


def test_claims():
    """Claims know parts, and compare a service's own name: none gets another's by the name of its part."""
    claims = (Claim("part==a", hosts=("a.org",)), Claim("name==shop", hosts=("shop.org",)))
    rules = replace(a_rules(), claims=claims)
    hostile = [app("web", "10.0.0.9", host="a.org"), app("a_web", "10.0.0.8", host="a.org")]
    model = build(both(a_part(app("web", "10.0.0.1", host="a.org")), a_part(*hostile)), rules)
    assert [(route.name, route.service) for route in model.routes] == [("a_web", "a_web")]
    assert addresses(model, "a_web") == ["10.0.0.1"]
    assert {problem.service for problem in model.problems} == {"b_web", "b_a_web"}
    shop = both(a_part(app("shop", "10.0.0.1", host="shop.org")), a_part(app("shop", "10.0.0.2", host="x.org")))
    assert [route.name for route in build(shop, replace(rules, claims=claims[1:])).routes] == ["a_shop"]


def test_group():
    """Services of two parts share a backend where both say so."""
    a, b = (app("web", address, group="blue", host="a.org") for address in ("10.0.0.1", "10.0.0.2"))
    model = build(both(a_part(a), a_part(b)), a_rules())
    assert addresses(model, "blue.group") == ["10.0.0.1", "10.0.0.2"]


def test_problems_name_the_right_service():
    """What is wrong with a service is told of that one, by the name that is its alone."""
    model = build(
        both(a_part(app("web", "10.0.0.1", prot="80")), a_part(app("web", "10.0.0.2", host="b.org"))), a_rules()
    )
    assert {problem.service for problem in model.problems} == {"a_web"}
    assert isinstance(model.problems[0], Problem)


def test_a_change_of_one_part_decides_nothing_of_another():
    """Tasks, nodes and networks of one part are no reason to decide services of another again."""
    whole, parts = Whole(), {"a": Placed("a", "a/"), "b": Placed("b", "b/")}
    facts = {"a": a_part(app("web", "10.0.0.1", host="a.org")), "b": a_part(app("api", "10.0.0.2", host="b.org"))}

    def merged() -> Snapshot:
        for name, part in parts.items():
            part.accept(facts[name], part.placed(facts[name]))
        return whole.of(parts)

    builder = Builder(a_rules())
    builder.build(merged())
    counted = builder.decided, builder.parsed
    facts["b"] = replace(facts["b"], nodes={"node1-id": a_node(state="down")})
    builder.build(merged())
    assert (builder.decided - counted[0], builder.parsed - counted[1]) == (1, 0)
