"""`lbgen.model.build`: from a snapshot to the whole model; each service alone, all of them in one order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.match import Test
from lbgen.model import Builder, HealthCheck, Model, build
from lbgen.snapshot import Snapshot, moment
from tests.support.builders import (
    a_listener,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_task,
    ingress,
    modelled,
)
from tests.support.busy_cluster import API, BROKEN, FACTS, RENDERER, RULES, WEB, a_busy_cluster, fingerprint
from tests.support.paths import ROOT


def backend(model: Model, name: str):
    """The backend of this name."""
    return next(backend for backend in model.backends if backend.name == name)


def problems(model: Model) -> list[tuple[str, str, str]]:
    """Service, label and message of every problem."""
    return [(problem.service, problem.label, problem.message) for problem in model.problems]


def test_model():
    """Services become routes, backends and servers with stable names, sorted, and listeners that lead to them."""
    model = modelled(*FACTS, rules=RULES)
    assert model.problems == ()
    assert [route.name for route in model.routes] == ["api", "db.tcp.pg", "web"]
    assert [item.name for item in model.backends] == ["api", "db.tcp.pg", "web"]
    assert [server.name for server in model.servers] == [
        "api.1",
        "api.2",
        "api.10",
        "db.1",
        "web.node1",
        "web.node2",
    ]
    web, pg = (next(found for found in model.listeners if found.name == name) for name in ("web", "pg"))
    assert [(cell.host, cell.path, cell.backend) for cell in web.cells] == [
        ("web.org", "/", "web"),
        ("web.org", "/api", "api"),
    ]
    assert (pg.names, pg.default) == ((("db.org", "db.tcp.pg"),), "")


def test_route():
    """A route says which requests of which listeners go to which backend, and how old its service is."""
    (route,) = modelled(a_service("web", {"host": "b.org,a.org", "priority": 7}, ports=(ingress(),)), a_node()).routes
    assert route.alternatives == ((Test("host", "a.org"),), (Test("host", "b.org"),))
    assert (route.service, route.backend, route.listeners, route.priority) == ("web", "web", ("web",), 7)
    assert route.age == (moment("2026-11-22T10:00:00Z"), "web-id")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, {"balance": "round-robin", "weight": 100, "retries": 2, "max_conn": None, "backup": False}),
        ({}, {"timeout_connect": 1.0, "timeout_response": 60.0, "timeout_idle": 60.0}),
        ({"balance": "source", "weight": 0, "retries": 0}, {"balance": "source", "weight": 0, "retries": 0}),
        ({"max-conn": 10, "backup": "true"}, {"max_conn": 10, "backup": True}),
        ({"timeout.connect": "2s", "timeout.idle": "1h"}, {"timeout_connect": 2.0, "timeout_idle": 3600.0}),
        ({}, {"health_check": HealthCheck("tcp", 2.0, 1.0, 2, 2)}),
        ({"health-check": "off"}, {"health_check": None}),
        ({"health-check": "off", "health-check.path": "/"}, {"health_check": None}),
        ({"health-check.path": "/health"}, {"health_check": HealthCheck("http", 2.0, 1.0, 2, 2, "/health")}),
        ({"health-check": "http"}, {"health_check": HealthCheck("http", 2.0, 1.0, 2, 2, "/")}),
        (
            {"health-check": "tcp", "health-check.path": "/x"},
            {"health_check": HealthCheck("tcp", 2.0, 1.0, 2, 2, "/x")},
        ),
        (
            {
                "health-check.path": "/h",
                "health-check.interval": "5s",
                "health-check.timeout": "3s",
                "health-check.rise": 3,
                "health-check.fall": 4,
                "health-check.status": "200,204",
                "health-check.method": "HEAD",
                "health-check.host": "a.org",
                "health-check.port": 80,
                "health-check.scheme": "https",
            },
            {
                "health_check": HealthCheck(
                    "http", 5.0, 3.0, 3, 4, "/h", "HEAD", "a.org", ((200, 200), (204, 204)), "https", 80, "a.org"
                )
            },
        ),
    ],
)
def test_backend(keys, expected):
    """What the labels say about a backend, or the defaults."""
    (found,) = modelled(a_service("web", keys, ports=(ingress(),)), a_node(), a_task()).backends
    assert {name: getattr(found, name) for name in expected} == expected


def test_named_routes():
    """Each named route has its own backend, named after service, protocol and route; the short keys have none."""
    service = a_service(
        "shop",
        {"http.web.host": "a.org", "http.api.path": "/api", "http.api.port": 9000, "tcp.api.port": 9001},
        ports=(ingress(8080, 80), ingress(9000, 90), ingress(9001, 91)),
    )
    model = modelled(service, a_node(), a_task("shop"), rules=RULES)
    assert [(item.name, item.route, item.protocol) for item in model.backends if item.service] == [
        ("shop.http.api", "api", "http"),
        ("shop.tcp.api", "api", "tcp"),
    ]
    assert problems(model) == [
        ("shop", "lbgen.port", "several ports are published in ingress mode (80->8080, 90->9000, 91->9001)")
    ]


def test_scaled_to_zero():
    """A service without tasks keeps its route and has a backend without servers: 503, not 404."""
    model = modelled(*[fact for fact in FACTS if not fact.id.startswith("api-")], API, rules=RULES)
    assert backend(model, "api").servers == ()
    assert ("web.org", "/api", "api") in {(cell.host, cell.path, cell.backend) for cell in model.listeners[0].cells}
    assert model.problems == ()


def test_not_enabled():
    """A service that takes no part leaves no trace; with expose_by_default it needs no label."""
    silent = a_service("web", labels={"lbgen.host": "a.org", "lbgen.prot": "1"}, ports=(ingress(),))
    assert modelled(silent, a_node()).backends == ()
    assert modelled(silent, a_node()).problems == ()
    plain = a_service("web", labels={}, ports=(ingress(),))
    assert [item.name for item in modelled(plain, a_node(), rules=a_rules(expose_by_default=True)).backends] == ["web"]


def test_retired():
    """Tasks and nodes whose time to drain is over are left out."""
    facts = [a_node("node1"), a_node("node2", availability="drain"), WEB, a_task("web", 1)]
    assert [server.state for server in modelled(*facts).servers] == ["up", "drain"]
    assert [server.node for server in modelled(*facts, drained=frozenset({"node2-id"})).servers] == ["node1"]


# ------------------------------------------------------------------------------------------------ listeners


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, ("web", "admin")),
        ({"listener": "admin"}, ("admin",)),
        ({"listener": "extra,web"}, ("extra", "web")),
        ({"tcp.db.port": 5432}, ("pg",)),
    ],
)
def test_listeners(keys, expected):
    """A route is carried by the listeners it names, else by the default ones of its protocol."""
    known = [a_listener(), a_listener("admin", 81), a_listener("extra", 82), a_listener("pg", 5432, "tcp")]
    rules = a_rules(*known, default_listeners=("web", "admin", "pg"))
    (route,) = modelled(a_service("web", {"port": 80, **keys}, networks=("edge-id",)), a_network(), rules=rules).routes
    assert route.listeners == expected


@pytest.mark.parametrize(
    ("keys", "defaults", "label", "message"),
    [
        ({"listener": "nope"}, ("web",), "lbgen.listener", "there is no listener nope"),
        ({"http.a.listener": "nope"}, ("web",), "lbgen.http.a.listener", "there is no listener nope"),
        ({"listener": "pg"}, ("web",), "lbgen.listener", "listener pg carries tcp, not http"),
        ({}, (), "lbgen.listener", "no default listener carries http"),
        ({"tcp.db.port": "1"}, ("web",), "lbgen.listener", "no default listener carries tcp"),
    ],
)
def test_bad_listener(keys, defaults, label, message):
    """An unknown or unfitting listener, or none at all, is a problem that names the ones there are."""
    rules = a_rules(a_listener(), a_listener("pg", 5432, "tcp"), default_listeners=defaults)
    model = modelled(a_service("web", {"port": 80, **keys}, networks=("edge-id",)), a_network(), rules=rules)
    assert problems(model) == [("web", label, message)]
    assert model.routes == model.servers == ()
    assert any(name in model.problems[0].remedy for name in ("web", "pg"))


# ------------------------------------------------------------------------------------------------ isolation


@pytest.mark.parametrize(
    "bad", BROKEN, ids=lambda service: re.sub(r"[^\w.-]+", "_", f"{service.name[:9]} {dict(service.labels)}")[:60]
)
def test_isolation(bad):
    """A service with a problem changes no other service's part of the model, and its problem names it."""
    alone = modelled(*FACTS, rules=RULES)
    beside = modelled(*FACTS, bad, rules=RULES)
    assert beside.problems
    assert {problem.service for problem in beside.problems} <= {bad.name, repr(bad.name)[1:-1]}
    assert all(str(problem).isprintable() for problem in beside.problems)
    mine = {route.name for route in beside.routes} - {route.name for route in alone.routes} | {"closed.503"}
    assert [item for item in beside.backends if item.name not in mine] == list(alone.backends)
    assert [item for item in beside.routes if item.name not in mine] == list(alone.routes)
    for before, after in zip(alone.listeners, beside.listeners, strict=True):
        assert [cell for cell in after.cells if cell.backend not in mine] == list(before.cells)
        assert [rule for rule in after.rules if rule.backend not in mine] == list(before.rules)
        assert (after.names, after.default) == (before.names, before.default)
        assert all(mine.issuperset(screen.backends) for screen in after.screens)


