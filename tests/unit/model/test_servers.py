"""`lbgen.model.servers`: which servers a route has, where they are and what they are called."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.labels.context import Ways
from lbgen.labels.values.value_type import BadValue
from lbgen.model.server_names import natural
from lbgen.model.servers import draining, route_servers, server_state
from lbgen.snapshot import PublishedPort
from tests.support.builders import (
    a_network,
    a_node,
    a_service,
    a_snapshot,
    a_task,
    host_port,
    ingress,
    parsed,
    surroundings,
)

NODES = [a_node("node1"), a_node("node2"), a_node("node3")]
EDGE = a_network("edge")


def found(service, tasks, keys=None, *facts, drained=frozenset(), **rules):
    """The servers of the route that these keys describe, on NODES and EDGE unless other facts are given."""
    (route,) = parsed(keys or {}).routes
    return route_servers(service, tasks, route.keys, surroundings(*(facts or [*NODES, EDGE]), drained=drained, **rules))


def shown(result):
    """``name address:port state`` of every server."""
    return [f"{server.name} {server.address}:{server.port} {server.state}" for server in result.servers]


def plain(result):
    """``name address:port`` of servers that are all up."""
    assert {server.state for server in result.servers} <= {"up"}
    return [f"{server.name} {server.address}:{server.port}" for server in result.servers]


def problem_of(service, keys=None, tasks=(), *facts, **rules):
    """The message and key of the problem that the route has."""
    with pytest.raises(BadValue) as caught:
        found(service, tasks, keys, *facts, **rules)
    assert caught.value.remedy
    return caught.value.message, caught.value.key


# ------------------------------------------------------------------------------------------------ states


@pytest.mark.parametrize(
    ("state", "desired", "node", "availability", "expected"),
    [
        ("running", "running", "ready", "active", "up"),
        ("running", "running", "ready", "pause", "up"),
        ("running", "running", "unknown", "active", "up"),
        ("running", "running", "disconnected", "active", "up"),
        ("running", "running", "ready", "drain", "drain"),
        ("running", "running", "unknown", "drain", "drain"),
        ("running", "shutdown", "ready", "active", "drain"),
        ("running", "remove", "ready", "active", "drain"),
        ("running", "shutdown", "unknown", "active", "drain"),
        ("running", "running", "down", "active", ""),
        ("running", "shutdown", "down", "active", ""),
        ("new", "running", "ready", "active", ""),
        ("pending", "running", "ready", "active", ""),
        ("preparing", "running", "ready", "active", ""),
        ("starting", "running", "ready", "active", ""),
        ("complete", "shutdown", "ready", "active", ""),
        ("failed", "shutdown", "ready", "active", ""),
        ("shutdown", "shutdown", "ready", "active", ""),
        ("rejected", "shutdown", "ready", "active", ""),
        ("orphaned", "shutdown", "down", "active", ""),
        ("remove", "remove", "ready", "active", ""),
    ],
)
def test_server_state(state, desired, node, availability, expected):
    """A running task is served unless its node is down; one on its way out drains."""
    task = a_task(state=state, desired_state=desired)
    assert server_state(task, a_node(state=node, availability=availability)) == expected


@pytest.mark.parametrize(
    ("desired", "drained", "expected"),
    [("shutdown", {"web-1-id"}, "over"), ("shutdown", {"node1-id"}, "drain"), ("running", {"web-1-id"}, "up")],
)
def test_retired_task(desired, drained, expected):
    """A task whose time to drain is over is told apart; one that is wanted after all is up."""
    assert server_state(a_task(desired_state=desired), a_node(), drained) == expected


def test_task_without_node():
    """A task that is not scheduled, or whose node is not known, serves nobody."""
    assert server_state(a_task(), None) == ""


def test_draining():
    """Those who are leaving: running tasks no longer wanted or on a drained node, and drained nodes."""
    facts = a_snapshot(
        a_node("node1"),
        a_node("node2", availability="drain"),
        a_node("node3", state="down"),
        a_task("web", 1, "node1"),
        a_task("web", 2, "node1", desired_state="shutdown"),
        a_task("web", 3, "node1", desired_state="shutdown", state="shutdown"),
        a_task("web", 4, "node2"),
        a_task("web", 5, "node3", desired_state="shutdown"),
        a_task("web", 6, "gone", desired_state="shutdown"),
    )
    assert draining(facts) == {"web-2-id", "web-4-id", "node2-id"}


# ------------------------------------------------------------------------------------------------ mesh


def test_mesh():
    """Via mesh, every node is a server at its address and the published port, wherever the tasks run."""
    service = a_service(ports=(ingress(8080, 80),))
    result = found(service, [a_task()])
    assert result.via == "mesh"
    assert plain(result) == ["web.node1 192.168.1.1:80", "web.node2 192.168.1.2:80", "web.node3 192.168.1.3:80"]
    assert (result.servers[0].node, result.servers[0].origin) == ("node1", "node1-id")


@pytest.mark.parametrize(
    ("keys", "rules", "expected"),
    [
        ({"nodes": "node.role==worker"}, {}, ["web.node2", "web.node3"]),
        ({}, {"nodes": "node.role==worker"}, ["web.node2", "web.node3"]),
        ({"nodes": "node.labels.zone==eu"}, {"nodes": "node.role==worker"}, ["web.node2"]),
        ({"nodes": "node.hostname!=node2"}, {}, ["web.node1", "web.node3"]),
        ({"mesh-nodes": "running"}, {}, ["web.node1", "web.node3"]),
        ({"mesh-nodes": "running", "nodes": "node.role==worker"}, {}, ["web.node3"]),
        ({"mesh-nodes": "all"}, {}, ["web.node1", "web.node2", "web.node3"]),
    ],
)
def test_mesh_node_choice(keys, rules, expected):
    """Setting and label choose the nodes together; mesh-nodes=running keeps those that run a task."""
    nodes = [
        a_node("node1", role="manager", labels={"zone": "eu"}),
        a_node("node2", labels={"zone": "eu"}),
        a_node("node3"),
    ]
    tasks = [a_task(slot=1, node="node1"), a_task(slot=2, node="node3"), a_task(slot=3, node="node2", state="starting")]
    result = found(a_service(ports=(ingress(),)), tasks, keys, *nodes, **rules)
    assert [server.name for server in result.servers] == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"state": "unknown"}, "up"),
        ({"availability": "pause"}, "up"),
        ({"availability": "drain"}, "drain"),
        ({"state": "down"}, None),
        ({"state": "down", "availability": "drain"}, None),
    ],
)
def test_mesh_node_state(facts, expected):
    """A drained node finishes what it has; only a node that is down is out."""
    nodes = [a_node("node1"), a_node("node2", **facts)]
    states = {
        server.node: server.state for server in found(a_service(ports=(ingress(),)), [a_task()], {}, *nodes).servers
    }
    assert states.get("node2") == expected
    assert states["node1"] == "up"


def test_mesh_node_retired():
    """A node that was drained for long enough is told apart."""
    nodes = [a_node("node1"), a_node("node2", availability="drain")]
    result = found(a_service(ports=(ingress(),)), [a_task()], {}, *nodes, drained=frozenset({"node2-id"}))
    assert shown(result) == ["web.node1 192.168.1.1:80 up", "web.node2 192.168.1.2:80 over"]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], None),
        ([a_task(state="starting")], None),
        ([a_task(desired_state="shutdown")], "drain"),
        ([a_task(desired_state="shutdown"), a_task(slot=2)], "up"),
        ([a_task(node="gone")], None),
    ],
)
def test_mesh_without_running_task(tasks, expected):
    """The mesh has nowhere to send a request once no task runs: no server then, so that the answer is 503."""
    result = found(a_service(ports=(ingress(),)), tasks)
    assert {server.state for server in result.servers} == ({expected} if expected else set())


def test_mesh_address_problem():
    """A node without a usable address is left out with a problem; the others serve."""
    nodes = [a_node("node1"), a_node("node2", address="0.0.0.0")]
    result = found(a_service(ports=(ingress(),)), [a_task()], {}, *nodes)
    assert plain(result) == ["web.node1 192.168.1.1:80"]
    assert [problem.node for problem in result.problems] == ["node2"]


def test_no_node_chosen():
    """Constraints that no node satisfies are a problem with that label, not an empty backend."""
    service = a_service(ports=(ingress(),))
    assert problem_of(service, {"nodes": "node.role==manager"}, [a_task()])[1] == "nodes"
    assert problem_of(service, {"nodes": "node.role=worker"}, [a_task()])[1] == "nodes"
    assert problem_of(service, {"nodes": "node.role=worker", "via": "task"}, [a_task()])[1] == "nodes"


# ------------------------------------------------------------------------------------------------ host


def test_host_dynamic_ports():
    """Via host, each running task is a server at its node's address and the port the node chose."""
    tasks = [
        a_task(slot=1, node="node1", ports=(PublishedPort(8080, 32768, mode="host"),)),
        a_task(slot=2, node="node1", ports=(PublishedPort(8080, 32769, mode="host"),)),
        a_task(slot=3, node="node2", ports=(PublishedPort(9090, 32770, mode="host"),)),
        a_task(slot=4, node="node3", ports=(PublishedPort(8080, 32771, "udp", "host"),)),
        a_task(slot=5, node="node3", ports=()),
        a_task(slot=6, node="node3", ports=(PublishedPort(8080, 0, mode="host"),)),
    ]
    result = found(a_service(ports=(host_port(8080),)), tasks)
    assert result.via == "host"
    assert plain(result) == ["web.1 192.168.1.1:32768", "web.2 192.168.1.1:32769"]


