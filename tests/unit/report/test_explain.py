"""`lbgen explain`: why a service is routed as it is, told by the code that decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
import structlog
from click.testing import Result

from lbgen.base.errors import UnknownService
from lbgen.base.terminal import WIDTH
from lbgen.cli.explain_text import explanation_lines
from lbgen.daemon.kept_labels import KeptLabels
from lbgen.labels.context import Ways
from lbgen.labels.keys.table import KEYS
from lbgen.model import Builder, build
from lbgen.render.credentials import CredentialReader, Credentials
from lbgen.report.explain import Facts, TargetFacts, explanation
from lbgen.settings import Settings
from lbgen.snapshot import Service, Snapshot
from lbgen.source.file import write_snapshot
from tests.support.builders import (
    Fact,
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
from tests.support.command import run
from tests.support.golden_cases import CASES, CERTIFICATES

EDGE, BACK = a_network("edge"), a_network("back")
NODES = (a_node("node1"), a_node("node2"), a_node("node3"))
OLD = "2026-11-21T10:00:00Z"
EVERYWHERE = (a_listener(), a_listener("websecure", 443, tls=True), a_listener("pg", 5432, "tcp"))


def facts_of(
    *facts: Fact, targets: tuple[TargetFacts, ...] = (), drained: frozenset[str] = frozenset(), **rules: Any
) -> Facts:
    """What an explanation is made from, with NODES and EDGE unless nodes or networks are given."""
    given = {type(fact) for fact in facts}
    around = [fact for fact in (*NODES, EDGE) if type(fact) not in given]
    snapshot = a_snapshot(*around, *facts)
    chosen = a_rules(*rules.pop("listeners", (a_listener(),)), **rules)
    return Facts(snapshot, build(snapshot, chosen, drained), Credentials(), targets)


def told(*facts: Fact, name: str = "web", **more: Any) -> dict[str, Any]:
    """The explanation of a service; it can be written as JSON and as text."""
    document = explanation(facts_of(*facts, **more), name)
    assert json.loads(json.dumps(document)).keys() == document.keys()
    lines = list(explanation_lines(document))
    assert all(click.unstyle(line).isprintable() for line in lines)
    return document


def route_of(*facts: Fact, **more: Any) -> dict[str, Any]:
    """The explanation of the service's only route."""
    (route,) = told(*facts, **more)["routes"]
    return route


def on_edge(keys: dict[str, object] | None = None, name: str = "web", **facts: Any) -> Service:
    """A service on network edge, with port 80."""
    return a_service(name, {"port": 80, **(keys or {})}, networks=("edge-id",), **facts)


def serving(name: str = "web", slot: int = 1, **facts: Any):
    """A task with an address on network edge."""
    return a_task(name, slot, **{"addresses": {"edge-id": f"10.0.0.{slot}"}, **facts})


# ------------------------------------------------------------------------------------------------ where traffic goes


@pytest.mark.parametrize(
    ("service", "via", "why"),
    [
        (a_service(ports=(ingress(80, 8080),)), "mesh", "port 80 is published in ingress mode, as 8080"),
        (
            a_service(ports=(host_port(80, 8080),)),
            "host",
            "port 80 is published in host mode, as 8080, and none is in ingress mode",
        ),
        (
            a_service(ports=(host_port(80),)),
            "host",
            "port 80 is published in host mode, as a port that the node chooses, and none is in ingress mode",
        ),
        (on_edge(), "task", "no tcp port that fits is published"),
        (on_edge(ports=(ingress(81, 8080),)), "task", "no tcp port that fits is published"),
        (
            on_edge(ports=(ingress(80, 0),)),
            "task",
            "the port in ingress mode has no number yet, and none is published in host mode",
        ),
        (on_edge({"via": "task"}, ports=(ingress(80, 8080),)), "task", "label lbgen.via says so"),
        (on_edge({"via": "vip"}, virtual_ips={"edge-id": "10.0.0.9"}), "vip", "label lbgen.via says so"),
    ],
)
def test_via(service, via, why):
    """What auto became, and what it saw; or which label says so."""
    found = route_of(service, serving())["via"]
    assert (found["value"], found["why"]) == (via, why)


@pytest.mark.parametrize(
    ("service", "target", "published", "why"),
    [
        (on_edge(), 80, None, "label lbgen.port says so"),
        (a_service(ports=(ingress(80, 8080),)), 80, 8080, "it is the only one that is published in ingress mode"),
        (
            a_service(networks=("edge-id",), keys={"via": "task"}, ports=(ingress(80, 8080),)),
            80,
            None,
            "it is the only one that is published",
        ),
        (
            a_service(keys={"published-port": 8081}, ports=(ingress(80, 8080), ingress(80, 8081))),
            80,
            8081,
            "label lbgen.published-port says so",
        ),
    ],
)
def test_port(service, target, published, why):
    """The port, and where it comes from."""
    found = route_of(service, serving())["port"]
    assert (found["target"], found["published"], found["why"]) == (target, published, why)


