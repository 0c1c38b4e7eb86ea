"""Settings from a hub's directory to edges and back, over real TLS, in one process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lbgen.base.errors import CheckFailed
from lbgen.daemon.handed_out import HandedOut
from lbgen.daemon.handed_out_store import HandedOutStore
from lbgen.hub import fleet_edges, rollout_events
from lbgen.hub.fleet_edges import HubFleet, seen
from lbgen.hub.handing_out import HandingOut
from lbgen.hub.rollout import Phase
from lbgen.hub.rollout_store import RolloutStore
from lbgen.hub.server import HubServer
from lbgen.settings import Settings, load_settings
from lbgen.settings.fleet import FleetSettings
from lbgen.snapshot import Snapshot
from lbgen.source.hub.messages import Report, TargetReport
from tests.support.hub_and_edges import Fleet, a_hub, an_edge, url_of
from tests.support.wait import wait_for

FACTS = Snapshot(cluster="c", listing=1)


class Edge:
    """An edge without proxies, whose trials go as a test wants them to."""

    def __init__(self, state: Path, name: str, fleet: Fleet) -> None:
        self.state, self.name, self.identity = state / f"state-{name}", name, fleet.identity(name)
        self.refusing, self.failing = "", False
        self.begin()

    def begin(self) -> None:
        """Start, or start again."""
        store = HandedOutStore(self.state)
        accept = ["discovery", "templates"]
        self.out = HandedOut(store, self.name, self.identity.signed, self.read_own, lambda _own: accept)
        self.out.read()
        self.out.start(self.trial, lambda: self.out.read() and None)

    def read_own(self, under: object) -> Settings:
        """Read its settings."""
        return load_settings(None, {}, {}, under=under)  # type: ignore[arg-type]

    def trial(self, settings: Settings) -> None:
        """Refuse settings of a via that the test names."""
        if settings.discovery.via == self.refusing:
            raise CheckFailed(["haproxy"], f"no {self.refusing} here")

    def report(self) -> Report:
        """Return what the hub is told."""
        target = TargetReport("edge", "haproxy", ready=True, failing=self.failing)
        return Report(ready=True, targets=(target,), fleet=self.out.report())

    @property
    def via(self) -> str:
        """Return what is in force."""
        return self.out.read().discovery.via


class Site:
    """A hub's directory, and its edges."""

    def __init__(self, root: Path) -> None:
        self.root, self.fleet = root, Fleet(root)
        self.edges = {name: Edge(root, name, self.fleet) for name in ("canary", "other")}

    def save(self, via: str) -> None:
        """Save another version."""
        group = self.root / "fleet" / "all"
        group.mkdir(parents=True, exist_ok=True)
        (group / "group.yml").write_text("edges: ['*']\n")
        (group / "settings.yml").write_text(f"discovery: {{via: {via}}}\n")

    @contextlib.contextmanager
    def hub(
        self, pause: str = "0s", name: str = "m1", peers: tuple[str, ...] = ()
    ) -> Iterator[tuple[HubServer, HandingOut]]:
        """Run a hub that hands settings out."""
        settings = FleetSettings(directory=self.root / "fleet", canaries=["canary"], pause=pause)  # type: ignore[arg-type]
        authority, _ = self.fleet.registrar(name)
        with a_hub(self.fleet, FACTS, name=name, peers=peers) as server:
            fleet = HubFleet(settings, self.root / f"hub-{name}", authority, server)
            fleet.start()
            try:
                assert fleet.rollouts
                yield server, fleet.rollouts
            finally:
                fleet.stop()

    @contextlib.contextmanager
    def follower(self) -> Iterator[HubServer]:
        """Run a hub that hands nothing out of its own."""
        with a_hub(self.fleet, FACTS, name="m2") as server:
            HubFleet(None, self.root / "hub-m2", self.fleet.registrar("m2")[0], server).start()
            yield server

    @contextlib.contextmanager
    def connected(self, server: HubServer, *names: str) -> Iterator[None]:
        """Connect edges to a hub; all if none is named."""
        with contextlib.ExitStack() as stack:
            for name in names or self.edges:
                edge = self.edges[name]
                following = stack.enter_context(
                    an_edge(self.fleet, url_of(server), name=name, accept=["discovery", "templates"])
                )
                following.source.on_fleet = edge.out.receive
                following.source.report = edge.report
            yield

    def vias(self) -> list[str]:
        """Return what is in force at each edge."""
        return [edge.via for edge in self.edges.values()]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """One canary and one other edge; nobody waits for edges that may come back."""
    monkeypatch.setattr(rollout_events, "SETTLE", 0.0)
    monkeypatch.setattr(fleet_edges, "ASKED", 0.3)
    return Site(tmp_path)


