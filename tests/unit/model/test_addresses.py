"""`lbgen.model.addresses`: which address reaches a node, and which network reaches a service's tasks."""

from __future__ import annotations

import pytest

from lbgen.base.problem import Problem
from lbgen.labels.values.value_type import BadValue
from lbgen.model.addresses import node_address, shared_network
from tests.support.builders import a_network, a_node, a_service

LABEL = "lbgen.address"


@pytest.mark.parametrize(
    ("facts", "cidrs", "expected"),
    [
        ({"address": "192.168.1.1"}, [], "192.168.1.1"),
        ({"address": "fd00::1"}, [], "fd00::1"),
        ({"address": "192.168.1.1", "manager_address": "10.0.0.1"}, [], "10.0.0.1"),
        ({"address": "0.0.0.0", "manager_address": "10.0.0.1"}, [], "10.0.0.1"),
        ({"address": "127.0.0.1", "manager_address": "10.0.0.1"}, [], "10.0.0.1"),
        ({"address": "192.168.1.1", "manager_address": "0.0.0.0"}, [], "192.168.1.1"),
        ({"address": "192.168.1.1", "manager_address": "127.0.0.1"}, [], "192.168.1.1"),
        ({"address": "192.168.1.1", "manager_address": "manager.example.org"}, [], "192.168.1.1"),
        ({"address": "192.168.1.1", "manager_address": "10.0.0.1"}, ["192.168.0.0/16"], "192.168.1.1"),
        ({"address": "192.168.1.1", "manager_address": "10.0.0.1"}, ["192.168.1.9/24"], "192.168.1.1"),
        ({"address": "192.168.1.1", "manager_address": "10.0.0.1"}, ["172.16.0.0/12"], "10.0.0.1"),
        ({"address": "192.168.1.1", "manager_address": "10.0.0.1"}, ["fd00::/8"], "10.0.0.1"),
        ({"address": "192.168.1.1", "manager_address": "fd00::1"}, ["fd00::/8"], "fd00::1"),
        ({"address": "127.0.0.1"}, ["127.0.0.0/8"], "127.0.0.1"),
        ({"address": "::1"}, ["::/0"], "::1"),
        ({"labels": {LABEL: "10.9.0.1"}, "address": "192.168.1.1"}, ["192.168.0.0/16"], "10.9.0.1"),
        ({"labels": {LABEL: "127.0.0.1"}}, [], "127.0.0.1"),
        ({"labels": {LABEL: "fd00::9"}}, [], "fd00::9"),
        ({"labels": {LABEL: ""}, "address": "192.168.1.1"}, [], "192.168.1.1"),
    ],
)
def test_node_address(facts, cidrs, expected):
    """Label first, then an address inside node_cidrs, then ManagerStatus.Addr, then Status.Addr."""
    assert node_address(a_node("db1", **{"address": "", **facts}), cidrs) == expected


@pytest.mark.parametrize(
    "facts",
    [
        {"address": ""},
        {"address": "0.0.0.0"},
        {"address": "::"},
        {"address": "127.0.0.1"},
        {"address": "127.1.2.3", "manager_address": "0.0.0.0"},
        {"address": "::1"},
        {"address": "node1.example.org"},
    ],
)
def test_no_usable_address(facts):
    """Unspecified and loopback addresses lead to the proxy's own machine: a problem that names the fix."""
    problem = node_address(a_node("db1", **facts), [])
    assert isinstance(problem, Problem)
    assert (problem.node, problem.service) == ("db1", "")
    assert "docker node update --label-add lbgen.address=ADDRESS db1" in problem.remedy
    assert "node_cidrs" in problem.remedy


def test_unspecified_is_never_inside():
    """A network that contains everything does not make 0.0.0.0 an address."""
    assert isinstance(node_address(a_node("db1", address="0.0.0.0"), ["0.0.0.0/0"]), Problem)