def test_backend_names_are_unique():
    """No two backends ever have one name: a proxy would refuse the whole file."""
    twins = [a_service("web", {"host": f"{id_}.org"}, id=id_, ports=(ingress(),)) for id_ in ("b", "a")]
    model = modelled(*twins, a_node())
    assert [
        (item.name, route.alternatives[0][0].value) for item, route in zip(model.backends, model.routes, strict=True)
    ] == [("web", "a.org")]
    assert "name" in model.problems[0].message


@pytest.mark.parametrize("name", ["web", "Web-1", "a", "1", "my_stack_web", "a" * 63])
def test_service_names(name):
    """Whatever Swarm takes as a service's name is routed."""
    assert [item.name for item in modelled(a_service(name, ports=(ingress(),)), a_node()).backends] == [name]


def test_node_problem():
    """A node without an address is one problem, however many services it is a server of, and names no service."""
    facts = [
        a_node("node1"),
        a_node("node2", address="0.0.0.0"),
        WEB,
        replace(WEB, id="x", name="x", labels={"lbgen.enable": "true"}),
    ]
    model = modelled(*facts, a_task("web"), a_task("x", service_id="x"))
    assert [(problem.service, problem.node) for problem in model.problems] == [("", "node2")]
    assert [server.name for server in model.servers] == ["web.node1", "x.node1"]