def test_good_then_refused(site: Site) -> None:
    """A good version gets to the canary, then to the others; one that the canary refuses gets no further."""
    site.save("task")
    with site.hub() as (server, out), site.connected(server):
        wait_for(lambda: out.rollout.phase is Phase.DONE, "the first version")
        assert site.vias() == ["task", "task"]
        site.edges["canary"].refusing = "vip"
        site.save("vip")
        wait_for(lambda: out.rollout.phase is Phase.ROLLED_BACK, "a rollback")
        assert site.vias() == ["task", "task"]
        assert out.rollout.reason.startswith("canary refused it: haproxy refused")
        assert "no vip here" in out.rollout.reason
        site.edges["canary"].refusing = ""
        assert RolloutStore(site.root / "hub-m1" / "fleet").ask("resume")
        wait_for(lambda: site.vias() == ["vip", "vip"], "the resumed version")


def test_readiness_falls(site: Site) -> None:
    """A canary whose proxy fails with the new version goes back to the one before; the others never had it."""
    site.save("task")
    with site.hub(pause="1h") as (server, out), site.connected(server):
        wait_for(lambda: out.rollout.phase is Phase.PAUSE, "the pause")
        assert site.vias() == ["task", "auto"]
        site.edges["canary"].failing = True
        wait_for(lambda: out.rollout.phase is Phase.ROLLED_BACK, "a rollback")
        assert site.vias() == ["auto", "auto"]
        assert out.rollout.reason == "canary is no longer ready with it"


def test_edges_without_a_hub(site: Site) -> None:
    """What was taken over stays in force, also after a restart; a hub that is started again hands nothing out twice."""
    site.save("task")
    with site.hub() as (server, out), site.connected(server):
        wait_for(lambda: out.rollout.phase is Phase.DONE, "the first version")
    for edge in site.edges.values():
        edge.out.stop()
        edge.begin()
    assert site.vias() == ["task", "task"]
    sequences = [edge.out.report()["sequence"] for edge in site.edges.values()]
    with site.hub() as (server, out), site.connected(server):
        wait_for(lambda: len([each for each in server.edges() if seen(each).fleet]) == 2, "reports")
        out.tell()
        assert [edge.out.report()["sequence"] for edge in site.edges.values()] == sequences


@pytest.mark.parametrize(
    ("changed", "ready"),
    [
        (lambda report: report, True),
        (lambda report: replace(report, ready=False), False),
        (lambda report: replace(report, targets=(TargetReport("x", ready=True, failing=True),)), False),
    ],
)
def test_ready(site: Site, changed: Callable[[Report], Report], ready: bool) -> None:
    """An edge is ready if all its proxies serve what they should."""
    with site.hub() as (server, _), an_edge(site.fleet, url_of(server), name="other") as following:
        following.source.report = lambda: changed(site.edges["other"].report())
        wait_for(lambda: server.edges() and seen(server.edges()[0]).fleet, "its report")
        assert seen(server.edges()[0]).ready is ready


def test_labels(site: Site) -> None:
    """The labels that an edge joined with are those of its certificate."""
    site.fleet.identity("labelled", labels={"zone": "eu"})
    with site.hub() as (server, _), an_edge(site.fleet, url_of(server), name="labelled"):
        wait_for(server.edges, "the edge")
        assert seen(server.edges()[0]).labels == {"zone": "eu"}


def test_an_edge_at_another_hub(site: Site) -> None:
    """Edges may be connected to any hub: one hands settings out to all of them, by way of the others."""
    site.save("task")
    with site.follower() as other, site.hub(peers=(url_of(other),)) as (server, out):
        with site.connected(server, "canary"), site.connected(other, "other"):
            wait_for(lambda: site.vias() == ["task", "task"], "the version at both")
            wait_for(lambda: out.rollout.phase is Phase.DONE, "the end")
        site.edges["other"].refusing = "vip"
        with site.connected(other, "canary"), site.connected(server, "other"):  # they have changed hubs
            site.save("vip")
            wait_for(lambda: out.rollout.phase is Phase.ROLLED_BACK, "a rollback")
            assert site.vias() == ["task", "task"]
            assert out.rollout.reason.startswith("other refused it")


def test_two_that_hand_out(site: Site) -> None:
    """The one whose name comes first does, while it can be reached."""
    site.save("task")
    with contextlib.ExitStack() as first:
        one, _ = first.enter_context(site.hub(name="m1"))
        with site.hub(name="m2", peers=(url_of(one),)) as (two, out), site.connected(two):
            wait_for(lambda: out.waiting == "m1", "the second to wait")
            assert site.vias() == ["auto", "auto"]
            first.close()
            wait_for(lambda: site.vias() == ["task", "task"], "the second to lead")