@pytest.mark.parametrize(
    ("keys", "port"),
    [
        ({"port": 8080}, 32768),
        ({"port": 9090}, 9999),
        ({"published-port": 9999}, 9999),
        ({"published-port": 7070}, 7070),
    ],
)
def test_host_port_choice(keys, port):
    """Among several host ports the labels choose, fixed and dynamic ones alike."""
    service = a_service(ports=(host_port(8080), host_port(9090, 9999), host_port(9091, 7070)))
    bound = (
        PublishedPort(8080, 32768, mode="host"),
        PublishedPort(9090, 9999, mode="host"),
        PublishedPort(9091, 7070, mode="host"),
    )
    assert plain(found(service, [a_task(ports=bound)], keys)) == [f"web.1 192.168.1.1:{port}"]


def test_host_fixed_port_beside_dynamic():
    """A target port published twice goes to the published one that was asked for."""
    service = a_service(ports=(host_port(8080, 9999), host_port(8080)))
    bound = (PublishedPort(8080, 32768, mode="host"), PublishedPort(8080, 9999, mode="host"))
    assert plain(found(service, [a_task(ports=bound)], {"published-port": 9999})) == ["web.1 192.168.1.1:9999"]


@pytest.mark.parametrize(("address", "port"), [("192.168.1.1", 32789), ("2001:db8::1", 32769)])
def test_host_port_of_each_family(address, port):
    """Engine 20.10 can choose other ports for IPv6: the first is that of IPv4 (the lab's test shows the real thing)."""
    bound = (PublishedPort(8080, 32789, mode="host"), PublishedPort(8080, 32769, mode="host"))
    nodes = [a_node("node1", address=address)]
    result = found(a_service(ports=(host_port(8080),)), [a_task(ports=bound)], {}, *nodes)
    assert [(server.address, server.port) for server in result.servers] == [(address, port)]