@pytest.mark.parametrize(
    "value",
    ["0.0.0.0", "::", "db1", "10.0.0.1:80", "10.0.0.1/24", " 10.0.0.1", "10.0.0.1\n", "fe80::1%eth0", "::1%\nx"],
)
def test_bad_address_label(value):
    """A bad label is a problem, never passed over in silence, even where Swarm knows an address."""
    problem = node_address(a_node("db1", labels={LABEL: value}, address="192.168.1.1"), [])
    assert isinstance(problem, Problem)
    assert (problem.node, problem.label) == ("db1", LABEL)
    assert str(problem).isprintable()


EDGE, BACK = a_network("edge"), a_network("back")
MESH = a_network("ingress", ingress=True)
NETWORKS = {network.id: network for network in (EDGE, BACK, MESH)}


@pytest.mark.parametrize(
    ("attached", "label", "preferred", "expected"),
    [
        (["edge-id"], None, [], EDGE),
        (["edge"], None, [], EDGE),
        (["edge-id", "ingress-id"], None, [], EDGE),
        (["edge-id", "back-id"], "back", [], BACK),
        (["edge-id", "back-id"], "back-id", [], BACK),
        (["edge-id", "back-id"], "back", ["edge"], BACK),
        (["edge-id", "back-id"], None, ["edge"], EDGE),
        (["edge-id", "back-id"], None, ["other", "back", "edge"], BACK),
        (["edge-id", "gone-id"], None, [], EDGE),
    ],
)
def test_network(attached, label, preferred, expected):
    """The label decides, then the first of the settings' networks, then the only one; never the ingress network."""
    assert shared_network(a_service(networks=tuple(attached)), NETWORKS, label, preferred).network == expected


def test_network_of_a_virtual_ip():
    """A network that only the virtual IPs name counts as well."""
    assert shared_network(a_service(virtual_ips={"edge-id": "10.0.0.2"}), NETWORKS, None, []).network == EDGE


@pytest.mark.parametrize(
    ("attached", "label", "message"),
    [
        ([], None, "on no network that its tasks could be reached on"),
        (["ingress-id"], None, "on no network that its tasks could be reached on"),
        (["edge-id", "back-id"], None, r"several networks \(back, edge\)"),
        (["edge-id"], "back", r"not on network back \(it is on: edge\)"),
        (["edge-id", "ingress-id"], "ingress", r"not on network ingress \(it is on: edge\)"),
        ([], "edge", r"not on network edge \(it is on: none\)"),
    ],
)
def test_no_network(attached, label, message):
    """None, several or a wrong one: a problem under the key ``network``, never a silent pick."""
    with pytest.raises(BadValue, match=message) as caught:
        shared_network(a_service(networks=tuple(attached)), NETWORKS, label, [])
    assert caught.value.key == "network"


def test_networks_of_the_proxy():
    """Where the setting says what the proxy is on, no other network is taken for one, unless a label names it."""
    service = a_service(networks=("edge-id",))
    with pytest.raises(BadValue) as caught:
        shared_network(service, NETWORKS, None, ["back", "public"])
    assert caught.value.message == (
        "the service is on none of the networks of setting discovery.networks (back, public), it is on: edge"
    )
    assert caught.value.remedy == (
        "attach it to one of them, name the one that the proxy shares, or publish the port and write lbgen.via=mesh"
    )
    assert caught.value.key == "network"
    assert shared_network(service, NETWORKS, "edge", ["back"]).network == EDGE
    for attached in ((), ("edge-id",)):
        with pytest.raises(BadValue, match="the proxy shares no network with services, as setting") as caught:
            shared_network(a_service(networks=attached), NETWORKS, None, ("none",))
        assert caught.value.remedy.startswith("publish the port and write lbgen.via=mesh, or name")
    assert shared_network(service, NETWORKS, "edge", ("none",)).network == EDGE
    with pytest.raises(BadValue) as caught:
        shared_network(a_service(), NETWORKS, None, ["back"])
    assert caught.value.remedy.startswith("attach it to the proxy's network (back), or publish")
