"""`lbgen.labels.dialects`: several vocabularies on one service, and how they reach the model."""

from __future__ import annotations

import textwrap

import pytest
import yaml

from lbgen.labels import native
from lbgen.labels.context import LabelContext
from lbgen.labels.dialects import parse
from lbgen.labels.match import Test
from lbgen.labels.traefik.dialect import TRAEFIK
from lbgen.model import build
from lbgen.settings import Settings
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, a_snapshot, a_task
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
    assert parse("shop", both, LabelContext()) == native.parse("shop", both)
    assert parse("shop", both, LabelContext(("traefik",))) == TRAEFIK.parse("shop", both, LabelContext())
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