# ------------------------------------------------------------------------------------------------ task and vip


def test_task():
    """Via task, each running task is a server at its overlay address and the target port."""
    service = a_service(networks=("edge-id",))
    tasks = [
        a_task(slot=1, addresses={"edge-id": "10.0.1.7", "back-id": "10.0.2.7"}),
        a_task(slot=2, addresses={"edge-id": "10.0.1.8"}, desired_state="shutdown"),
        a_task(slot=3, addresses={"back-id": "10.0.2.9"}),
        a_task(slot=4, addresses={"edge-id": "10.0.1.9"}, state="starting"),
        a_task(slot=5, addresses={"edge-id": "fd00::5"}, node="node2"),
    ]
    result = found(service, tasks, {"port": 8080})
    assert result.via == "task"
    assert shown(result) == ["web.1 10.0.1.7:8080 up", "web.2 10.0.1.8:8080 drain", "web.5 fd00::5:8080 up"]


def test_task_never_on_ingress():
    """A task's address on the routing mesh's own network is never used."""
    ingress_network = a_network("ingress", ingress=True)
    service = a_service(networks=("ingress-id",), ports=(ingress(),))
    tasks = [a_task(addresses={"ingress-id": "10.255.0.5"})]
    assert problem_of(service, {"via": "task"}, tasks, *NODES, ingress_network)[1] == "network"


