"""The model of what an operator drains: drained like what Swarm drains, but for what Swarm itself balances."""

from __future__ import annotations

import pytest

from lbgen.model.servers import draining, server_state, state_and_reason
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task, host_port, ingress, modelled

EDGE = a_network("edge")


def servers(model) -> dict[str, tuple[str, bool]]:
    """State and whether it leaves, by name, of the only backend."""
    (backend,) = model.backends
    return {server.name: (server.state, server.leaving) for server in backend.servers}


@pytest.mark.parametrize(
    ("task", "node", "expected"),
    [
        ({"drain_asked": True}, {}, ("drain", "an operator drains it")),
        ({}, {"drain_asked": True}, ("drain", "an operator drains its node")),
        ({"desired_state": "shutdown", "drain_asked": True}, {}, ("drain", "Swarm wants it gone")),
        ({}, {"availability": "drain", "drain_asked": True}, ("drain", "its node is drained")),
        ({"state": "failed", "drain_asked": True}, {}, ("", "it does not run")),
        ({}, {"drain_asked": True, "state": "unreachable"}, ("drain", "an operator drains its node")),
    ],
)
def test_state(task, node, expected):
    """Swarm is named before an operator; after its time it is over, and Swarm's own balancing knows nothing of it."""
    found, host = a_task(**task), a_node(**node)
    assert state_and_reason(found, host) == expected
    if expected[0]:
        assert server_state(found, host, {found.id}) == "over"
    if "operator" in expected[1]:
        assert state_and_reason(found, host, by_swarm=True) == ("up", "")


def test_draining():
    """Nodes and tasks of an operator's are among those whose time runs."""
    node = a_node("node2", drain_asked=True)
    tasks = a_task("web", 1, drain_asked=True), a_task("web", 2, node="node2"), a_task("web", 3)
    assert draining(a_snapshot(a_node(), node, *tasks)) == {"node2-id", "web-1-id", "web-2-id"}


@pytest.mark.parametrize(("drained", "left"), [(False, True), (True, False)])
def test_node(drained, left):
    """All tasks of a node drain, and are gone when their time is over."""
    facts = [
        *(
            a_node("node1"),
            a_node("node2", drain_asked=True),
            EDGE,
            a_service("web", {"port": 80}, networks=("edge-id",)),
        ),
        a_task("web", 1, addresses={"edge-id": "10.0.0.1"}),
        a_task("web", 2, node="node2", addresses={"edge-id": "10.0.0.2"}),
    ]
    over = frozenset({"node2-id", "web-2-id"}) if drained else frozenset()
    expected = {"web.1": ("up", False)} | ({"web.2": ("drain", True)} if left else {})
    assert servers(modelled(*facts, drained=over)) == expected


def test_the_only_one():
    """While there is no other one, it is served, though its time is over."""
    facts = a_node("node1", drain_asked=True), EDGE, a_service("web", {"port": 80}, networks=("edge-id",))
    task = a_task("web", 1, addresses={"edge-id": "10.0.0.1"})
    assert servers(modelled(*facts, task, drained=frozenset({"web-1-id"}))) == {"web.1": ("up", True)}


def test_mesh():
    """A drained node takes no more of the mesh's requests; where the tasks are makes no difference to the others."""
    nodes = a_node("node1", drain_asked=True), a_node("node2"), a_node("node3")
    service, task = a_service("web", ports=(ingress(),)), a_task("web", 1, node="node1")
    assert servers(modelled(*nodes, service, task)) == {
        "web.node1": ("drain", True),
        "web.node2": ("up", False),
        "web.node3": ("up", False),
    }
    assert servers(modelled(*nodes, service, task, drained=frozenset({"node1-id", "web-1-id"}))) == {
        "web.node2": ("up", False),
        "web.node3": ("up", False),
    }


def test_host_ports():
    """Ports of a drained node drain."""
    nodes = a_node("node1", drain_asked=True), a_node("node2")
    service = a_service("web", ports=(host_port(8080, 8080),))
    tasks = [a_task("web", slot, node=f"node{slot}", ports=(host_port(8080, 8080),)) for slot in (1, 2)]
    assert servers(modelled(*nodes, service, *tasks)) == {"web.1": ("drain", True), "web.2": ("up", False)}
