"""`lbgen.labels.dialects`: several vocabularies on one service, and how they reach the model."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest
import yaml

from lbgen.labels import native
from lbgen.labels.context import LabelContext, Ways
from lbgen.labels.dialects import TRAEFIK, directed, parse
from lbgen.labels.match import Test
from lbgen.model import build
from lbgen.settings import Settings, load_settings
from lbgen.snapshot import PublishedPort
from lbgen.source.file import load
from tests.support.builders import (
    a_listener,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_snapshot,
    a_task,
    host_port,
    ingress,
)
from tests.support.paths import ROOT

OF_TRAEFIK = {
    "traefik.enable": "true",
    "traefik.http.routers.api.rule": "Host(`traefik.org`)",
    "traefik.http.services.api.loadbalancer.server.port": "80",
}
OWN = {"lbgen.enable": "true", "lbgen.http.api.host": "lbgen.org", "lbgen.http.api.port": "81"}
BOTH = ("lbgen", "traefik")


def named(labels, *names, expose=False):
    """Whether the service takes part, and its routes with their ports."""
    found = parse("shop", labels, LabelContext(names, expose_by_default=expose))
    return found.enabled, {route.name: route.keys.port for route in found.routes}


def test_one_dialect_reads_its_own_labels_only():
    """What is not in the list is not read."""
    both = OWN | OF_TRAEFIK
    assert parse("shop", both, LabelContext()) == directed(native.parse("shop", both), "auto")
    of_traefik = directed(TRAEFIK.parse("shop", both, LabelContext()), "task")
    assert parse("shop", both, LabelContext(("traefik",))) == of_traefik
    assert named(OF_TRAEFIK, "lbgen") == (False, {})


def test_joined():
    """Routes of all dialects count, and each keeps a name of its own."""
    assert named(OWN | OF_TRAEFIK, *BOTH) == (True, {"api": 81, "api-traefik": 80})
    assert named(OWN | OF_TRAEFIK, *reversed(BOTH)) == (True, {"api": 80, "api-lbgen": 81})
    taken = OWN | OF_TRAEFIK | {"lbgen.http.api-traefik.port": "82"}
    assert named(taken, *BOTH) == (True, {"api": 81, "api-traefik": 82, "api-traefik2": 80})


def test_names_do_not_depend_on_mistakes():
    """A route that cannot be honoured keeps its name from those of other dialects."""
    found = parse("shop", OWN | OF_TRAEFIK | {"lbgen.http.api.hots": "x"}, LabelContext(BOTH))
    assert [route.name for route in found.routes] == ["api-traefik"]
    assert [route.name for route in found.closed] == ["api"]


def test_enabled_by_one():
    """One dialect is enough to take part; what another says of itself counts for its own routes only."""
    assert named(OWN | OF_TRAEFIK | {"lbgen.enable": "false"}, *BOTH) == (True, {"api": 80})
    assert named(OWN | OF_TRAEFIK | {"traefik.enable": "false"}, *BOTH) == (True, {"api": 81})


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, (True, {"": None})),
        ({"lbgen.port": "80"}, (True, {"": 80})),
        ({key: value for key, value in OF_TRAEFIK.items() if "enable" not in key}, (True, {"api": 80})),
        ({"traefik.enable": "false"}, (False, {})),
    ],
)
def test_expose_by_default(labels, expected):
    """A service that says nothing is routed once; one that speaks a single dialect is by that one."""
    assert named(labels, *BOTH, expose=True) == expected


def test_model():
    """Traefik's routers become routes of the model, and what is missing is blamed on Traefik's label."""
    rules = a_rules(a_listener(), a_listener("websecure", 443, tls=True), dialects=("traefik",))
    task = a_task("shop", addresses={"edge-id": "10.0.1.1"})
    shop = a_service("shop", labels=OF_TRAEFIK, networks=("edge-id",))
    model = build(a_snapshot(a_node(), a_network(), shop, task), rules)
    assert model.problems == ()
    assert [(route.name, route.priority) for route in model.routes] == [("shop.http.api", 19)]
    (backend,) = model.backends
    assert [(server.address, server.port) for server in backend.servers] == [("10.0.1.1", 80)]
    assert (backend.health_check, backend.timeout_response) == (None, 86400.0)
    for facts, label in [
        ((a_network(), a_network("other")), "traefik.swarm.network"),
        ((a_network(),), "traefik.http.services.<name>.loadbalancer.server.port"),
    ]:
        labels = {key: value for key, value in OF_TRAEFIK.items() if len(facts) > 1 or "port" not in key}
        shop = a_service("shop", labels=labels, networks=tuple(network.id for network in facts))
        assert [problem.label for problem in build(a_snapshot(*facts, shop, task), rules).problems] == [label]


OF_DOCKERFLOW = {"com.df.notify": "true", "com.df.serviceDomain": "df.org", "com.df.port": "82"}
OF_DOCKERFLOW |= {"com.df.serviceDomainAlgo": "hdr(host)"}


@pytest.mark.parametrize("way", ["auto", "mesh", "host", "vip", "task"])
def test_ways(way):
    """Each dialect has its own way, which its setting says, unless a label does."""
    names = (*BOTH, "dockerflow")
    ways = Ways(lbgen="host", traefik=way, dockerflow="vip")
    labels = OWN | {"lbgen.http.own.via": "mesh", "lbgen.http.own.host": "own.org"} | OF_TRAEFIK | OF_DOCKERFLOW
    found = parse("shop", labels, LabelContext(names, ways=ways))
    assert {route.name: route.keys.via for route in found.routes} == {
        "api": "host",
        "own": "mesh",
        "api-traefik": way,
        "": "vip",
    }
    for said, meant in (("true", "vip"), ("false", "task")):
        context = LabelContext(("traefik",), ways=ways)
        (route,) = parse("shop", OF_TRAEFIK | {"traefik.swarm.lbswarm": said}, context).routes
        assert route.keys.via == meant


@pytest.mark.parametrize(
    ("way", "ports", "servers"),
    [
        ("auto", (ingress(80, 8080),), ["192.168.1.1:8080"]),
        ("mesh", (ingress(80, 8080), ingress(81, 8081)), ["192.168.1.1:8080"]),
        ("auto", (host_port(80, 8080),), ["192.168.1.1:8080"]),
        ("host", (host_port(80, 8080), ingress(80, 8081)), ["192.168.1.1:8080"]),
        ("auto", (ingress(81, 8081),), ["10.0.1.1:80"]),
        ("auto", (), ["10.0.1.1:80"]),
        ("task", (ingress(80, 8080),), ["10.0.1.1:80"]),
    ],
)
@pytest.mark.parametrize("dialect", ["traefik", "dockerflow"])
def test_published_targets(dialect, way, ports, servers):
    """The port label of a dialect is the container's port: via mesh or host it is the target of a published one."""
    labels = OF_TRAEFIK if dialect == "traefik" else OF_DOCKERFLOW | {"com.df.port": "80"}
    rules = a_rules(dialects=(dialect,), ways=Ways(**{dialect: way}))
    shop = a_service("shop", labels=labels, networks=("edge-id",), ports=ports)
    bound = tuple(PublishedPort(80, port.published, mode="host") for port in ports if port.mode == "host")
    task = a_task("shop", addresses={"edge-id": "10.0.1.1"}, ports=bound)
    model = build(a_snapshot(a_node(), a_network(), shop, task), rules)
    assert model.problems == ()
    assert [f"{server.address}:{server.port}" for server in model.servers] == servers


