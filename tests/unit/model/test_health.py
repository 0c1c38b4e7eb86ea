"""Health checks ask the service's own ports, with methods that change nothing, unless a setting allows more."""

from __future__ import annotations

import pytest

from lbgen.model import Model
from tests.support.builders import (
    a_listener,
    a_network,
    a_node,
    a_rules,
    a_service,
    a_task,
    host_port,
    ingress,
    modelled,
)

MESH = {"host": "a.org"}
TASK = {"host": "a.org", "via": "task", "port": 80, "network": "edge"}
TRAEFIK = {"traefik.enable": "true", "traefik.http.routers.a.rule": "Host(`a.org`)"}
CHECK = "traefik.http.services.a.loadbalancer.healthcheck"


def model(any_health_check: bool = False, labels: dict[str, str] | None = None, **keys: object) -> Model:
    """A service that publishes port 8080 (target 80) and 8081 (target 81), in the mesh, and 9000 on its nodes."""
    ports = (ingress(80, 8080), ingress(81, 8081), host_port(90, 9000))
    facts = {"labels": labels} if labels else {"keys": keys}
    service = a_service("web", ports=ports, networks=("edge-id",), **facts)
    rules = a_rules(a_listener(), dialects=("lbgen", "traefik"), any_health_check=any_health_check)
    return modelled(service, a_node(), a_network(), a_task(addresses={"edge-id": "10.0.0.1"}), rules=rules)


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        ({**MESH, "port": 80, "health-check.port": 8081}, ""),
        ({**MESH, "port": 80, "health-check.port": 2375}, "lbgen.health-check.port"),
        ({**MESH, "port": 80, "health-check.port": 81}, "lbgen.health-check.port"),  # a target port is not the nodes'
        ({**MESH, "port": 80, "health-check": "off", "health-check.port": 2375}, ""),
        ({**MESH, "port": 80, "health-check": "tcp", "health-check.port": 2375}, "lbgen.health-check.port"),
        ({**MESH, "via": "host", "health-check.port": 9000, "port": 90}, ""),
        ({**MESH, "via": "host", "health-check.port": 22}, "lbgen.health-check.port"),
        ({**TASK, "health-check.port": 9999}, ""),  # of the task's own address
        ({**TASK, "health-check.path": "/", "health-check.method": "POST"}, "lbgen.health-check.method"),
        ({**MESH, "port": 80, "health-check.path": "/", "health-check.method": "OPTIONS"}, ""),
        ({"tcp.x.port": 80, "tcp.x.health-check.port": 22, "tcp.x.listener": "web"}, ""),  # on no listener of its kind
    ],
)
def test_own_ports_and_safe_methods(keys, label):
    """What is not the service's, or may change something, is a problem of that label, and no server is asked."""
    found = model(**keys)
    if label:
        (problem,) = found.problems
        assert problem.label == label
        assert "discovery.any_health_check" in problem.remedy
        assert not any(backend.health_check for backend in found.backends)
    elif "tcp.x.port" not in keys:
        assert found.problems == ()
    assert model(any_health_check=True, **keys).problems == (found.problems if not label else ())


@pytest.mark.parametrize(("option", "value"), [("method", "POST"), ("port", "2375")])
def test_traefiks_labels(option, value):
    """The same of Traefik's labels, through the mesh and by the task's address."""
    labels = {**TRAEFIK, f"{CHECK}.path": "/", f"{CHECK}.{option}": value}
    for via in ("mesh", "task"):
        found = model(labels={**labels, "traefik.http.services.a.loadbalancer.server.port": "80", "lbgen.via": via})
        told = {problem.label for problem in found.problems}
        own = option == "port" and not any(backend.via == "mesh" for backend in found.backends)
        assert (f"{CHECK}.{option}" in told) or own, (via, found.problems)


def group(leader: dict[str, object], any_health_check: bool = False) -> Model:
    """A group that another service leads, whose member's servers are nodes."""
    old = a_service("old", leader, networks=("edge-id",), created_at="2020-01-01T00:00:00Z", id="old-id")
    new = a_service("new", {"group": "g"}, ports=(ingress(80, 8080),))
    tasks = (a_task("old", addresses={"edge-id": "10.0.0.1"}), a_task("new"))
    return modelled(
        old, new, a_node(), a_network(), *tasks, rules=a_rules(a_listener(), any_health_check=any_health_check)
    )


def test_group_on_nodes():
    """The port of a leader whose servers are tasks is not asked of a member's, which are nodes."""
    leader = {**TASK, "group": "g", "health-check.path": "/up", "health-check.port": 2375}
    found = group(leader)
    (backend,) = found.backends
    assert len(backend.servers) == 2
    assert backend.health_check
    assert backend.health_check.port is None
    assert any("servers of new are nodes" in problem.message for problem in found.problems)
    (backend,) = group(leader, any_health_check=True).backends
    assert backend.health_check
    assert backend.health_check.port == 2375
