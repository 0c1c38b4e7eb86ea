"""Another authority for a fleet that runs: a hub and edges as `lbgen run` in processes of their own, under traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lbgen.base.errors import SourceError
from lbgen.hub.authority import read_bundle
from lbgen.hub.rotation import Step
from lbgen.source.hub.exchange import exchange
from lbgen.source.hub.identity import Identity
from tests.support.command import printed, run
from tests.support.daemon import Daemon
from tests.support.hub_and_edges import expire
from tests.support.hub_daemon import HubDaemon
from tests.support.real_haproxy import BINARY
from tests.support.real_servers import http_servers
from tests.support.steady import requests, steady
from tests.support.wait import wait_for

pytestmark = pytest.mark.proxy(BINARY)
ONE, TWO, THREE = "127.1.0.1", "127.1.0.2", "127.1.0.3"


class Site:
    """A hub, an edge that is there all the time, and one that is away."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.hub = root, HubDaemon(root / "hub", port)
        self.here, self.away = self.hub.edge(root / "here"), self.hub.edge(root / "away")
        self.hub.cluster(ONE)
        self.hub.start()
        self.hub.ready()
        for edge in (self.here, self.away):
            self.hub.admit(edge, edge.directory.name)
            edge.start()
            edge.answers(ONE)

    def end(self) -> None:
        for each in (self.here, self.away, self.hub):
            if each.process and each.process.poll() is None:
                each.end()

    def serve(self, *addresses: str) -> None:
        """Change the service; wait for the edge that is there."""
        self.hub.cluster(*addresses)
        self.here.answers(*addresses)

    def rotate(self) -> None:
        """Take a step; the running hub takes the new file."""
        before = len(self.hub.said("hub_authority_changed"))
        words = ("hub", "rotate", "--authority", self.hub.authority, "--state", self.hub.directory / "state/hub")
        if len(read_bundle(self.hub.authority).trusted) > 1:  # it says which edge it would leave behind, and no other

            def refused() -> bool:
                error = run(*words).stderr
                assert "not renewed since the last step: " in error
                return "last step: away. They would have to join anew" in error

            wait_for(refused, "the renewal in the hub's state")
        printed(*words, "--force")
        wait_for(lambda: len(self.hub.said("hub_authority_changed")) > before, "the hub to take it")

    def renew(self) -> None:
        """Have the edge that is there renew its certificate, as it does within a day; the hub is restarted for it."""
        before = len(self.here.said("certificate_renewed"))
        self.hub.end()
        expire(self.here.directory / "state/edge", read_bundle(self.hub.authority), 60.0)
        self.hub.start()
        wait_for(lambda: len(self.here.said("certificate_renewed")) > before, "a renewal")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with http_servers() as servers:
        made = Site(tmp_path, servers.port)
        try:
            yield made
        finally:
            made.end()


def connections(edge: Daemon) -> int:
    """How often an edge has connected."""
    return len(edge.said("hub_connected"))


def failing(edge: Daemon) -> str:
    """Why an edge has no hub; empty: it has one, or says nothing yet."""
    source = json.loads(edge.status("/api/v1/status")[1] or "{}").get("source") or {}
    return " ".join(member["failing"] or "" for member in source.get("members", ()))


def test_rotation(site: Site) -> None:
    """An edge that is there keeps its connection at each step, and renews; one that was away has to join again.

    Until it does, it serves what it knew last, and says what to do. Nothing vouched for by the old authority is good
    after the last step.
    """
    site.away.end()
    identity = site.here.directory / "state/edge/identity.json"
    old = json.loads(identity.read_text())
    with steady(requests(site.here.port)) as traffic:
        for step, servers in zip(Step, ([TWO], [THREE], [ONE, TWO]), strict=True):
            connected = connections(site.here)
            site.rotate()
            site.serve(*servers)
            assert connections(site.here) == connected, step
            if step != Step.PREPARE:
                site.away.start()
                wait_for(lambda: "join again with a new token" in failing(site.away), "the remedy")
                site.away.answers(ONE)
                site.away.end()
            site.renew()
            site.serve(*servers, "127.1.0.4")
        traffic.more()
    assert traffic.failed == []

    new, state = json.loads(identity.read_text()), site.away.directory / "state/edge"
    assert set(new["authorities"]).isdisjoint(old["authorities"])
    (state / "identity.json").write_text(json.dumps(old | {"authorities": new["authorities"]}))
    site.away.start()
    wait_for(lambda: "does not accept this edge's certificate" in failing(site.away), "a refusal")
    with pytest.raises(SourceError, match="is not one of this fleet; join it again"):
        Identity(state).renew(partial(exchange, site.hub.url))
    site.away.answers(ONE)

    site.hub.admit(site.away, "away", again=True)
    site.away.answers(ONE, TWO, "127.1.0.4")
