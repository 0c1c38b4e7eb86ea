"""`lbgen.model.last_servers`: while no server of a backend is up, those that are leaving serve."""

from __future__ import annotations

from typing import Any

import pytest

from lbgen.model.last_servers import in_service
from lbgen.model.types import Server
from tests.support.builders import (
    Fact,
    a_network,
    a_node,
    a_service,
    a_task,
    host_port,
    ingress,
    modelled,
)

AROUND: list[Fact] = [a_node("node1"), a_network("edge")]


def servers(text: str) -> list[Server]:
    """Servers from words such as ``a:up``, ``b:drain*0`` (of weight 0), ``c:over!`` (a standby)."""
    made = []
    for word in text.split():
        name, _, state = word.partition(":")
        state, backup = state.removesuffix("!"), state.endswith("!")
        state, _, weight = state.partition("*")
        made.append(Server(name, "10.0.0.1", 80, state, "node1", name, int(weight or 100), backup))
    return made


def words(found: Any) -> str:
    """The names and states of servers; a ``+`` after those that are leaving."""
    return " ".join(f"{server.name}:{server.state}{'+' if server.leaving else ''}" for server in found)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("a:up b:up", "a:up b:up"),
        ("a:up b:drain", "a:up b:drain+"),
        ("a:up b:over", "a:up"),
        ("a:drain b:drain", "a:up+ b:up+"),
        ("a:drain b:over", "a:up+"),
        ("a:over b:over", "a:up+ b:up+"),
        ("a:over", "a:up+"),
        ("", ""),
        # What gets no requests does not serve, and stays as it is.
        ("a:up*0 b:drain", "a:up b:up+"),
        ("a:up b:drain*0", "a:up b:drain+"),
        ("a:drain*0 b:over*0", "a:drain+"),
        # A standby that is up serves; of those that leave each is what it was.
        ("a:drain b:up!", "a:drain+ b:up"),
        ("a:over b:up!", "b:up"),
        ("a:drain b:drain!", "a:up+ b:up+"),
        ("a:over b:drain!", "b:up+"),
        ("a:up b:drain!", "a:up b:drain+"),
    ],
)
def test_in_service(chosen, expected):
    """Those that are up; else those that drain; else those whose time is over, as long as their tasks run."""
    assert words(in_service(servers(chosen))) == expected


def of_via(via: str, **facts: Any) -> list[Fact]:
    """A service whose only task Swarm wants gone, reached this way."""
    ports: tuple[Any, ...] = {"mesh": (ingress(),), "host": (host_port(8080, 8080),)}.get(via, ())
    service = a_service(
        "web", {"port": 8080, "via": via}, networks=("edge-id",), ports=ports, virtual_ips={"edge-id": "10.0.1.2"}
    )
    task = a_task("web", addresses={"edge-id": "10.0.1.7"}, ports=ports, **{"desired_state": "shutdown", **facts})
    return [service, task]


@pytest.mark.parametrize("via", ["task", "host", "mesh", "vip"])
def test_the_only_task(via):
    """It serves until it ends, drain grace or not, whichever way its traffic goes; then nothing does."""
    for drained in (frozenset(), frozenset({"web-1-id"})):
        (server,) = modelled(*AROUND, *of_via(via), drained=drained).servers
        assert (server.state, server.leaving) == ("up", True)
    for gone in ({"state": "shutdown"}, {"state": "failed"}):
        assert modelled(*AROUND, *of_via(via, **gone)).servers == ()


@pytest.mark.parametrize("drained", [frozenset(), frozenset({"node1-id"})])
def test_the_only_node(drained):
    """Where every node of the mesh is drained, they serve while a task of the service runs."""
    nodes = [a_node("node1", availability="drain"), a_node("node2")]
    service = a_service("web", {"port": 8080, "nodes": "node.hostname==node1"}, ports=(ingress(),))
    (server,) = modelled(*nodes, service, a_task("web", node="node2"), drained=drained).servers
    assert (server.node, server.state, server.leaving) == ("node1", "up", True)
    assert modelled(*nodes, service, drained=drained).servers == ()


def a_member(name: str, state: str, **keys: object) -> list[Fact]:
    """A service of group shop with one task."""
    service = a_service(name, {"group": "shop", "port": 80, **keys}, networks=("edge-id",))
    wanted = {"up": "running", "gone": "running"}.get(state, "shutdown")
    address = {"edge-id": f"10.0.{sum(name.encode()) % 250}.1"}
    ends = "failed" if state == "gone" else "running"
    return [service, a_task(name, addresses=address, desired_state=wanted, state=ends)]


@pytest.mark.parametrize(
    ("one", "other", "keys", "expected"),
    [
        ("drain", "up", {}, "a.1:drain+ b.1:up"),
        ("drain", "drain", {}, "a.1:up+ b.1:up+"),
        ("over", "up", {}, "b.1:up"),
        ("over", "drain", {}, "b.1:up+"),
        ("over", "gone", {}, "a.1:up+"),
        ("drain", "up", {"weight": 0}, "a.1:up+ b.1:up"),
        ("drain", "up", {"backup": "true"}, "a.1:drain+ b.1:up"),
        ("drain", "gone", {"backup": "true"}, "a.1:up+"),
        ("gone", "drain", {"backup": "true"}, "b.1:up+"),
        ("up", "up", {"backup": "true"}, "a.1:up b.1:up"),
    ],
)
def test_groups(one, other, keys, expected):
    """The whole group counts: what serves for one of its services serves for all."""
    over = {name for name, state in (("a-1-id", one), ("b-1-id", other)) if state == "over"}
    found = modelled(*AROUND, *a_member("a", one), *a_member("b", other, **keys), drained=frozenset(over))
    assert words(found.servers) == expected
    assert {server.name: server.backup for server in found.servers if server.name == "b.1"} in (
        {},
        {"b.1": "backup" in keys},
    )


def test_shares_of_those_that_leave():
    """A group whose last servers are leaving shares its requests as before."""
    found = modelled(*AROUND, *a_member("a", "drain", weight=90), *a_member("b", "drain", weight=10))
    assert [server.weight for server in found.servers] == [256, 28]


def test_backup():
    """A backend is a backup if all its servers are; a group's standby is one beside others."""
    keys = {"backup": "true"}
    (alone,) = modelled(*AROUND, a_service("a", {"port": 80, **keys}, networks=("edge-id",))).backends
    assert alone.backup
    for members, expected in (
        ([a_member("a", "up"), a_member("b", "up", **keys)], (False, [False, True])),
        ([a_member("a", "up", **keys), a_member("b", "up", **keys)], (True, [True, True])),
    ):
        found = modelled(*AROUND, *(fact for member in members for fact in member))
        assert found.problems == found.remarks == ()
        (backend,) = found.backends
        assert (backend.backup, [server.backup for server in backend.servers]) == expected
