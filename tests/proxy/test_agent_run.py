"""An agent beside an engine, a hub and an edge with a HAProxy: each is `lbgen run`, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.hub.offers import MOST
from lbgen.snapshot import Snapshot
from lbgen.source.hub.identity import Identity
from lbgen.source.hub.source import HubSource
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task, host_port
from tests.support.clients import Client
from tests.support.daemon import Daemon
from tests.support.fake_host import FakeHost
from tests.support.hub_and_edges import Following
from tests.support.hub_daemon import HubDaemon
from tests.support.paths import ROOT
from tests.support.quiet_source import GivenSource
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import Servers, http_servers
from tests.support.unit_filter import ANALYZE
from tests.support.wait import PATIENCE, wait_for

pytestmark = pytest.mark.proxy(BINARY)
OWN, AGENT, ELSEWHERE = "127.1.0.1", "127.1.0.7", "127.1.0.66"  # of the hub's service, of the agent's host, of others


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with http_servers() as running:
        yield running


class Site:
    """Hub, edge and agent in a directory; the agent's engine is one of recorded replies."""

    def __init__(self, directory: Path, port: int, under_units: bool = False) -> None:
        """
        Args:
            under_units: as systemd would let them run by the units of deploy/fleet.
        """
        self._under_units = under_units
        self.port, self.hub = port, HubDaemon(directory / "hub", port)
        self.engine = FakeHost(directory / "engine.sock")
        published = {"IP": "0.0.0.0", "PrivatePort": 8080, "PublicPort": port, "Type": "tcp"}
        self.engine.containers = [self.engine.container("shop-web-1") | {"Ports": [published]}]
        self.engine.containers[0]["Labels"]["lbgen.health-check"] = "off"
        self.edge = self.hub.edge(directory / "edge")
        self.agent = self.hub.edge(directory / "agent", offer={"endpoint": f"unix://{self.engine.path}"})
        self.agent.settings["targets"] = {}
        self.agent.save()
        self.hub.cluster(OWN)
        self.start(self.hub)
        self.hub.ready()
        self.hub.admit(self.edge, "edge")
        self.hub.admit(self.agent, "agent", "--offer", AGENT)

    def start(self, daemon: Daemon) -> None:
        """Start one of them."""
        unit = ROOT / f"deploy/fleet/lbgen-{daemon.directory.name}.service"
        under = [sys.executable, "-m", "tests.support.unit_filter", str(unit)]
        daemon.start(through=under if self._under_units else [])

    def served(self, host: str) -> set[str]:
        """The servers that answer at the edge for a host; empty: an error."""
        with contextlib.suppress(OSError), contextlib.closing(Client(self.edge.port)) as client:
            return {client.ask(host=host).server for _ in range(3)}
        return set()

    def failing(self) -> str:
        """Why the agent's facts are not current, as the hub has it."""
        parts = json.loads(self.hub.status("/api/v1/status")[1] or "{}").get("source", {}).get("parts", ())
        return next((part["failing"] or "" for part in parts if part["name"] == "agent"), "unknown")

    def end(self) -> None:
        if self.agent.process:
            self.agent.process.terminate()
            self.agent.process.wait(PATIENCE)
        self.hub.end()
        if self.edge.process:
            self.edge.end()
        self.engine.stop()


@pytest.fixture
def site(tmp_path: Path, servers: Servers) -> Iterator[Site]:
    made = Site(tmp_path, servers.port)
    made.edge.start()
    try:
        wait_for(lambda: made.served("a.org") == {OWN}, "the hub's own service")
        yield made
    finally:
        made.end()


