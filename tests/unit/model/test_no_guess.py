"""Nothing is guessed: what labels and settings leave open is a problem, and no server, whichever labels ask for it."""

from __future__ import annotations

import pytest

from lbgen.labels.context import Ways
from lbgen.snapshot import PublishedPort, Service
from tests.support.builders import (
    a_network,
    a_node,
    a_rules,
    a_service,
    a_task,
    host_port,
    ingress,
    modelled,
)

NETWORKS = (a_network("edge"), a_network("back"), a_network("ingress", ingress=True))
EVERYWHERE = {"edge-id": "10.1.0.1", "back-id": "10.2.0.1", "ingress-id": "10.255.0.1"}
TARGET = "target"
# Who asks for the servers of the target: its own route, or one of another service.
ASKING = {
    "a route of lbgen's": {},
    "a route of Traefik's": {},
    "a route of docker-flow-proxy's": {},
    "a login service": {"forward-auth": f"http://{TARGET}/"},
    "a mirror": {"mirror": TARGET},
    "error pages": {"error-pages.500": f"http://{TARGET}/e.html"},
}
OWN = {
    "a route of lbgen's": {"lbgen.enable": "true"},
    "a route of Traefik's": {"traefik.enable": "true", "traefik.http.routers.a.rule": "Host(`a.org`)"},
    "a route of docker-flow-proxy's": {
        "com.df.notify": "true",
        "com.df.serviceDomain": "a.org",
        "com.df.serviceDomainAlgo": "hdr(host)",
    },
}
OPEN = {
    "several networks": ({"networks": ("edge-id", "back-id"), "ports": (host_port(80),)}, "task", ()),
    "a network that is not the proxy's": ({"networks": ("back-id",), "ports": (ingress(80, 81),)}, "task", ("edge",)),
    "no network of the proxy's": ({"networks": ("back-id",), "ports": (ingress(80, 81),)}, "task", ("none",)),
    "no network": ({"networks": ("ingress-id",), "ports": (ingress(80, 81),)}, "task", ()),
    "no port": ({"networks": ("edge-id",)}, "task", ()),
    "several ports": ({"networks": ("edge-id",), "ports": (ingress(80, 81), ingress(90, 91))}, "task", ()),
    "several published ports": ({"ports": (ingress(80, 81), ingress(90, 91))}, "mesh", ()),
    "several numbers of one port": ({"ports": (ingress(80, 81), ingress(80, 91))}, "auto", ()),
    "several host ports": ({"ports": (host_port(80, 81), host_port(90, 91))}, "auto", ()),
    "another mode": ({"networks": ("edge-id",), "ports": (host_port(80, 81),)}, "mesh", ()),
    "no virtual IP": ({"networks": ("edge-id",), "ports": (ingress(80, 81),), "endpoint_mode": "dnsrr"}, "vip", ()),
}


def target(asking: str, facts: dict[str, object]) -> Service:
    """The service whose servers are asked for; without a route of its own it only says where it is."""
    return a_service(TARGET, labels=OWN.get(asking, {}), **facts)


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("left", OPEN)
def test_what_is_left_open(asking, left):
    """The problem says what is left open, and not one server of the service is rendered."""
    facts, way, networks = OPEN[left]
    rules = a_rules(dialects=("lbgen", "traefik", "dockerflow"), networks=networks, ways=Ways(way, way, way))
    ports = tuple(PublishedPort(port.target, port.published, mode="host") for port in facts.get("ports", ()))
    task = a_task(TARGET, addresses=EVERYWHERE, ports=ports)
    front = ()
    if ASKING[asking]:
        keys = {"host": "front.org", "port": 80, "via": "task", "network": "edge", **ASKING[asking]}
        front = (
            a_service("front", keys, networks=("edge-id",)),
            a_task("front", node="node2", addresses={"edge-id": "10.1.0.2"}),
        )
    model = modelled(a_node("node1"), a_node("node2"), *NETWORKS, target(asking, facts), task, *front, rules=rules)
    mirrored = [server for backend in model.backends if backend.mirror for server in backend.mirror.servers]
    assert {server.address for server in (*model.servers, *mirrored)} <= {"10.1.0.2"}
    (problem,) = model.problems
    assert problem.remedy
    assert "publishes no" not in problem.message


@pytest.mark.parametrize("asking", ASKING)
def test_what_is_settled(asking):
    """The same services are served where the labels leave nothing open."""
    rules = a_rules(dialects=("lbgen", "traefik", "dockerflow"), networks=("edge",))
    facts = {"networks": ("edge-id", "back-id"), "ports": (ingress(8080, 81), ingress(90, 91))}
    settled = {"lbgen.port": "8080", "lbgen.via": "mesh"}
    service = a_service(TARGET, labels=OWN.get(asking, {}) | settled, **facts)
    front = ()
    if ASKING[asking]:
        url = {key: value.replace(TARGET + "/", TARGET + ":8080/") for key, value in ASKING[asking].items()}
        front = (a_service("front", {"host": "front.org", "port": 80, "via": "task", **url}, networks=("edge-id",)),)
    model = modelled(a_node("node1"), *NETWORKS, service, a_task(TARGET, addresses=EVERYWHERE), *front, rules=rules)
    mirrored = [server for backend in model.backends if backend.mirror for server in backend.mirror.servers]
    assert "192.168.1.1:81" in {f"{each.address}:{each.port}" for each in (*model.servers, *mirrored)}
    assert model.problems == ()
