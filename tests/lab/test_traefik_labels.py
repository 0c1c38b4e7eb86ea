"""Traefik's own example, served by its unchanged labels: on the overlay, and by an HAProxy outside the Swarm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import host
from tests.lab.expected import task_servers
from tests.lab.service import Service, ingress_port
from tests.lab.services import Lab
from tests.lab.sidecar import Sidecar, sidecar

OUTSIDE = 8  # index of a machine beside the nodes
PUBLISHED = 8491
HOST = "app.example.com"
LABELS = {
    "traefik.enable": "true",
    "traefik.http.routers.app.rule": f"Host(`{HOST}`)",
    "traefik.http.services.app.loadbalancer.server.port": "8080",
}


@pytest.fixture(scope="module")
def app(lab_session: Lab) -> Iterator[Service]:
    """The example: a router, a port label and three replicas on Traefik's network."""
    lab_session.clean()
    lab_session.network("traefik-public")
    yield lab_session.service("app", replicas=3, networks=["traefik-public"], labels=LABELS)
    lab_session.clean()


def loses_nothing(lbgen: Sidecar, app: Service) -> None:
    """All replicas answer, and a rolling update of the service loses no request."""
    lbgen.wait_responders(HOST, set(app.responders()))
    with lbgen.traffic(HOST, rate=100) as traffic:
        before = set(app.responders())
        app.update("--force")
        lbgen.wait_responders(HOST, set(app.responders()))
        assert not before & set(app.responders())
    assert not traffic.result.failed, traffic.result
    assert traffic.result.ok > 100


def test_on_the_overlay(lab_session: Lab, app: Service) -> None:
    """An lbgen on the network that Traefik was on serves the tasks, like Traefik."""
    discovery = {"dialects": ["traefik"], "networks": ["traefik-public"]}
    with (
        lab_session.attached("traefik-public") as space,
        sidecar(space.netns, lab_session.manager, discovery=discovery) as lbgen,
    ):
        lbgen.wait_servers("app.http.app", task_servers(app, "traefik-public"))
        loses_nothing(lbgen, app)


def test_outside_the_swarm(lab_session: Lab, app: Service) -> None:
    """A machine outside the Swarm needs a published port and a setting; no label is added or changed."""
    app.update("--publish-add", ingress_port(8080, PUBLISHED))
    settings = lab_session.settings
    host.open_namespace(settings, OUTSIDE)
    try:
        discovery = {"dialects": ["traefik"], "traefik": {"via": "auto"}}
        netns = str(host.NETNS / settings.netns(OUTSIDE))
        with lab_session.mesh(), sidecar(netns, lab_session.manager, discovery=discovery) as lbgen:
            nodes = lab_session.nodes.items()
            lbgen.wait_servers("app.http.app", {f"app.{name}": f"{node.address}:{PUBLISHED}" for name, node in nodes})
            loses_nothing(lbgen, app)
    finally:
        host.run("ip", "netns", "delete", settings.netns(OUTSIDE))
