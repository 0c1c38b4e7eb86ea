"""`lbgen.source.merge`: several parts as one snapshot, and none in the place of another."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lbgen.base.errors import SourceError
from lbgen.snapshot import Service, Snapshot
from lbgen.source.file import load, parse, write_snapshot
from lbgen.source.merge import Placed, Whole, display_names, joined, split
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task


def a_part(*names: str, cluster: str = "", tag: str = "") -> Snapshot:
    """A part with these services, a task of each, a node and a network; a tag tells its ids from those of others."""
    facts = []
    for name in names:
        facts.append(a_service(name, {"port": 80}, id=f"{tag}{name}-id", networks=(f"{tag}edge-id",)))
        facts.append(
            a_task(
                name,
                id=f"{tag}{name}-1-id",
                service_id=f"{tag}{name}-id",
                node_id=f"{tag}node1-id",
                addresses={f"{tag}edge-id": "10.0.0.1"},
            )
        )
    around = a_node(id=f"{tag}node1-id"), a_network(id=f"{tag}edge-id")
    return replace(a_snapshot(*around, *facts), cluster=cluster)


def test_joined():
    """Facts have their part; ids of an engine are its own, others begin with the part's name wherever they stand."""
    whole = joined({"prod": a_part("web"), "boxes": a_part("api")}, {"boxes": "boxes/"})
    assert {name: part.name for name, part in whole.parts.items()} == {"prod": "prod", "boxes": "boxes"}
    assert list(whole.services) == ["boxes/api-id", "web-id"]
    assert {service.name: service.part for service in whole.services.values()} == {"api": "boxes", "web": "prod"}
    task = whole.tasks["boxes/api-1-id"]
    assert (task.service_id, task.node_id, dict(task.addresses)) == (
        "boxes/api-id",
        "boxes/node1-id",
        {"boxes/edge-id": "10.0.0.1"},
    )
    assert whole.services["boxes/api-id"].networks == ("boxes/edge-id",)
    assert {node.part for node in whole.nodes.values()} == {net.part for net in whole.networks.values()}


def test_same_name():
    """Services of one name are called by their parts; their own name stays what labels and claims mean."""
    whole = joined({"a": a_part("web", "api", tag="a"), "b": a_part("web", tag="b")})
    assert {service.name: service.own_name for service in whole.services.values()} == {
        "a_web": "web",
        "b_web": "web",
        "api": "api",
    }


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ([("a", "web"), ("b", "api")], {}),
        ([("a", "web"), ("b", "web")], {("a", "web"): "a_web", ("b", "web"): "b_web"}),
        # A stack of the part's name: its service is called by its part as well.
        (
            [("a", "web"), ("a", "a_web"), ("b", "web")],
            {("a", "web"): "a_web", ("a", "a_web"): "a_a_web", ("b", "web"): "b_web"},
        ),
        # A hub's own services, and an agent's of the same name.
        ([("", "web"), ("a", "web")], {("a", "web"): "a_web"}),
        ([("", "web"), ("", "a_web"), ("a", "web")], {("a", "web"): "a_web", ("", "a_web"): "_a_web"}),
        # A hostile part that takes the name that another one's service would have.
        (
            [("a", "web"), ("b", "web"), ("b", "a_web")],
            {("a", "web"): "a_web", ("b", "web"): "b_web", ("b", "a_web"): "b_a_web"},
        ),
    ],
)
def test_display_names(services, expected):
    """Names are distinct, whatever parts choose."""
    facts = [Service(f"{part}{name}", name, part=part) for part, name in services]
    assert display_names(facts) == expected


def test_an_id_of_another_part():
    """A part cannot put its object in the place of another one's."""
    with pytest.raises(SourceError, match="part b: has the network 'edge-id', which part a has"):
        joined({"a": a_part("web"), "b": a_part("web")})


def test_one_cluster_twice():
    """A cluster is not followed twice: each server would be there twice."""
    with pytest.raises(SourceError, match="part b: follows the same cluster as part a"):
        joined({"a": a_part("web", cluster="c"), "b": a_part("api", cluster="c", tag="b")})


def test_identity():
    """What did not change is the same object, whichever part changed; a new name makes a new service alone."""
    whole, parts = Whole(), {"a": Placed("a"), "b": Placed("b", "b/")}
    facts = {"a": a_part("web", tag="a"), "b": a_part("api", tag="b")}

    def merged() -> Snapshot:
        for name, part in parts.items():
            part.accept(facts[name], part.placed(facts[name]))
        return whole.of(parts)

    before = merged()
    task = replace(facts["b"].tasks["bapi-1-id"], state="failed")
    facts["b"] = replace(facts["b"], tasks={task.id: task})
    after = merged()
    assert after.services is before.services
    assert after.nodes is before.nodes
    assert after.networks is before.networks
    assert after.parts is before.parts
    assert after.tasks["aweb-1-id"] is before.tasks["aweb-1-id"]
    assert after.tasks["b/bapi-1-id"].state == "failed"
    more = a_service("web", id="bweb-id")
    facts["b"] = replace(facts["b"], services={**facts["b"].services, more.id: more})
    third = merged()
    assert third.services["b/bapi-id"] is after.services["b/bapi-id"]
    assert third.services["aweb-id"].name == "a_web"
    assert third.tasks is after.tasks


@pytest.mark.parametrize("name", ["a", ""])
def test_round_trip(tmp_path, name):
    """A snapshot of several parts is version 2 on disk, and the same when it is read, be one without a name."""
    whole = joined({name: a_part("web", cluster="c"), "b": a_part("web")}, {"b": "b/"})
    path = tmp_path / "both.json"
    document = json.loads(write_snapshot(whole, path))
    assert (document["version"], list(document["parts"])) == (2, [name, "b"])
    assert {part["version"] for part in document["parts"].values()} == {1}
    assert load(path) == whole
    assert joined(split(whole)) == whole


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"version": 2}, "x: parts: expected an object with a document for each name"),
        ({"version": 2, "parts": {"A": {"version": 1}}}, "x: parts: 'A' is not a name"),
        ({"version": 2, "parts": {"": {}}}, r"x: parts\.\(no name\): expected a snapshot of version 1"),
        ({"version": 2, "parts": {"a": {}}}, "x: parts.a: expected a snapshot of version 1"),
        ({"version": 2, "parts": {"a": {"version": 2}}}, "x: parts.a: expected a snapshot of version 1"),
        ({"version": 2, "parts": {"a": {"version": 1, "nodes": [5]}}}, r"x: parts.a.nodes\[0\]: expected an object"),
        ({"version": 2, "parts": {"a": {"version": 1}}, "nodes": []}, "x: nodes: not a part of a snapshot of version"),
        ({"version": 3, "nodes": []}, "x: version: 1 and 2 are the versions that this lbgen reads, found 3"),
    ],
)
def test_wrong_documents(document, complaint):
    """What is wrong with a document is said with its place."""
    with pytest.raises(SourceError, match=complaint):
        parse(json.dumps(document), "x")
