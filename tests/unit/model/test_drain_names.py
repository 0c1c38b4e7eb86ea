"""`model.drain_names`: which nodes and tasks a name of `lbgen drain` means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.model.drain_names import choices, meant, mesh_node, near
from tests.support.builders import a_node, a_service, a_snapshot, a_task

SNAPSHOT = a_snapshot(
    *(a_node("node1"), a_node("node2"), a_node("box", role="host", part="boxes"), a_node("node1b", hostname="node1")),
    *(a_service("web"), a_service("shop_api"), a_service("agent", mode="global"), a_service("db", part="boxes")),
    *(a_task("web", 1), a_task("web", 2, node="node2"), a_task("web", 1, node="node2", id="ab" * 12)),
    *(a_task("shop_api", 1), a_task("agent", 0, node="node2"), a_task("db", 3, node="box")),
    a_task("web", 9, node="gone"),
)


@pytest.mark.parametrize(
    ("name", "kind", "ids"),
    [
        ("node2", "node", {"node2-id"}),
        ("node2-id", "node", {"node2-id"}),
        ("node1", "node", {"node1-id", "node1b-id"}),
        ("box", "host", {"box-id"}),
        ("boxes/box", "host", {"box-id"}),
        ("boxes/node2", "", set()),
        ("web.1", "server", {"web-1-id", "ab" * 12}),
        ("web.1-abababab", "server", {"ab" * 12}),
        (f"web.1-{'ab' * 12}", "server", {"ab" * 12}),
        ("web.2", "server", {"web-2-id"}),
        ("web.9", "", set()),
        ("web", "", set()),
        ("api.1", "", set()),
        ("shop_api.1", "server", {"shop_api-1-id"}),
        ("agent.node2", "server", {"agent-node2-id"}),
        ("db.box.3", "server", {"db-3-id"}),
        ("boxes_db.box.3", "server", {"db-3-id"}),
        ("boxes/db.box.3", "server", {"db-3-id"}),
        ("other/db.box.3", "", set()),
    ],
)
def test_meant(name, kind, ids):
    """A node has its name or id, a server that of service and slot, each with or without its source."""
    found = meant(name, SNAPSHOT)
    assert (found.kind, found.nodes | found.tasks) == (kind, ids)


def test_choices():
    """Of one name in two sources the unmistakable ones are told."""
    snapshot = a_snapshot(
        a_node("a", part="north"), a_node("a2", hostname="a", part="south"), a_node("b", part="south")
    )
    assert choices("a", snapshot) == ["north/a", "south/a"]
    assert choices("b", snapshot) == choices("north/a", snapshot) == choices("x", snapshot) == []


@pytest.mark.parametrize(
    ("name", "first"), [("nod2", "node2"), ("api", "shop_api.1"), ("web", "web.1"), ("boxes/bos", "box"), ("zzzz", "")]
)
def test_near(name, first):
    """What was probably meant."""
    assert (near(name, SNAPSHOT) or [""])[0] == first


@pytest.mark.parametrize(("name", "node"), [("web.node2", "node2"), ("web.1", ""), ("x.node2", ""), ("node2", "")])
def test_mesh_node(name, node):
    """A server of the mesh stands for a node."""
    found = mesh_node(name, SNAPSHOT)
    assert (found.hostname if found else "") == node


def test_one_name_in_two_parts():
    """A service that shares its name with another part's is found by each of its names; the bare one is both."""
    parts = "north", "south"
    shared = [replace(a_service(part), name=f"{part}_web", own="web", part=part) for part in parts]
    nodes = [a_node(f"{part}1", part=part) for part in parts]
    tasks = [a_task(part, 1, node=f"{part}1") for part in parts]
    snapshot = a_snapshot(*nodes, *shared, *tasks)
    for name in ("north_web.1", "north/web.1", "north/north_web.1"):
        assert meant(name, snapshot).tasks == {"north-1-id"}
    assert meant("web.1", snapshot).tasks == {"north-1-id", "south-1-id"}
    assert choices("web.1", snapshot) == ["north/web.1", "south/web.1"]