@pytest.mark.parametrize(
    ("keys", "networks", "preferred", "expected"),
    [
        ({}, ("edge-id",), (), ("edge", "only", ["edge"])),
        ({"network": "back"}, ("edge-id", "back-id"), (), ("back", "label", ["back", "edge"])),
        ({}, ("edge-id", "back-id"), ("edge",), ("edge", "setting", ["back", "edge"])),
    ],
)
def test_network(keys, networks, preferred, expected):
    """Which networks there were to choose from, which was chosen, and by what."""
    service = a_service(keys={"port": 80, **keys}, networks=networks)
    found = route_of(service, serving(), EDGE, BACK, networks=preferred)["network"]
    assert (found["name"], found["by"], found["candidates"]) == expected


def test_nodes():
    """Each node with the reason why it is no server of the mesh."""
    nodes = [
        a_node("node1"),
        a_node("node2", role="manager"),
        a_node("node3", labels={"zone": "us"}),
        a_node("node4", state="down"),
        a_node("node5", availability="drain"),
        a_node("node6", address="0.0.0.0"),
        a_node("node7"),
        a_node("node8"),
    ]
    service = a_service(
        keys={"nodes": "node.role==worker,node.labels.zone!=us", "mesh-nodes": "running"}, ports=(ingress(),)
    )
    tasks = [a_task("web", number, f"node{number}") for number in (1, 2, 3, 4, 5, 6, 8)]
    found = told(*nodes, service, *tasks, drained=frozenset({"node5-id"}), nodes="node.hostname!=node1")
    (route,) = found["routes"]
    assert {node["node"]: node["why"] for node in route["nodes"]} == {
        "node1": "setting discovery.nodes asks for node.hostname!=node1",
        "node2": "key nodes asks for node.role==worker",
        "node3": "key nodes asks for node.labels.zone!=us",
        "node4": "it is down",
        "node5": "it is drained, and its time to drain is over",
        "node6": "the node has no address that reaches it",
        "node7": "it runs no task of the service, and key mesh-nodes is running",
        "node8": "",
    }
    assert [problem["node"] for problem in found["problems"]] == ["node6"]
    assert [server["name"] for server in route["servers"]] == ["web.node8"]


def test_no_node_at_all():
    """Where constraints leave none the route is not served, and each node says why."""
    document = told(a_service(keys={"nodes": "node.role==manager"}, ports=(ingress(),)))
    (route,) = document["routes"]
    assert (document["routed"], route["served"]) == (False, False)
    assert document["why"] == ["label lbgen.nodes: no node satisfies the placement constraints"]
    assert {node["why"] for node in route["nodes"]} == {"key nodes asks for node.role==manager"}


def test_tasks():
    """Every task is a server, with the reason of a drain, or is told of with the reason why not."""
    nodes = [*NODES, a_node("node4", state="down"), a_node("node5", availability="drain")]
    tasks = [
        serving(slot=1),
        serving(slot=2, desired_state="shutdown"),
        serving(slot=3, state="starting"),
        serving(slot=4, node="node4"),
        serving(slot=5, node="node5"),
        serving(slot=6, desired_state="remove"),
        serving(slot=7, addresses={}),
        serving(slot=8, node="gone"),
        serving(slot=9, state="failed", desired_state="shutdown"),
    ]
    route = route_of(*nodes, on_edge(), *tasks, drained=frozenset({"web-6-id"}))
    assert {server["name"]: (server["state"], server["why"]) for server in route["servers"]} == {
        "web.1": ("up", ""),
        "web.2": ("drain", "Swarm wants it gone"),
        "web.5": ("drain", "its node is drained"),
    }
    assert {task["slot"]: task["why"] for task in route["not_servers"]} == {
        3: "it does not run",
        4: "its node is down",
        6: "its time to drain is over",
        7: "it has no address on the network",
        8: "it is on no node that is known",
        9: "it does not run",
    }
    assert [task["slot"] for task in route["not_servers"]][-2:] == [6, 9], "those that are not wanted come last"


@pytest.mark.parametrize("drained", [frozenset(), frozenset({"web-1-id"})])
def test_last_task(drained):
    """Why a server that is leaving is up."""
    route = route_of(*NODES, on_edge(), serving(desired_state="shutdown"), drained=drained)
    why = "its time to drain is over" if drained else "Swarm wants it gone"
    assert [(server["state"], server["why"]) for server in route["servers"]] == [
        ("up", f"{why}, and no other server is up")
    ]
    assert route["not_servers"] == []


@pytest.mark.parametrize("drained", [frozenset(), frozenset({"node1-id"})])
def test_last_node(drained):
    """The same of a node of the mesh."""
    nodes = [a_node("node1", availability="drain"), a_node("node2")]
    service = a_service(keys={"nodes": "node.hostname==node1"}, ports=(ingress(),))
    (route,) = told(*nodes, service, a_task("web", node="node2"), drained=drained)["routes"]
    why = "it is drained, and its time to drain is over" if drained else "it is drained"
    assert [server["why"] for server in route["servers"]] == [f"{why}, and no other server is up"]
    assert {node["node"]: node["chosen"] for node in route["nodes"]} == {"node1": True, "node2": False}