def test_vip():
    """Via vip, the service's virtual IP is the one server, whatever its tasks' addresses."""
    service = a_service(networks=("edge-id",), virtual_ips={"edge-id": "10.0.1.2", "ingress-id": "10.255.0.2"})
    result = found(service, [a_task(), a_task(slot=2)], {"via": "vip", "port": 8080})
    assert (result.via, plain(result)) == ("vip", ["web.vip 10.0.1.2:8080"])


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], []),
        ([a_task(state="failed")], []),
        ([a_task(desired_state="remove")], ["web.vip 10.0.1.2:80 drain"]),
        ([a_task(desired_state="remove"), a_task(slot=2)], ["web.vip 10.0.1.2:80 up"]),
    ],
)
def test_vip_state(tasks, expected):
    """The virtual IP is up while one task is, drains while the last ones do, and is absent without any."""
    service = a_service(networks=("edge-id",), virtual_ips={"edge-id": "10.0.1.2"})
    assert shown(found(service, tasks, {"via": "vip", "port": 80})) == expected


@pytest.mark.parametrize(
    "facts", [{"endpoint_mode": "dnsrr"}, {"virtual_ips": {}}, {"virtual_ips": {"back-id": "10.0.2.2"}}]
)
def test_no_vip(facts):
    """A service without a virtual IP on that network cannot be reached that way: a problem with ``via``."""
    service = a_service(**{"networks": ("edge-id",), "virtual_ips": {"edge-id": "10.0.1.2"}, **facts})
    keys = {"via": "vip", "port": 80, "network": "edge"}
    assert problem_of(service, keys, [a_task()], *NODES, EDGE, a_network("back"))[1] == "via"


# ------------------------------------------------------------------------------------------------ via and port


@pytest.mark.parametrize(
    ("ports", "keys", "via", "port"),
    [
        ((ingress(8080, 80),), {}, "mesh", 80),
        ((ingress(8080, 80), ingress(53, 53, protocol="udp")), {}, "mesh", 80),
        ((ingress(8080, 80), host_port(9090, 9999)), {}, "mesh", 80),
        ((ingress(8080, 80), host_port(9090, 9999)), {"port": 9090}, "host", 9999),
        ((ingress(8080, 80), host_port(9090, 9999)), {"via": "host"}, "host", 9999),
        ((ingress(8080, 80), ingress(9090, 90)), {"port": 9090}, "mesh", 90),
        ((ingress(8080, 80), ingress(9090, 90)), {"published-port": 90}, "mesh", 90),
        ((ingress(8080, 80), ingress(8080, 81)), {"published-port": 81}, "mesh", 81),
        ((ingress(8080, 80), ingress(8080, 81)), {"port": 8080, "published-port": 81}, "mesh", 81),
        ((host_port(8080, 8080),), {}, "host", 8080),
        ((), {"port": 3000}, "task", 3000),
        ((ingress(8080, 80),), {"port": 3000}, "task", 3000),
        ((ingress(8080, 80),), {"via": "task"}, "task", 8080),
        ((ingress(8080, 80), ingress(8080, 81)), {"via": "task"}, "task", 8080),
        ((ingress(8080, 80),), {"via": "task", "port": 3000}, "task", 3000),
        ((ingress(8080, 80), ingress(9090, 90)), {"via": "task", "published-port": 90}, "task", 9090),
        ((ingress(8080, 80),), {"via": "vip"}, "vip", 8080),
        ((ingress(8080, 0),), {}, "task", 8080),
        ((ingress(8080, 0), host_port(8080, 9999)), {}, "host", 9999),
        ((ingress(8080, 80), ingress(80, 81)), {"port": 80}, "mesh", 81),
        ((ingress(8080, 80),), {"via": "task", "port": 80}, "task", 80),
    ],
)
def test_destination(ports, keys, via, port):
    """auto is mesh if published in ingress mode, else host if in host mode, else task; labels pick the port."""
    bound = tuple(PublishedPort(each.target, each.published, mode="host") for each in ports if each.mode == "host")
    service = a_service(ports=ports, networks=("edge-id",), virtual_ips={"edge-id": "10.0.1.2"})
    result = found(service, [a_task(addresses={"edge-id": "10.0.1.7"}, ports=bound)], keys)
    assert result.via == via
    assert {server.port for server in result.servers} == {port}