@pytest.mark.skipif(not shutil.which(ANALYZE), reason=f"no {ANALYZE}: apt-get install systemd")
def test_units(tmp_path: Path, servers: Servers) -> None:
    """What the units of hub, edge and agent forbid keeps none of them from its work, and the edge's no HAProxy."""
    site = Site(tmp_path, servers.port, under_units=True)
    try:
        site.start(site.edge)
        wait_for(lambda: site.served("a.org") == {OWN}, "the hub's own service")
        site.start(site.agent)
        wait_for(lambda: site.served("shop.example.com") == {AGENT}, "the container's route")
        site.hub.cluster(OWN, path_regex="^/[a-z0-9]*$")
        wait_for(lambda: "[a-z0-9]" in site.edge.file(), "the expression")
        assert site.served("a.org") == {OWN}
        said = "".join(each.log.read_text() for each in (site.hub, site.edge, site.agent))
        assert "Operation not permitted" not in said
        assert "ALERT" not in said
    finally:
        site.end()


def test_agent_that_is_killed(site: Site) -> None:
    """A container's route leads to the agent's fixed address; it stays when the agent dies, and the hub after it.

    An edge that is started while neither is there has it, too.
    """
    site.agent.start()
    wait_for(lambda: site.served("shop.example.com") == {AGENT}, "the container's route")
    assert site.failing() == ""
    backends = json.loads(site.edge.status("/api/v1/model")[1])["backends"]
    (shop,) = (each for each in backends if each["name"] == "shop_web")
    assert [(each["name"], each["address"]) for each in shop["servers"]] == [("shop_web.agent", AGENT)]

    assert site.agent.process
    site.agent.process.send_signal(signal.SIGKILL)
    site.agent.process.wait(PATIENCE)
    wait_for(lambda: "not connected" in site.failing())
    assert site.served("shop.example.com") == {AGENT}
    assert site.hub.process
    site.hub.process.terminate()
    assert site.hub.process.wait(PATIENCE) == 0
    site.edge.end()
    site.edge.start()
    wait_for(lambda: site.edge.status("/readyz")[0] == 200, "the edge to have facts from its disk")
    assert site.served("a.org") == {OWN}
    assert site.served("shop.example.com") == {AGENT}
    site.hub.start()
    wait_for(lambda: "not connected" in site.failing())
    site.hub.cluster("127.1.0.2")  # so that the edge has what this hub knows
    wait_for(lambda: site.served("a.org") == {"127.1.0.2"}, "another server of the hub's own")
    assert site.served("shop.example.com") == {AGENT}

    site.agent.start()
    wait_for(lambda: site.failing() == "")
    site.engine.remove("shop-web-1")
    wait_for(lambda: site.served("shop.example.com") != {AGENT}, "the end of the container's route")


def lie(port: int) -> Snapshot:
    """Facts that claim the hub's service, name and match, are older than it, and lead elsewhere."""
    node = a_node("node1", address=ELSEWHERE, labels={"lbgen.address": ELSEWHERE})
    old = "2001-01-01T00:00:00Z"
    ways = {
        "networks": ("edge-id",),
        "virtual_ips": {"edge-id": ELSEWHERE},
        "created_at": old,
        "ports": (host_port(port, port),),
    }
    keys = {"port": port, "health-check": "off"}
    task = {"addresses": {"edge-id": ELSEWHERE}, "ports": (host_port(port, port),), "created_at": old}
    mine = a_service("mine", {**keys, "host": "mine.org"}, **ways)
    return a_snapshot(
        node, a_network(), a_service("web", keys, **ways), a_task("web", 1, **task), mine, a_task("mine", 1, **task)
    )


def test_hostile_agent(site: Site) -> None:
    """What an agent says takes no traffic from others and leads nowhere but to its own address; too much is refused."""
    engine = GivenSource()
    source = HubSource([site.hub.url], Identity(site.agent.directory / "state/edge"), facts=False, offer=engine)
    with contextlib.closing(Following(source)):
        engine.give(lie(site.port))
        wait_for(lambda: site.served("mine.org") == {AGENT}, "its own service")
        assert site.served("a.org") == {OWN}
        many = a_snapshot(*lie(site.port).services.values(), *(a_service(f"s{n}") for n in range(MOST["services"])))
        engine.give(many)
        wait_for(lambda: "not connected" in site.failing(), "the hub to hang up")
        assert site.served("mine.org") == {AGENT}
        assert site.served("a.org") == {OWN}