def test_on_hosts():
    """Of a container's Traefik labels no setting says where the traffic goes: it is how the port is published."""
    labels = {"traefik.enable": "true", "traefik.http.routers.web.rule": "Host(`web.org`)"}
    service = a_service("web", labels=labels, ports=(host_port(8080, 80),), endpoint_mode="none")
    via = route_of(service, dialects=("traefik",))["via"]
    assert via["value"] == "host"
    assert via["why"].startswith("port 8080 is published in host mode")


def test_host_port_not_bound():
    """A task whose port is not bound is no server."""
    bound = a_task(ports=(host_port(80, 8080),))
    route = route_of(a_service(ports=(host_port(80, 8080),)), bound, a_task(slot=2))
    assert [server["name"] for server in route["servers"]] == ["web.1"]
    assert [(task["slot"], task["why"]) for task in route["not_servers"]] == [(2, "its port is not bound on the node")]


def test_mesh_tasks():
    """Behind the mesh tasks are no servers themselves: those that Swarm would not send anything are told of."""
    route = route_of(a_service(ports=(ingress(),)), a_task(), a_task(slot=2, state="failed"))
    assert len(route["servers"]) == 3
    assert [(task["slot"], task["why"]) for task in route["not_servers"]] == [(2, "it does not run")]


# ------------------------------------------------------------------------------------------------ whether, and why not


@pytest.mark.parametrize(
    ("labels", "dialects", "why"),
    [
        ({}, ("lbgen",), "label lbgen.enable=true is missing, and setting discovery.expose_by_default is false"),
        (
            {"lbgen.enable": "false"},
            ("lbgen",),
            "label lbgen.enable says no, and setting discovery.expose_by_default is false",
        ),
        (
            {},
            ("lbgen", "traefik", "dockerflow"),
            "label lbgen.enable=true is missing; label traefik.enable=true is missing; label com.df.notify=true is "
            "missing, and setting discovery.expose_by_default is false",
        ),
    ],
)
def test_not_enabled(labels, dialects, why):
    """Which label is missing, or says no."""
    document = told(a_service(labels=labels), dialects=dialects)
    assert (document["routed"], document["ok"], document["why"]) == (False, False, [why])
    assert document["routes"] == []


def test_labels_of_another_dialect():
    """A service whose labels nobody reads is told which setting would read them."""
    document = told(a_service(labels={"traefik.enable": "true", "com.df.port": "80"}))
    assert document["why"][1:] == [
        "it has labels of dialect traefik, which setting discovery.dialects does not have",
        "it has labels of dialect dockerflow, which setting discovery.dialects does not have",
    ]


def test_constraints():
    """A service that Traefik's constraints leave out."""
    rules = Settings(discovery={"dialects": ["traefik"], "traefik": {"constraints": "Label(`tier`,`public`)"}}).rules()
    document = told(a_service(labels={"traefik.enable": "true"}), dialects=("traefik",), provider=rules.provider)
    assert "do not satisfy setting discovery.traefik.constraints" in document["why"][0]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"weight": "heavy"}, "a label has a problem"),
        ({"http.a.weight": "heavy"}, "route a is closed: a label of its has a problem"),
        ({"listener": "nowhere"}, "label lbgen.listener: there is no listener nowhere"),
        ({"http.a.listener": "nowhere"}, "route a: label lbgen.http.a.listener: there is no listener nowhere"),
        ({"network": "back"}, "label lbgen.network: the service is not on network back (it is on: edge)"),
    ],
)
def test_problem(keys, why):
    """A problem, with label, value and remedy, is the reason."""
    document = told(on_edge(keys), serving())
    assert (document["routed"], document["why"]) == (False, [why])
    (problem,) = document["problems"]
    assert problem["remedy"]
    assert problem["label"] == f"lbgen.{next(iter(keys))}"
    assert {found["use"] for found in document["labels"] if found["label"] == problem["label"]} == {"problem"}


def test_in_part():
    """One route is served, the other not: routed, but not well."""
    document = told(on_edge({"http.a.host": "a.org", "http.b.host": "b.org", "http.b.weight": "x"}), serving())
    assert (document["routed"], document["ok"]) == (True, False)
    assert document["why"] == ["route b is closed: a label of its has a problem"]
    assert "routed in part" in click.unstyle("\n".join(explanation_lines(document)))
    (closed,) = document["closed"]
    assert closed["text"] == ("service web, route b, listener web: host(b.org) is answered 503")
    uses = {found["label"]: (found["use"], found["why"]) for found in document["labels"]}
    assert uses["lbgen.http.b.host"] == ("unused", "its route is not served")
    assert uses["lbgen.http.a.host"] == ("read", "")


def test_job():
    """A job is not routed."""
    document = told(on_edge(mode="replicated-job"))
    assert "which ends by itself" in document["why"][0]


def test_scaled_to_zero():
    """No task, no server: routed all the same, and the text says what requests are answered."""
    document = told(on_edge())
    assert document["ok"]
    assert "none: requests are answered 503" in "\n".join(explanation_lines(document))