@pytest.mark.parametrize(
    ("ports", "keys", "message", "key"),
    [
        ((), {}, "nothing says which port", "port"),
        ((ingress(53, 53, protocol="udp"),), {}, "nothing says which port", "port"),
        ((), {"via": "mesh"}, "no tcp port is published in ingress mode", "via"),
        ((host_port(8080),), {"via": "mesh"}, "no tcp port is published in ingress mode", "via"),
        ((ingress(8080, 0),), {"via": "mesh"}, "no tcp port is published in ingress mode", "via"),
        ((ingress(8080),), {"via": "host"}, "no tcp port is published in host mode", "via"),
        ((ingress(8080),), {"via": "mesh", "port": 9}, "port 9 is not published in ingress mode", "via"),
        ((ingress(8080),), {"via": "mesh", "published-port": 9}, "port 9 is not published in ingress mode", "via"),
        ((ingress(8080, 80), ingress(9090, 90)), {}, "several ports .*80->8080, 90->9090", "port"),
        (
            (ingress(8080, 80), ingress(8080, 81)),
            {"port": 8080},
            r"port 8080 is published several times in ingress mode \(80->8080, 81->8080\)",
            "published-port",
        ),
        ((host_port(8080), host_port(8080, 81)), {}, r"several times in host mode \(\*->8080, 81->", "published-port"),
        ((host_port(8080), host_port(9090)), {}, r"several ports .*\*->8080, \*->9090", "port"),
        ((ingress(8080, 80), ingress(9090, 90)), {"via": "task"}, r"several ports are possible \(8080, 9090\)", "port"),
        ((), {"via": "vip"}, "nothing says which port", "port"),
        ((), {"published-port": 80}, "port 80 is not published$", "published-port"),
        ((ingress(8080, 80),), {"published-port": 81}, r"port 81 is not published \(.* 80->8080 in", "published-port"),
        ((ingress(8080, 80),), {"port": 80}, "port 80 is the published one; .* listens on 8080", "port"),
        ((host_port(8080, 80),), {"port": 80}, "port 80 is the published one; .* listens on 8080", "port"),
        ((ingress(8080, 80),), {"port": 80, "via": "mesh"}, "port 80 is the published one", "port"),
        ((host_port(8080, 80),), {"port": 80, "via": "host"}, "port 80 is the published one", "port"),
        (
            (host_port(8080, 80),),
            {"port": 8080, "via": "mesh"},
            r"\(the service publishes 80->8080 in host mode\)",
            "via",
        ),
    ],
)
def test_no_destination(ports, keys, message, key):
    """Nothing or too much to choose from is a problem that names the label which would decide."""
    service = a_service(ports=ports, networks=("edge-id",), virtual_ips={"edge-id": "10.0.1.2"})
    with pytest.raises(BadValue, match=message) as caught:
        found(service, [a_task()], keys)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("ports", "remedy"),
    [
        ((ingress(8080, 80),), "write lbgen.via=mesh: port 8080 is published as 80 in ingress mode"),
        ((host_port(8080),), "write lbgen.via=host: port 8080 is published in host mode"),
        ((host_port(9090, 90),), "publish the port and write lbgen.via=mesh"),
    ],
)
def test_way_out(ports, remedy):
    """Where the tasks cannot be reached, the remedy is the way that the published port offers."""
    for facts, settings_ in (({}, {}), ({"networks": ("edge-id",)}, {"networks": ("back",)})):
        with pytest.raises(BadValue) as caught:
            found(a_service(ports=ports, **facts), [a_task()], {"via": "task", "port": 8080}, **settings_)
        assert caught.value.remedy.endswith(f"or {remedy}")
        assert "publishes no" not in caught.value.message


@pytest.mark.parametrize(("way", "port"), [("mesh", 80), ("host", 81), ("task", 8080), ("vip", 8080), ("auto", 80)])
def test_way_of_the_setting(way, port):
    """Setting discovery.via says where traffic goes if no label does."""
    service = a_service(
        ports=(ingress(8080, 80), host_port(8080, 81)), networks=("edge-id",), virtual_ips={"edge-id": "10.0.1.2"}
    )
    task = a_task(addresses={"edge-id": "10.0.1.7"}, ports=(PublishedPort(8080, 81, mode="host"),))
    result = found(service, [task], ways=Ways(way))
    assert {server.port for server in result.servers} == {port}
    assert {server.port for server in found(service, [task], {"via": "host"}, ways=Ways(way)).servers} == {81}


@pytest.mark.parametrize("mode", ["replicated-job", "global-job"])
def test_job(mode):
    """A job ends by itself; it is not routed."""
    assert problem_of(a_service(mode=mode, ports=(ingress(),)))[1] == "enable"