@pytest.mark.parametrize(
    ("way", "ports", "label", "message"),
    [
        ("mesh", (ingress(81, 8081),), "lbgen.via", "port 80 is not published in ingress mode"),
        ("mesh", (ingress(81, 80),), "traefik.http.services.api.loadbalancer.server.port", "port 80 is the published"),
        ("auto", (ingress(81, 80),), "traefik.http.services.api.loadbalancer.server.port", "port 80 is the published"),
        ("auto", (ingress(80, 8080), ingress(80, 8081)), "lbgen.published-port", "port 80 is published several times"),
        ("task", (ingress(80, 8080),), "traefik.swarm.network", "on no network that its tasks could be reached on"),
    ],
)
def test_published_otherwise(way, ports, label, message):
    """What cannot be reached as the setting says is a problem at the label that would settle it, and no server."""
    rules = a_rules(dialects=("traefik",), ways=Ways(traefik=way))
    model = build(a_snapshot(a_node(), a_service("shop", labels=OF_TRAEFIK, ports=ports), a_task("shop")), rules)
    (problem,) = model.problems
    assert (problem.label, model.servers) == (label, ())
    assert problem.message.startswith(message) or message in problem.message
    assert "publishes no" not in problem.message


def test_example_of_an_external_load_balancer():
    """examples/traefik-labels: Traefik's labels as they are, and servers that a machine outside the Swarm reaches."""
    example = ROOT / "examples/traefik-labels"
    settings = load_settings(example / "lbgen.yml", {}, {})
    snapshot = load(example / "stack.yml")
    model = build(snapshot, settings.rules())
    assert model.problems == ()
    assert [(route.name, backend.via) for route, backend in zip(model.routes, model.backends, strict=True)] == [
        ("traefik-labels_api.http.api", "host"),
        ("traefik-labels_app.http.app", "mesh"),
    ]
    nodes = {node.address for node in snapshot.nodes.values()}
    assert {server.address for server in model.servers} <= nodes
    assert all(backend.servers for backend in model.backends)
    unpublished = {id_: replace(service, ports=()) for id_, service in snapshot.services.items()}
    model = build(replace(snapshot, services=unpublished), settings.rules())
    assert (len(model.problems), model.servers) == (2, ())


def test_settings_of_the_guide():
    """The settings that docs/migration.md recommends are good ones, and read a service as Traefik does."""
    text = (ROOT / "docs" / "migration.md").read_text()
    block = text.partition("## What to set\n\n")[2].partition("\n\n")[0]
    rules = Settings.model_validate(yaml.safe_load(textwrap.dedent(block))).rules()
    labels = {"traefik.constraint-label": "traefik-public", "traefik.http.services.a.loadbalancer.server.port": "80"}
    found = parse("shop", labels, rules.label_context())
    assert [(route.match, route.keys.port) for route in found.routes] == [(Test("host", "shop"), 80)]
    assert found.problems == ()
    assert not parse("shop", {}, rules.label_context()).enabled