@pytest.mark.parametrize(
    ("keys", "tls", "texts"),
    [
        ({}, None, ["http GET /up of host a.org, each 2s"]),
        (
            {"scheme": "https"},
            {"name": "a.org", "ca": ""},
            ["https GET /up of host a.org, by TLS name a.org", "asked for a.org; they are NOT verified"],
        ),
        (
            {"scheme": "https", "host": "*.a.org", "server-name": "s.org", "server-ca": "internal"},
            {"name": "s.org", "ca": "internal"},
            ["of host ADDRESS:PORT, by TLS name s.org", "asked for s.org, and verified by authority internal"],
        ),
        (
            {"scheme": "https", "server-ca": "system", "health-check": "tcp"},
            {"name": "a.org", "ca": "system"},
            ["tcp, with a TLS handshake, by TLS name a.org", "verified by the authorities that this machine trusts"],
        ),
    ],
)
def test_servers_are_asked(keys, tls, texts):
    """What a check asks, by which name servers are asked, and who vouches for them."""
    facts = [on_edge({"port": 80, "host": "a.org", "health-check.path": "/up", **keys}), serving()]
    assert route_of(*facts)["server_tls"] == tls
    lines = " ".join(" ".join(explanation_lines(told(*facts))).split())
    assert [text for text in texts if text not in lines] == []


def test_redirect():
    """A redirect has no servers, and nothing is said of any."""
    document = told(on_edge({"redirect": "/new"}))
    assert (document["ok"], document["routes"][0]["via"]) == (True, None)
    assert "503" not in "\n".join(explanation_lines(document))
    assert document["routes"][0]["settings"] == {"redirect": "/new"}


# ------------------------------------------------------------------------------------------------ listeners and matches


def test_conflict():
    """Who has the match: a service that is older."""
    old = on_edge({"host": "a.org"}, "old", created_at=OLD)
    document = told(old, on_edge({"host": "a.org,b.org"}), serving())
    (listener,) = document["routes"][0]["listeners"]
    assert listener["served"]
    assert [(match["match"], match["taken_by"], match["why"]) for match in listener["matches"]] == [
        ("host(a.org)", "old", "service old, which is older, asks for the same"),
        ("host(b.org)", "", ""),
    ]
    lost = told(old, on_edge({"host": "a.org"}), serving())
    assert (lost["routed"], lost["ok"]) == (False, False)
    assert lost["why"] == ["listener web: service old, which is older, asks for the same"]
    assert told(old, on_edge({"host": "a.org"}), name="old")["ok"]


def test_hidden():
    """A match that another route has at a higher priority, without being a conflict."""
    first = on_edge({"host": "a.org", "priority": 9000}, "first")
    document = told(first, on_edge({"host": "a.org"}), serving())
    assert document["why"] == ["listener web: backend first has the same requests at priority 9000"]
    assert document["problems"] == []
    assert not document["ok"]


def test_hidden_by_a_rule():
    """A match all of whose requests a rule takes, which is no place in the table, is not said to be served."""
    first = on_edge({"rule": "!Host(`b.org`)", "priority": 9000}, "first")
    document = told(first, on_edge({"host": "a.org"}), serving())
    assert document["why"] == ["listener web: backend first has the same requests at priority 9000"]
    assert not document["routed"]


def test_refused_for_another_route():
    """A route all of whose requests a closed route of the service refuses is not served; one with others is."""
    closed = {"http.guarded.allow-ip": "10.0.0.0/33", "http.guarded.host": "a.org"}
    document = told(on_edge({**closed, "http.open.host": "a.org", "http.open.path": "/x"}), serving())
    (route,) = document["routes"]
    assert not route["served"]
    assert "all of its requests are refused" in route["why"]
    document = told(on_edge({**closed, "http.guarded.path": "/x", "http.open.host": "a.org"}), serving())
    assert document["routes"][0]["served"]


def test_group_that_is_not_reached():
    """A member without requests of its own is served only if the group is."""
    first = on_edge({"host": "a.org", "priority": 9000}, "first", created_at="2020-01-01T00:00:00Z")
    leader = on_edge({"host": "a.org", "group": "g"}, "leader", created_at="2021-01-01T00:00:00Z")
    document = told(on_edge({"group": "g"}), serving(), first, leader)
    assert not document["routed"]


def test_priority():
    """That of the label, or the length of what matches."""
    (listener,) = route_of(on_edge({"host": "a.org", "path": "/x"}))["listeners"]
    assert [match["priority"] for match in listener["matches"]] == [len("Host(`a.org`) && PathPrefix(`/x`)")]
    route = route_of(on_edge({"host": "a.org", "priority": "3"}))
    assert (route["priority"], route["listeners"][0]["matches"][0]["priority"]) == (3, 3)