# ------------------------------------------------------------------------------------------------ names


def named(tasks, *facts):
    """Server names with the task they stand for, via task."""
    tasks = [a_task(**{"addresses": {"edge-id": f"10.0.1.{index}"}, **facts_}) for index, facts_ in enumerate(tasks, 1)]
    result = found(a_service(networks=("edge-id",)), tasks, {"port": 80}, *(facts or [*NODES, EDGE]))
    return [(server.name, server.origin) for server in result.servers]


NEW, OLD = "2026-11-22T10:00:02.5Z", "2026-11-22T10:00:02.123456789Z"


@pytest.mark.parametrize(
    ("one", "other", "plain_name"),
    [
        ({"desired_state": "shutdown"}, {}, "bbbbbbbb2"),
        ({}, {"desired_state": "shutdown"}, "aaaaaaaa1"),
        ({"created_at": OLD}, {"created_at": NEW}, "bbbbbbbb2"),
        ({"created_at": NEW}, {"created_at": OLD}, "aaaaaaaa1"),
        ({"created_at": NEW, "desired_state": "shutdown"}, {"created_at": OLD}, "bbbbbbbb2"),
        (
            {"created_at": NEW, "desired_state": "shutdown"},
            {"created_at": OLD, "desired_state": "shutdown"},
            "aaaaaaaa1",
        ),
    ],
)
def test_overlap_in_a_slot(one, other, plain_name):
    """Of two tasks in one slot the one that is up, then the newer, has the plain name; the other one its own."""
    tasks = [{"id": "aaaaaaaa1", **one}, {"id": "bbbbbbbb2", **other}]
    other_id = {"aaaaaaaa1": "bbbbbbbb2", "bbbbbbbb2": "aaaaaaaa1"}[plain_name]
    for order in (tasks, tasks[::-1]):
        assert dict(named(order)) == {"web.1": plain_name, f"web.1-{other_id[:8]}": other_id}


def test_overlap_with_like_ids():
    """Names stay distinct even if ids begin alike, as in files written by hand."""
    names = [name for name, _ in named([{"id": f"web-task-of-slot-1-{letter}"} for letter in "abcd"])]
    assert len(set(names)) == 4
    assert "web.1" in names


def test_names_hold_no_odd_characters():
    """Whatever a hostname or an id holds, a server's name has only characters that every proxy allows."""
    nodes = [a_node("no de\n1", id="a"), a_node("no-de-1", id="b b\n")]
    result = found(a_service(ports=(ingress(),)), [a_task(node_id="a")], {}, *nodes)
    assert len({server.name for server in result.servers}) == 2
    assert all(char.isalnum() or char in "_.-" for server in result.servers for char in server.name)


def test_global_service():
    """Tasks of a global service are named after their nodes."""
    tasks = [{"slot": 0, "node": "node2"}, {"slot": 0, "node": "node1"}]
    assert named(tasks) == [("web.node1", "web-node1-id"), ("web.node2", "web-node2-id")]


def test_duplicate_hostnames():
    """Two nodes of one hostname give two servers of different names."""
    nodes = [a_node("node1", id="aaaaaaaa1"), a_node("node1", id="bbbbbbbb2", address="192.168.1.9")]
    result = found(a_service(ports=(ingress(),)), [a_task(node_id="aaaaaaaa1")], {}, *nodes)
    assert plain(result) == ["web.node1 192.168.1.1:80", "web.node1-bbbbbbbb 192.168.1.9:80"]


def test_replaced_task_keeps_the_name():
    """The server of a slot has the same name whichever task is in it."""
    assert named([{"id": "old"}])[0][0] == named([{"id": "new", "node": "node2"}])[0][0] == "web.1"


def test_natural_order():
    """web.2 comes before web.10, and before any name that goes on with letters."""
    names = ["web.node10", "web.10", "web.2-abc", "web.node2", "web.2", "web.1"]
    assert sorted(names, key=natural) == ["web.1", "web.2", "web.2-abc", "web.10", "web.node2", "web.node10"]


@given(st.lists(st.text(alphabet="a01.-\u0663\u00b2")))
@settings(deadline=None)
def test_natural_order_of_anything(names):
    """Any two names can be compared, whatever counts as a digit somewhere."""
    assert len(sorted(names, key=natural)) == len(names)
