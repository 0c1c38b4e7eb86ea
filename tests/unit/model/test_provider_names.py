"""Names of Traefik's labels are the provider's: what one Swarm service defines, the labels of all others find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lbgen.model import Backend, Builder, Model, build
from lbgen.model.types import Claim
from lbgen.snapshot import Snapshot
from tests.support.builders import Fact, a_listener, a_network, a_node, a_rules, a_service, a_snapshot, a_task
from tests.support.passwords import HASH

Labels = Mapping[str, str]
LISTENERS = (a_listener("web"), a_listener("pg", 5432, "tcp"))
AUTH = {"http.middlewares.auth.basicauth.users": f"bob:{HASH}"}
ALLOW = {"http.middlewares.auth.ipallowlist.sourcerange": "192.0.2.0/24"}
HTTPS = {"http.middlewares.https.redirectscheme.scheme": "https"}
PORT = "loadbalancer.server.port"


def rules(**settings: Any) -> Any:
    return a_rules(*LISTENERS, dialects=("lbgen", "traefik"), default_listeners=("web",), **settings)


RULES = rules()


def app(name: str, **options: str) -> dict[str, str]:
    """A router and a service in the name of a Swarm service, for the host in its name."""
    said = {f"http.routers.{name}.{option}": value for option, value in options.items()}
    return {f"http.routers.{name}.rule": f"Host(`{name}.org`)", f"http.services.{name}.{PORT}": "80", **said}


def site(**services: Labels) -> Snapshot:
    """Services with these labels, the first the oldest, with a task each; ``traefik.enable`` is true unless said."""
    facts: list[Fact] = [a_node(), a_network("edge")]
    for number, (name, said) in enumerate(services.items()):
        labels = {f"traefik.{key}": value for key, value in {"enable": "true", **said}.items()}
        created = f"2026-11-22T10:{number:02}:00Z"
        facts.append(a_service(name, labels=labels, networks=("edge-id",), created_at=created))
        facts.append(a_task(name, addresses={"edge-id": f"10.0.0.{number + 1}"}))
    return a_snapshot(*facts)


def model_of(**services: Labels) -> Model:
    return build(site(**services), RULES)


def backend(model: Model, name: str) -> Backend:
    return next(item for item in model.backends if item.name == name)


def servers(model: Model, name: str) -> list[str]:
    return [server.name for server in backend(model, name).servers]


def closed(model: Model) -> dict[str, int]:
    return {item.name: item.status for item in model.closed}


def told(model: Model) -> list[tuple[str, str]]:
    return [(problem.service, problem.message) for problem in model.problems]


def relabelled(snapshot: Snapshot, name: str, **said: str) -> Snapshot:
    """The snapshot after a change of one service's labels."""
    service = snapshot.services[f"{name}-id"]
    labels = {**service.labels, **{f"traefik.{key}": value for key, value in said.items()}}
    return replace(snapshot, services={**snapshot.services, service.id: replace(service, labels=labels)})


@pytest.mark.parametrize("reference", ["auth", "auth@swarm", "auth@docker"])
@pytest.mark.parametrize("first", [True, False], ids=["older", "newer"])
def test_middleware_of_another_service(reference, first):
    """A login that one service defines guards the router of another one that names it, whichever is older."""
    both = {"edge": AUTH | app("edge"), "shop": app("shop", middlewares=reference)}
    model = model_of(**(both if first else dict(reversed(both.items()))))
    assert backend(model, "shop.http.shop").policy.users == "label:edge.auth"
    assert [(users.name, users.service, [user.name for user in users.users]) for users in model.users] == [
        ("label:edge.auth", "edge", ["bob"])
    ]
    assert not model.problems
    assert not model.closed


def test_chain_of_another_service():
    """Names in a chain are the provider's, too; so are TCP middlewares."""
    chain = {"http.middlewares.all.chain.middlewares": "https,auth"}
    tcp = {"tcp.middlewares.few.inflightconn.amount": "3"}
    db = {"tcp.routers.db.rule": "HostSNI(`*`)", "tcp.routers.db.entrypoints": "pg", f"tcp.services.db.{PORT}": "5432"}
    model = model_of(
        edge=chain | tcp,
        other=HTTPS | AUTH,
        shop=app("shop", middlewares="all"),
        db=db | {"tcp.routers.db.middlewares": "few"},
    )
    shop = backend(model, "shop.http.shop")
    assert (shop.policy.users, shop.redirect_https) == ("label:other.auth", True)
    assert backend(model, "db.tcp.db").policy.concurrency
    assert not model.problems