def test_listeners():
    """Where the route is reached: which targets serve the listener, and whether a label chose it."""
    targets = (TargetFacts("one", "other", (), frozenset({"web"})), TargetFacts("two", "other", (), None))
    found = told(on_edge({"host": "a.org"}), listeners=EVERYWHERE[:2], targets=targets)["routes"][0]["listeners"]
    assert [(each["name"], each["bind"], each["by"], each["targets"]) for each in found] == [
        ("web", "*:80", "default", ["one", "two"]),
        ("websecure", "*:443", "default", ["two"]),
    ]
    document = told(on_edge({"tcp.db.listener": "pg"}), listeners=EVERYWHERE, targets=targets[:1])
    assert document["why"] == ["route db: listener pg: no target serves this listener"]
    assert document["routes"][0]["listeners"][0]["by"] == "label"


def test_client_ca_of_another():
    """A route that is not carried because its hosts are guarded by another authority."""
    old = on_edge({"host": "a.org", "client-ca": "first"}, "old", created_at=OLD)
    document = told(old, on_edge({"host": "a.org", "path": "/x", "client-ca": "second"}), listeners=EVERYWHERE[:2])
    assert document["why"] == ["listener websecure: an older service asks for other client certificates for its hosts"]
    (certificate,) = document["routes"][0]["certificates"]
    assert (certificate["host"], certificate["known"]) == ("a.org", False)


def test_certificates():
    """Which file each host is shown, as the proxies choose it."""
    facts = facts_of(on_edge({"host": "*.example.org,other.net"}), listeners=EVERYWHERE[:2])
    files = CredentialReader(Settings(certificates=CERTIFICATES)).read()
    (route,) = explanation(replace(facts, credentials=files), "web")["routes"]
    assert [found["host"] for found in route["certificates"]] == ["*.example.org", "other.net"]
    known = {item.name for item in files.certificates}
    assert all(found["known"] and set(found["files"]) <= known and found["files"] for found in route["certificates"])


# ------------------------------------------------------------------------------------------------ groups and settings


def test_group():
    """Who leads, which share each service gets, and whose settings hold."""
    blue = on_edge({"host": "a.org", "group": "shop", "weight": 90, "retries": 5}, "blue", created_at=OLD)
    green = on_edge({"group": "shop", "weight": 10}, "green")
    facts = [blue, green, serving("blue"), serving("green", 2)]
    led = told(*facts, name="green")
    (route,) = led["routes"]
    assert (led["ok"], route["served"], route["backend"]) == (True, True, "shop.group")
    assert route["why"] == "its requests are those of group shop, which service blue leads"
    assert route["group"]["leader"] == "blue"
    assert {share["service"]: round(share["percent"]) for share in route["group"]["shares"]} == {
        "blue": 90,
        "green": 10,
    }
    assert route["settings"] == {"weight": "90", "retries": "5"}
    assert [server["name"] for server in route["servers"]] == ["green.2"]
    assert told(*facts, name="blue")["routes"][0]["listeners"][0]["served"]


def test_guards_of_a_group():
    """Those of all hold, and who has not asked for them is told; one that cannot be added has no part in it."""
    blue = on_edge({"host": "a.org", "group": "shop", "basic-auth": "staff"}, "blue", created_at=OLD)
    green = on_edge({"group": "shop", "allow-ip": "10.0.0.0/8"}, "green")
    red = on_edge({"group": "shop", "basic-auth": "others"}, "red", created_at="2026-11-28T10:00:00Z")
    facts = [blue, green, red, serving("blue"), serving("green", 2), serving("red", 3)]
    leads = told(*facts, name="blue")
    assert leads["routes"][0]["settings"] == {"allow-ip": "10.0.0.0/8", "basic-auth": "staff"}
    assert [remark["text"] for remark in leads["remarks"]] == [
        "service blue: guards of a group add up: those of green hold for group shop here, too (allow-ip); "
        "nothing, if that is meant; otherwise use another group"
    ]
    out = told(*facts, name="red")
    assert (out["routed"], out["ok"], out["routes"][0]["served"]) == (False, False, False)
    assert "basic-auth staff and others" in out["problems"][0]["message"]


def test_settings():
    """What is not the default, as a label would say it."""
    keys = {"rate-limit": "100/s", "timeout.response": "120s", "max-body": "1024k", "request-header.x-a": "1"}
    assert route_of(on_edge({**keys, "via": "task"}))["settings"] == {
        "timeout.response": "2m",
        "request-header.x-a": "1",
        "rate-limit": "100/s",
        "max-body": "1m",
    }


@pytest.mark.parametrize("field", sorted(KEYS))
def test_every_key(field):
    """Each key's example can be explained."""
    key = KEYS[field]
    scope = "" if "http" in key.protocols else f"{key.protocols[0]}.x."
    name = f"{scope}{key.name.replace('<name>', key.member)}"
    document = told(on_edge({name: key.sample}), serving(), EDGE, listeners=EVERYWHERE)
    assert document["service"] == "web"


def test_limits():
    """What a proxy cannot do of it makes it not ok; what it can do in part does not."""
    service = on_edge({"host": "a.org", "scheme": "h2c"})
    for proxy, ok in (("nginx", False), ("haproxy", True)):
        document = told(service, serving(), targets=(TargetFacts("edge", proxy, (), None),))
        assert (document["ok"], document["routed"]) == (ok, True)
    (limit,) = [
        limit
        for limit in told(service, targets=(TargetFacts("edge", "nginx", (), None),))["limits"]
        if limit["feature"] == "scheme of servers"
    ]
    assert limit["label"] == "lbgen.scheme"


