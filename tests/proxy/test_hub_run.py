"""A hub without targets and an edge with a HAProxy, each as `lbgen run` in a process of its own, joined by commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import printed
from tests.support.daemon import Daemon
from tests.support.hub_daemon import HubDaemon
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import Servers, http_servers
from tests.support.wait import wait_for

pytestmark = pytest.mark.proxy(BINARY)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with http_servers() as running:
        yield running


def test_hub_and_edge(tmp_path: Path, servers: Servers) -> None:
    """What changes at the hub is served at the edge; without the hub the edge goes on, and boots from its disk."""
    hub = HubDaemon(tmp_path / "hub", servers.port)
    edge = hub.edge(tmp_path / "edge")
    hub.cluster("127.1.0.1", "127.1.0.2")
    hub.start()
    try:
        hub.ready()
        token = hub.admit(edge, "e1")
        edge.start()
        edge.answers("127.1.0.1", "127.1.0.2")
        hub.cluster("127.1.0.2", "127.1.0.3")
        edge.answers("127.1.0.2", "127.1.0.3")

        wait_for(lambda: edges(hub)[0]["targets"] and edges(hub)[0]["in_force"] == edges(hub)[0]["sequence"])
        (known,) = edges(hub)
        assert (known["name"], known["connected"], known["ready"], known["servers"]["up"]) == ("e1", True, True, 2)
        assert known["targets"][0]["proxy"] == "haproxy"
        assert re.match(r"\d+\.\d+", known["targets"][0]["version"])
        wait_for(lambda: edges(hub)[0]["targets"][0]["servers"] == {"up": 2})
        shown = printed("status", "--status", hub.settings["status"]["bind"])
        assert re.search(r"^e1 +ready .* 2 up, 0 drain +haproxy [0-9.]+ +2 up ", shown, re.MULTILINE), shown
        assert 'lbgen_edge_ready{edge="e1"} 1.0' in hub.status("/metrics")[1]
        assert 'lbgen_edge_servers{edge="e1",state="up"} 2.0' in hub.status("/metrics")[1]
        source = json.loads(edge.status("/api/v1/status")[1])["source"]
        assert (source["mode"], source["members"][0]["name"]) == ("push", "m1")

        assert hub.end() == 0
        wait_for(lambda: "hub_lost" in edge.log.read_text())
        edge.answers("127.1.0.2", "127.1.0.3")
        edge.end()
        edge.start()
        edge.answers("127.1.0.2", "127.1.0.3")
        shown = printed("status", "--status", edge.settings["status"]["bind"])
        assert "failing since" in shown

        hub.cluster("127.1.0.1", hots="x")  # a mistake: the labels before it stay in force, over the restart too
        hub.start()
        edge.answers("127.1.0.1")
        assert "lbgen_mislabelled_services 1.0" in hub.status("/metrics")[1]
        assert token not in hub.log.read_text() + edge.log.read_text()
    finally:
        hub.end()
        edge.end()


def edges(hub: Daemon) -> list[dict[str, object]]:
    document: list[dict[str, object]] = json.loads(hub.status("/api/v1/status")[1])["edges"]
    return document