def test_unlike_middlewares():
    """Of unequal ones the older service's keeps the name; the newer one's routers by it are closed, and it is told."""
    model = model_of(
        old=AUTH | app("old", middlewares="auth"),
        new=ALLOW | app("new", middlewares="auth"),
        shop=app("shop", middlewares="auth"),
    )
    assert closed(model) == {"new.http.new": 403}
    assert backend(model, "shop.http.shop").policy.users == "label:old.auth"
    assert told(model) == [
        ("new", "names middleware auth, which service old, which is older, defines otherwise"),
        (
            "shop",
            "is taken: middleware auth is that of service old, and service new, which is newer, defines it otherwise",
        ),
    ]


def test_equal_middlewares():
    """Equal ones are one."""
    model = model_of(old=AUTH | app("old", middlewares="auth"), new=AUTH | app("new", middlewares="auth"))
    assert {backend(model, f"{name}.http.{name}").policy.users for name in ("old", "new")} == {"label:old.auth"}
    assert not model.problems


@pytest.mark.parametrize(
    ("edge", "message", "remedy"),
    [
        (
            {"enable": "false"} | AUTH,
            "which service edge defines, which takes no part: label traefik.enable says no",
            "",
        ),
        ({"http.middlewares.auht.basicauth.users": f"bob:{HASH}"}, "which nothing defines", "did you mean auht, which"),
        (AUTH | {"http.broken": "x"}, "which takes no part: one of its labels names no option", "have it take part"),
        ({}, "which nothing defines", "define it among the labels of this service, or of another one that takes part"),
    ],
    ids=["disabled", "misspelt", "broken", "nowhere"],
)
def test_undefined(edge, message, remedy):
    """A name that nobody who takes part defines closes the router; the message says who might have."""
    model = model_of(edge=edge, shop=app("shop", middlewares="auth"))
    assert closed(model)["shop.http.shop"] == 403
    (problem,) = (problem for problem in model.problems if problem.service == "shop")
    assert problem.label == "traefik.http.routers.shop.middlewares"
    assert problem.message == f"names middleware auth, {message}" or message in problem.message
    assert remedy in problem.remedy


def test_broken_definition():
    """What cannot be honoured of another service's middleware closes the router; both are told, no value is shown."""
    model = model_of(edge={"http.middlewares.auth.basicauth.users": "bob:plain"}, shop=app("shop", middlewares="auth"))
    assert closed(model) == {"shop.http.shop": 403}
    assert sorted(problem.service for problem in model.problems) == ["edge", "shop"]
    (at_shop,) = (problem for problem in model.problems if problem.service == "shop")
    assert at_shop.message.startswith("names middleware auth of service edge, which cannot be honoured: traefik.http.")
    assert "plain" not in str(model.problems)


def test_unused_definitions():
    """A definition that a router of any service uses is no superfluous one."""
    unused = "belongs to middleware https, which no router uses"
    assert told(model_of(edge=HTTPS, shop=app("shop"))) == [("edge", unused)]
    assert not told(model_of(edge=HTTPS, shop=app("shop", middlewares="https@swarm")))


def test_definitions_without_a_router():
    """A service that only defines, with the port without which Traefik takes nothing of it, asks for no route."""
    edge = HTTPS | {f"http.services.dummy.{PORT}": "9999"}
    model = model_of(edge=edge, shop=app("shop", middlewares="https"))
    assert [route.service for route in model.routes] == ["shop"]
    assert not model.problems
    assert not model.closed


def test_service_of_another_service():
    """A router can lead to a service that another Swarm service defines: to its tasks, at its port."""
    back = {f"http.services.api.{PORT}": "8080", "swarm.network": "edge"}
    model = model_of(back=back, front=app("front", service="api"))
    assert servers(model, "front.http.front") == ["back.1"]
    assert [server.port for server in backend(model, "front.http.front").servers] == [8080]


def test_service_that_traefik_makes():
    """A Swarm service without one has one in its own name."""
    model = model_of(stack_api={"http.routers.api.rule": "Host(`api.org`)"}, front=app("front", service="stack-api"))
    assert closed(model)["front.http.front"] == 503  # nothing says at which port
    assert "leads to service stack_api: nothing says which port" in dict(told(model))["front"]


def test_merged_services():
    """Equal services are one with the servers of both; a router that two define alike is one."""
    one = {"http.routers.r.rule": "Host(`a.org`)", f"http.services.s.{PORT}": "80"}
    by_name = {"http.routers.other.rule": "Host(`other.org`)", "http.routers.other.service": "s"}
    model = model_of(blue=one, green=one | {f"http.services.s.{PORT}": "81"}, other=by_name)
    assert [route.name for route in model.routes] == ["blue.http.r", "other.http.other"]
    for name in ("blue.http.r", "other.http.other"):
        assert servers(model, name) == ["blue.1", "green.1"]
        assert [(server.port, server.weight) for server in backend(model, name).servers] == [(80, 100), (81, 100)]
    assert backend(model, "blue.http.r").members == ("blue", "green")
    assert not model.problems