@pytest.mark.parametrize(
    ("keys", "proxies"),
    [
        ({}, []),
        ({"timeout.idle": "1h"}, ["nginx", "traefik"]),
        ({"timeout.idle": "24h"}, ["nginx", "traefik"]),
        ({"timeout.idle": "24h", "timeout.response": "24h"}, []),  # what Traefik's labels mean
    ],
)
def test_limits_of_streams(keys, proxies):
    """A time that one proxy cannot limit is told, and not where nothing is to be limited."""
    found = []
    for proxy in ("haproxy", "nginx", "traefik"):
        document = told(on_edge({"host": "a.org", **keys}), targets=(TargetFacts("edge", proxy, (), None),))
        found += [proxy for limit in document["limits"] if limit["feature"] == "time without a byte on open streams"]
    assert found == proxies


@pytest.mark.parametrize(("features", "limited"), [((), True), (("http3",), False)])
def test_limits_of_a_build(features, limited):
    """What a program can do that is built with it is no limit, as for lint."""
    listener = replace(a_listener("websecure", 443, tls=True), http3=True)
    target = TargetFacts("edge", "haproxy", (2, 6, 12), None, features=features)
    document = told(on_edge({"host": "a.org"}), serving(), listeners=(listener,), targets=(target,))
    assert [(limit["listener"], limit["feature"]) for limit in document["limits"]] == [
        ("websecure", "HTTP/3")
    ] * limited


# ------------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("lbgn.enable", "lbgen.enable"),
        ("lbgen/enable", "lbgen.enable"),
        ("lbgen.io/enable", "lbgen.enable"),
        ("lbgen.io/port", "lbgen.port"),
        ("lbgem.weigth", "lbgen.weight"),
        ("lbgen.Enable", "lbgen.enable"),
        ("LBGEN.enable", "lbgen.enable"),
        ("lgben.http.a.host", "lbgen.http.a.host"),
    ],
)
def test_misspelt(label, meant):
    """A label that looks like one of lbgen's, of a service that does not take part, is told of with what was meant."""
    (found,) = told(a_service(labels={label: "true"}))["labels"]
    assert found["use"] == "unused"
    assert f"did you mean {meant}?" in found["why"]


@pytest.mark.parametrize(
    ("label", "use", "why"),
    [
        ("com.docker.stack.namespace", "other", ""),
        ("maintainer", "other", ""),
        ("traefik.enable", "unused", "is of dialect traefik, which setting discovery.dialects does not have"),
        ("com.df.notify", "unused", "is of dialect dockerflow, which setting discovery.dialects does not have"),
        ("lbgen.network", "unused", "label lbgen.enable=true is missing"),
        ("lbgen.port", "unused", "is not a whole number from 1 to 65535; write a number from 1 to 65535"),
        ("lbgen.prot", "unused", "unknown key; did you mean lbgen.port?"),
    ],
)
def test_unread(label, use, why):
    """Why a label was not read; its value is kept back, for it may be a secret."""
    (found,) = told(a_service(labels={label: "hunter2"}))["labels"]
    assert (found["use"], found["why"], found["value"]) == (use, why, "")


def test_short_key_of_no_route():
    """A short key that every named route has of its own is used by none."""
    found = told(on_edge({"host": "a.org", "http.x.host": "b.org"}), serving())["labels"]
    uses = {label["label"]: (label["use"], label["why"], label["routes"]) for label in found}
    assert uses["lbgen.port"] == ("read", "", ["web.http.x"])
    assert uses["lbgen.enable"] == ("read", "", [])


@pytest.mark.parametrize(
    ("way", "labels", "via", "why"),
    [
        ("task", {}, "task", "setting discovery.traefik.via says task"),
        ("mesh", {}, "mesh", "setting discovery.traefik.via says mesh"),
        ("auto", {}, "mesh", "setting discovery.traefik.via says auto: port 80 is published in ingress mode, as 8080"),
        ("mesh", {"traefik.swarm.lbswarm": "false"}, "task", "label traefik.swarm.lbswarm says so"),
    ],
)
def test_via_of_a_setting(way, labels, via, why):
    """Where no label says which way traffic goes, the setting that does is named."""
    rules = {"dialects": ("traefik",), "ways": Ways(traefik=way)}
    rule = {"traefik.enable": "true", "traefik.http.routers.a.rule": "Host(`a.org`)"}
    service = a_service(labels=rule | labels, networks=("edge-id",), ports=(ingress(80, 8080),))
    (route,) = told(service, serving(), **rules)["routes"]
    assert (route["via"]["value"], route["via"]["why"]) == (via, why)