# ------------------------------------------------------------------------------------------------ one order


def shuffled(snapshot: Snapshot, random) -> Snapshot:
    """The same facts, listed in another order, labels included."""

    def mixed(items):
        return dict(random.sample(list(items.items()), len(items)))

    return Snapshot(
        nodes=mixed(snapshot.nodes),
        services=mixed({id_: replace(item, labels=mixed(item.labels)) for id_, item in snapshot.services.items()}),
        tasks=mixed({id_: replace(item, addresses=mixed(item.addresses)) for id_, item in snapshot.tasks.items()}),
        networks=mixed(snapshot.networks),
    )


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_order_is_irrelevant(random):
    """However the facts are listed, the model is the same, and so is every byte of every file."""
    facts = a_busy_cluster()
    again = shuffled(facts, random)
    assert build(again, RULES) == build(facts, RULES)
    assert RENDERER.render(build(again, RULES), again) == RENDERER.render(build(facts, RULES), facts)


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_another_process(seed):
    """Another process with another hash seed renders the same bytes."""
    printed = subprocess.run(
        [sys.executable, "-m", "tests.support.busy_cluster"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == fingerprint()


# ------------------------------------------------------------------------------------------------ memory


def step(snapshot: Snapshot, random) -> Snapshot:
    """A snapshot a little later: one or two things have changed, all else is the very same object."""
    kinds = {"nodes": snapshot.nodes, "services": snapshot.services, "tasks": snapshot.tasks}
    for kind in random.sample(list(kinds), random.randint(0, 2)):
        items = dict(kinds[kind])
        id_ = random.choice(list(items))
        match kind:
            case "nodes":
                availability = random.choice(["active", "drain", "pause"])
                items[id_] = replace(items[id_], availability=availability, state=random.choice(["ready", "down"]))
            case "tasks" if random.random() < 0.3:
                del items[id_]
            case "tasks":
                items[id_] = replace(items[id_], desired_state=random.choice(["running", "shutdown"]))
            case "services":
                labels = {**items[id_].labels, "lbgen.host": random.choice(["a.org", "b.org", "!"])}
                items[id_] = replace(items[id_], labels=labels, created_at=f"2026-11-22T10:00:0{random.randint(0, 9)}Z")
        kinds[kind] = items
    return replace(snapshot, **kinds)


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_memory_changes_nothing(random):
    """A builder that has built other models before builds the same one as a new builder."""
    builder, facts, drained = Builder(RULES), a_busy_cluster(), frozenset()
    for _ in range(6):
        assert builder.build(facts, drained) == build(facts, RULES, drained)
        facts = step(facts, random)
        drained = frozenset(random.sample([*facts.tasks, *facts.nodes], 3)) if random.random() < 0.5 else drained


def test_unchanged_is_the_same():
    """What did not change is the same object as in the model before, and is not decided again."""
    builder, facts = Builder(RULES), a_busy_cluster()
    before = builder.build(facts)
    decided, tabled = builder.decided, builder.tabled
    tasks = {**facts.tasks, "web-1-id": replace(facts.tasks["web-1-id"], desired_state="shutdown")}
    after = builder.build(replace(facts, tasks=tasks))
    assert (builder.decided - decided, builder.tabled - tabled) == (1, 0)
    changed = {old.name for old, new in zip(before.backends, after.backends, strict=True) if old is not new}
    assert changed <= {"web"}
    assert all(old is new for old, new in zip(before.listeners, after.listeners, strict=True))


# ------------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456789),
        ("1970-01-01T01:00:01+01:00", 1.0),
        ("1970-01-01T01:00:01.5+01:00", 1.5),
        ("1970-01-01", 0.0),
        ("", 0.0),
        ("yesterday", 0.0),
        ("0001-01-01T00:00:00Z", -62135596800.0),
    ],
)
def test_moment(text, seconds):
    """Times come as Go writes them, nanoseconds and all; what is no time is 0."""
    assert moment(text) == pytest.approx(seconds, abs=1e-6)