def test_merged_with_a_service_that_misses_a_guard():
    """What a service keeps closed does not come by the route of another one that defines the same service."""
    one = {"http.routers.r.rule": "Host(`a.org`)", f"http.services.s.{PORT}": "80"}
    admin = {"http.routers.r.rule": "Host(`b.org`) && PathPrefix(`/admin`)", "http.routers.r.middlewares": "auth"}
    by_name = {"http.routers.other.rule": "Host(`other.org`)", "http.routers.other.service": "s"}
    snapshot = site(blue=one, green=one | admin, other=by_name, third=by_name | {"http.routers.other.service": "green"})
    builder = Builder(RULES)
    model = builder.build(snapshot)
    assert [servers(model, name) for name in ("blue.http.r", "other.http.other")] == [["blue.1"], ["blue.1"]]
    assert "green, which has a guard that cannot be kept up" in dict(told(model))["blue"]
    mended = relabelled(snapshot, "green", **AUTH)
    for facts in (mended, snapshot, mended):
        model = builder.build(facts)
        assert model == build(facts, RULES)
        assert builder.build(facts) == model
        wanted = ["blue.1", "green.1"] if facts is mended else ["blue.1"]
        assert servers(model, "blue.http.r") == wanted
    assert builder.parsed == 4 + 3  # and green, each time


def test_unlike_services_and_routers():
    """Of unequal services each Swarm service has its own; routers of one name that differ are both served."""
    mine = {"http.routers.r.rule": "Host(`a.org`)", f"http.services.s.{PORT}": "80"}
    model = model_of(
        old=mine,
        new=mine | {"http.routers.r.rule": "Host(`b.org`)", "http.services.s.loadbalancer.passhostheader": "false"},
        other=app("other", service="s"),
    )
    assert servers(model, "old.http.r") == ["old.1"]
    assert servers(model, "new.http.r") == ["new.1"]
    assert servers(model, "other.http.other") == ["old.1"]


def test_pages_of_another_service():
    """An errors middleware may ask a service of another Swarm service, and be defined by a third one."""
    pages = {
        "http.middlewares.pages.errors.status": "500-599",
        "http.middlewares.pages.errors.service": "texts",
        "http.middlewares.pages.errors.query": "/{status}.html",
    }
    model = model_of(edge=pages, texts={f"http.services.texts.{PORT}": "8080"}, shop=app("shop", middlewares="pages"))
    (page,) = backend(model, "shop.http.shop").page_services
    assert (page.url.host, page.url.port) == ("texts", 8080)
    assert servers(model, page.backend) == ["texts.1"]
    assert not model.problems


def test_claims():
    """Another service's tasks need an entry for both; its middlewares need none, but for keys that are denied."""
    teams = (Claim("name==edge"), Claim("name!=edge", deny_keys=("basic-auth",)))
    facts = site(
        edge=AUTH | HTTPS | {f"http.services.api.{PORT}": "80"},
        shop=app("shop", service="api"),
        blog=app("blog", middlewares="https"),
        wiki=app("wiki", middlewares="auth"),
    )
    model = build(facts, rules(claims=teams))
    assert [route.name for route in model.routes] == ["blog.http.blog"]
    assert "no entry for both this service and edge" in dict(told(model))["shop"]
    assert "denies key basic-auth" in dict(told(model))["wiki"]
    assert len(build(facts, RULES).routes) == 3


def test_incremental():
    """A service is parsed again if its own labels change, or a definition that it uses; a task's change parses none."""
    snapshot = site(
        edge=HTTPS | AUTH,
        **{name: app(name, middlewares="auth") for name in ("a", "b")},
        c=app("c"),
        d=app("d", service="a"),
    )
    builder = Builder(RULES)
    before = builder.build(snapshot)
    assert builder.parsed == 5
    tasks = {**snapshot.tasks, "a-1-id": replace(snapshot.tasks["a-1-id"], addresses={"edge-id": "10.9.9.9"})}
    moved = replace(snapshot, tasks=tasks)
    after = builder.build(moved)
    assert builder.parsed == 5
    assert [server.address for server in backend(after, "d.http.d").servers] == ["10.9.9.9"]
    assert after == build(moved, RULES)
    kept = [new.name for old, new in zip(before.backends, after.backends, strict=True) if old is new]
    assert kept == ["b.http.b", "c.http.c"]
    changed = relabelled(moved, "edge", **{"http.middlewares.auth.basicauth.users": f"ann:{HASH}"})
    after = builder.build(changed)
    assert builder.parsed == 8  # edge, a and b
    assert after == build(changed, RULES)
    again = relabelled(changed, "edge", **{"http.middlewares.https.redirectscheme.permanent": "true"})
    builder.build(again)
    assert builder.parsed == 9  # nobody uses that one
    gone = replace(again, services={key: each for key, each in again.services.items() if key != "edge-id"})
    model = builder.build(gone)
    assert model == build(gone, RULES)
    assert closed(model) == {"a.http.a": 403, "b.http.b": 403}