@pytest.mark.parametrize("dialects", [("traefik",), ("lbgen", "traefik")])
def test_short_keys_beside_other_labels(dialects):
    """Short keys of lbgen's are read for the routes of other dialects, or it is said why not."""
    labels = {
        "traefik.enable": "true",
        "traefik.http.routers.a.rule": "Host(`a.org`)",
        "traefik.http.services.a.loadbalancer.server.port": "80",
        "lbgen.via": "mesh",
        "lbgen.port": "81",
        "lbgen.host": "b.org",
        "lbgen.http.own.host": "b.org",
    }
    service = a_service(labels=labels, networks=("edge-id",), ports=(ingress(80, 8080),))
    document = told(service, a_node("node1"), dialects=dialects)
    rows = {row["label"]: (row["use"], row["routes"], row["why"]) for row in document["labels"]}
    assert rows["lbgen.via"] == ("read", ["web.http.a"], "")
    assert rows["lbgen.port"] == ("unused", [], "the routes' own labels say it")
    assert rows["lbgen.host"][2] == "says which requests are meant, which the labels of the routes say themselves"
    assert rows["lbgen.http.own.host"][0] == "unused"
    assert document["routes"][0]["via"]["why"] == "label lbgen.via says so"
    broken = told(a_service(labels=labels | {"lbgen.via": "mash"}), dialects=dialects)
    assert {row["label"]: row["use"] for row in broken["labels"]}["lbgen.via"] == "problem"
    assert broken["routes"] == []


TRAEFIK = {
    "traefik.enable": "true",
    "traefik.http.routers.shop.rule": "Host(`shop.org`) && !PathPrefix(`/admin`)",
    "traefik.http.routers.shop.tls.certresolver": "le",
    "traefik.http.routers.shop.entrypoints": "websecure",
    "traefik.http.routers.admin.rule": "Host(`shop.org`)",
    "traefik.http.routers.admin.service": "nobody",
    "traefik.http.services.shop.loadbalancer.server.port": "80",
    "traefik.http.middlewares.spare.basicauth.users": "me:$2y$05$secret",
}


def test_traefik():
    """Which router became which route, and which labels were not honoured; secrets stay where they are."""
    service = a_service(labels=TRAEFIK, networks=("edge-id",))
    document = told(service, serving(), dialects=("lbgen", "traefik"), listeners=EVERYWHERE[:2])
    (route,) = document["routes"]
    assert (route["name"], route["dialect"], route["origin"]) == ("web.http.shop", "traefik", "router shop")
    assert route["rule"] == "host(shop.org) && !path_start(/admin)"
    assert route["priority"] == len(TRAEFIK["traefik.http.routers.shop.rule"])
    assert route["via"]["why"] == "setting discovery.traefik.via says task"
    assert route["port"]["why"] == "label traefik.http.services.shop.loadbalancer.server.port says so"
    assert document["why"] == ["route admin is closed: a label of its has a problem"]
    uses = {found["label"].removeprefix("traefik."): found["use"] for found in document["labels"]}
    assert uses == {
        "enable": "read",
        "http.routers.shop.rule": "read",
        "http.routers.shop.entrypoints": "read",
        "http.routers.shop.tls.certresolver": "note",
        "http.routers.admin.rule": "unused",
        "http.routers.admin.service": "problem",
        "http.services.shop.loadbalancer.server.port": "read",
        "http.middlewares.spare.basicauth.users": "note",
    }
    assert "secret" not in json.dumps(document)
    unread = told(service, serving())
    assert "secret" not in json.dumps(unread)
    assert unread["labels"][0]["why"] == "is of dialect traefik, which setting discovery.dialects does not have"


def test_dockerflow():
    """A destination of docker-flow-proxy's is a route."""
    labels = {"com.df.notify": "true", "com.df.port.1": "80", "com.df.servicePath.1": "/x"}
    document = told(a_service(labels=labels, networks=("edge-id",)), dialects=("dockerflow",))
    (route,) = document["routes"]
    assert (route["dialect"], route["origin"], route["served"]) == ("dockerflow", "destination 1", True)
    assert {found["use"] for found in document["labels"]} == {"read"}


# ------------------------------------------------------------------------------------------------ names and the command


def test_name():
    """A service is found by its name or its id; others that are near are proposed, those of a stack first."""
    facts = facts_of(a_service("shop_web"), a_service("shop_api"), a_service("web2"))
    assert explanation(facts, "web2-id")["service"] == "web2"
    for name, said in (
        ("web", "did you mean shop_web or web2"),
        ("zzz", "there are 3, 'docker service ls' lists them"),
    ):
        with pytest.raises(UnknownService, match=said):
            explanation(facts, name)


def test_two_of_one_name():
    """Of two services with one name, in a file written by hand, the older is meant, as it is the one that is routed."""
    older = a_service("web", {"port": 80, "host": "a.org"}, networks=("edge-id",), id="z", created_at=OLD)
    document = told(older, on_edge({"host": "b.org"}))
    assert (document["id"], document["routed"], document["ok"]) == ("z", True, False)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_golden_cases(case):
    """Every service of the golden cases is explained, and is routed exactly if the model leads to it."""
    from tests.support.golden_cases import modelled

    model, snapshot = modelled(case)
    facts = Facts(snapshot, model, Credentials())
    for service in snapshot.services.values():
        document = explanation(facts, service.name)
        if document["id"] != service.id:
            continue
        carried = {route["backend"] for route in document["routes"] if route["served"]}
        led = {found.backend for listener in model.listeners for found in (*listener.cells, *listener.rules)}
        led |= {name for listener in model.listeners for name in (listener.default, *dict(listener.names).values())}
        assert carried <= led
        assert document["routed"] is bool(carried)
        lines = [click.unstyle(line) for line in explanation_lines(document)]
        assert all(line == line.rstrip() for line in lines)


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch) -> Iterator[None]:
    """No settings but the test's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lbgen.settings.loader.DEFAULT_FILES", (Path("lbgen.yml"),))
    yield
    structlog.reset_defaults()


def command(snapshot: Snapshot, *words: str) -> Result:
    """Run the command against a file."""
    write_snapshot(snapshot, Path("snapshot.json"))
    return run("explain", "--from", "snapshot.json", *words)


def test_command():
    """Text for people, JSON for scripts; the exit code says whether all is well."""
    good, bad = on_edge({"host": "a.org"}), on_edge({"host": "http://b.org"}, "shop")
    snapshot = a_snapshot(*NODES, EDGE, good, bad, serving())
    done = command(snapshot, "web")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("service web: routed\n")
    assert "servers    web.1  10.0.0.1:80  up  weight 100  on node1\n" in done.output
    assert "\x1b" not in done.output
    told = command(snapshot, "web", "--output", "json", "--proxy", "traefik")
    assert json.loads(told.output)["routes"][0]["listeners"][0]["targets"] == ["traefik"]
    failed = command(snapshot, "shop")
    assert failed.exit_code == 5
    assert "not routed" in failed.output
    assert "label lbgen.host='http://b.org': is not a host name; write a name such as" in failed.output
    assert command(snapshot, "shop", "--output", "json").exit_code == 5


def test_command_unknown():
    """A name that is not there is a mistake of the command line."""
    done = command(a_snapshot(on_edge()), "wbe")
    assert (done.exit_code, done.output) == (2, "lbgen: there is no service 'wbe': did you mean web?\n")


def test_wide_facts_are_folded():
    """Texts are folded at the width of a terminal; tables of servers are left in one line."""
    labels = {f"com.example.{number}": "x" for number in range(30)} | {f"traefik.{number}": "x" for number in range(3)}
    service = a_service(labels=labels | {"lbgen.enable": "true", "lbgen.port": "80", "lbgen.host": "a" * 60 + ".org"})
    lines = list(explanation_lines(told(replace(service, networks=("edge-id",)), serving())))
    assert max(len(click.unstyle(line)) for line in lines) <= WIDTH
    assert "30 of other programs" in "\n".join(lines)


def test_previous_labels():
    """Which labels are in force, since when, and what became of each of the newest ones."""
    before = {
        "lbgen.enable": "true",
        "lbgen.host": "a.org",
        "lbgen.port": "80",
        "lbgen.weight": "5",
        "lbgen.retries": "1",
    }
    newest = {**before, "lbgen.hots": "s3cret", "lbgen.weight": "x", "lbgen.host": "b.org", "my.label": "1"}
    del newest["lbgen.retries"]
    kept, builder = KeptLabels(clock=lambda: 1_795_341_600.0), Builder(a_rules())
    for labels in (before, newest):
        served = kept.whole(a_snapshot(*NODES, EDGE, a_service(labels=labels, networks=("edge-id",))), builder.rules)
        model = builder.build(served)
        kept.accept(served, builder)
    model = replace(model, problems=kept.problems)
    document = explanation(Facts(served, model, Credentials(), kept=kept.kept), "web")
    assert document["routed"]
    assert document["labels_kept"]["since"] == "2026-11-22T10:00:00.000Z"
    assert {problem["label"] for problem in document["labels_kept"]["because"]} == {"lbgen.hots", "lbgen.weight"}
    messages = {problem["label"]: problem["message"] for problem in document["problems"]}
    assert {row["label"]: (row["use"], row["why"]) for row in document["labels"] if row["why"]} == {
        "lbgen.host": ("read", "is in force as it was: its newest value is not"),
        "lbgen.retries": ("read", "is in force: the newest labels, which are without it, are not"),
        "lbgen.hots": ("problem", messages["lbgen.hots"]),
        "lbgen.weight": ("problem", messages["lbgen.weight"]),
    }
    text = "\n".join(explanation_lines(document))
    assert "its previous labels are in force, since 2026-11-22 10:00:00 UTC: the newest have a mistake" in text


def test_definitions_gathered_once():
    """What services define for each other is gathered for the model: no explanation looks at all labels again."""
    snapshot = a_snapshot(a_node(), a_network("edge"), on_edge({"host": "a.org"}))
    builder = Builder(a_rules())
    facts = Facts(snapshot, builder.build(snapshot), Credentials(), ())
    assert facts.definitions is builder.definitions(snapshot)
