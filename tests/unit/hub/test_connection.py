"""Hub and edges over real sockets and TLS: what reaches an edge, and what becomes of it when hubs and ways fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.frames import Frame
from websockets.sync.client import connect

from lbgen.hub import silence
from lbgen.hub.authority import Authority
from lbgen.hub.session import SLOWEST_PING
from lbgen.hub.tokens import new_token
from lbgen.snapshot import Snapshot
from lbgen.source.hub import renewing
from lbgen.source.hub.exchange import exchange
from lbgen.source.hub.identity import join
from lbgen.source.hub.messages import PROTOCOL, Hello, Report, written
from lbgen.source.hub.messages import Fleet as FleetMessage
from tests.support.bench import a_cluster
from tests.support.hub_and_edges import Fleet, Following, a_hub, an_edge, expire, url_of
from tests.support.ports import free_port
from tests.support.relay import a_relay
from tests.support.wait import wait_for


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def hub_of(edge: Following) -> str:
    """The name of the hub that an edge follows now; empty: none."""
    (state,) = edge.source.states()
    return next((member.name for member in state.members if member.mode == "push"), "")


class Kept:
    """A store in memory."""

    def __init__(self, facts: Snapshot | None = None) -> None:
        self.facts = facts

    def read(self) -> Snapshot | None:
        return self.facts

    def keep(self, facts: Snapshot) -> None:
        self.facts = facts

    def close(self) -> None:
        """Nothing is left to write."""


def test_everything_then_changes(fleet: Fleet) -> None:
    """An edge gets everything once and then changes; what did not change is the same object; causes are told."""
    with a_hub(fleet, a_cluster(3)) as hub, an_edge(fleet, url_of(hub)) as edge:
        before = edge.until(a_cluster(3))
        hub.publish(a_cluster(4))
        after = edge.until(a_cluster(4))
        assert after.tasks["web-1-id"] is before.tasks["web-1-id"]
        assert after.services is before.services
        assert [cause.text for cause in after.causes] == ["task web.4 on node1: new, state running"]
        assert after.listing == before.listing
        (record,) = hub.edges()
        wait_for(lambda: record.sequence == 2)
        assert record.connected


def test_a_hub_without_facts_says_nothing(fleet: Fleet) -> None:
    """A hub that has just started tells no edge that there is nothing; once it knows something, it does."""
    with a_hub(fleet) as hub, an_edge(fleet, url_of(hub), store=Kept(a_cluster(3))) as edge:
        wait_for(lambda: hub_of(edge))
        assert [len(each.tasks) for each in edge.seen] == [3]
        hub.publish(a_cluster(2))
        edge.until(a_cluster(2))


def test_a_hub_with_facts_is_preferred(fleet: Fleet) -> None:
    """Of two hubs that answer, the one that has facts is followed."""
    with (
        a_hub(fleet, name="m1") as empty,
        a_hub(fleet, a_cluster(2), name="m2") as hub,
        an_edge(fleet, url_of(empty), url_of(hub)) as edge,
    ):
        edge.until(a_cluster(2))
        assert hub_of(edge) == "m2"


def test_hub_that_ends(fleet: Fleet) -> None:
    """When a hub ends the edge goes on with the next, and is not sent again what it has."""
    with (
        a_hub(fleet, a_cluster(3), name="m2") as second,
        a_hub(fleet, a_cluster(3), name="m1") as first,
        an_edge(fleet, url_of(first), url_of(second)) as edge,
    ):
        before = edge.until(a_cluster(3))
        assert hub_of(edge) == "m1"
        first.stop()
        wait_for(lambda: hub_of(edge) == "m2")
        second.publish(a_cluster(4))
        assert edge.until(a_cluster(4)).tasks["web-1-id"] is before.tasks["web-1-id"]
        assert {len(each.tasks) for each in edge.seen} == {3, 4}


def test_hub_that_goes_silent(fleet: Fleet) -> None:
    """A hub whose packets do not come any more, without a FIN, is given up for the next one."""
    with (
        a_hub(fleet, a_cluster(3), name="m1") as first,
        a_hub(fleet, a_cluster(3), name="m2") as second,
        a_relay(first.port) as relay,
        an_edge(fleet, relay.url, url_of(second)) as edge,
    ):
        edge.until(a_cluster(3))
        relay.silent = True
        wait_for(lambda: hub_of(edge) == "m2")
        (state,) = edge.source.states()
        assert state.mode == "push"
        assert "does not answer" in state.members[0].failing


def test_edge_that_goes_silent(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge that is cut off without a FIN counts as connected for less than ten seconds, here for less than one."""
    assert silence.QUIET + silence.ANSWER < 10
    monkeypatch.setattr(silence, "QUIET", 0.3)
    monkeypatch.setattr(silence, "ANSWER", 0.3)
    with a_hub(fleet, a_cluster(1)) as hub, a_relay(hub.port) as relay, an_edge(fleet, relay.url) as edge:
        edge.until(a_cluster(1))
        (record,) = hub.edges()
        assert record.connected
        relay.silent = True
        wait_for(lambda: not record.connected)
        relay.silent = False
        wait_for(lambda: record.connected)


def test_edge_that_only_answers(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing by itself is asked, and stays for as long as it answers."""
    monkeypatch.setattr(silence, "QUIET", 0.05)
    monkeypatch.setattr(silence, "ANSWER", 60.0)
    context = fleet.identity("edge1").client_context()
    with a_hub(fleet) as hub, connect(f"wss://127.0.0.1:{hub.port}/v1/edge", ssl=context, ping_interval=None) as edge:
        edge.send(written(Hello(PROTOCOL)))
        assert edge.recv(60)
        answered: list[Frame] = []
        send = edge.protocol.send_frame
        monkeypatch.setattr(edge.protocol, "send_frame", lambda frame: (answered.append(frame), send(frame)))
        wait_for(lambda: len(answered) >= 5)
        (record,) = hub.edges()
        assert record.connected


def test_few_pings() -> None:
    """Edges ping more often than a hub asks them, however many there are: it asks none that it hears."""
    assert SLOWEST_PING < silence.QUIET


def test_partition(fleet: Fleet) -> None:
    """While no hub can be reached the facts stay and it is said since when; what has changed comes after it."""
    with a_hub(fleet, a_cluster(3)) as hub, a_relay(hub.port) as relay, an_edge(fleet, relay.url) as edge:
        edge.until(a_cluster(3))
        relay.silent = True
        wait_for(lambda: edge.source.states()[0].failing)
        (state,) = edge.source.states()
        assert state.failing_since
        assert state.failing_since <= time.time()
        hub.publish(a_cluster(5))
        hub.publish(a_cluster(4))
        relay.cut()
        relay.silent = False
        edge.until(a_cluster(4))
        assert 5 not in {len(each.tasks) for each in edge.seen}


def test_hub_that_restarts(fleet: Fleet) -> None:
    """An edge waits for its only hub, and takes what it knows then; other sequence numbers are no matter."""
    port = free_port()
    with a_hub(fleet, a_cluster(3), port=port) as hub, an_edge(fleet, url_of(hub)) as edge:
        edge.until(a_cluster(3))
        hub.stop()
        with a_hub(fleet, port=port) as again:
            again.publish(a_cluster(2))
            edge.until(a_cluster(2))


def test_edge_boots_without_hub(fleet: Fleet) -> None:
    """What is on disk is given at once, and what comes is kept there."""
    store = Kept(a_cluster(3))
    with an_edge(fleet, f"https://127.0.0.1:{free_port()}", store=store) as edge:
        edge.until(a_cluster(3))
        wait_for(lambda: edge.source.states()[0].failing)
        assert edge.source.states()[0].facts
    with a_hub(fleet, a_cluster(4)) as hub, an_edge(fleet, url_of(hub), store=store) as edge:
        edge.until(a_cluster(4))
        wait_for(lambda: store.facts == a_cluster(4))


def test_relist(fleet: Fleet) -> None:
    """A new listing is the hub's whole snapshot, given even if nothing has changed."""
    with a_hub(fleet, a_cluster(3)) as hub, an_edge(fleet, url_of(hub)) as edge:
        before = edge.until(a_cluster(3))
        edge.source.relist()
        wait_for(lambda: edge.seen[-1].listing > before.listing)
        assert edge.seen[-1] == before
        hub.publish(a_cluster(2))
        edge.until(a_cluster(2))


def test_take(fleet: Fleet) -> None:
    """A command gets one snapshot: the hub's, or else the one on disk."""
    from lbgen.source.hub.source import HubSource

    with a_hub(fleet, a_cluster(3)) as hub:
        assert HubSource([url_of(hub)], fleet.identity("ci")).take() == a_cluster(3)
    gone = HubSource([url_of(hub)], fleet.identity("ci"), Kept(a_cluster(2)), patience=1.0)
    assert gone.take() == a_cluster(2)


def test_reports_and_fleet_messages(fleet: Fleet) -> None:
    """What an edge reports is known at the hub, and messages about settings go both ways."""
    with a_hub(fleet, a_cluster(3)) as hub:
        said: list[tuple[str, object]] = []
        hub.shared.on_fleet = lambda name, body: said.append((name, body))
        with an_edge(fleet, url_of(hub)) as edge:
            heard: list[object] = []
            edge.source.on_fleet = heard.append
            edge.source.report = lambda: Report(lbgen="1.2", ready=True)
            edge.until(a_cluster(3))
            wait_for(lambda: any(each.report and each.report.ready for each in hub.edges()))
            wait_for(lambda: hub.edges()[0].report.sequence == 1)  # type: ignore[union-attr]
            hub.send("edge1", FleetMessage({"version": 4}))
            wait_for(lambda: heard == [{"version": 4}])
            edge.source.send(FleetMessage({"taken": 4}))
            wait_for(lambda: said == [("edge1", {"taken": 4})])
        wait_for(lambda: not hub.edges()[0].connected)


def test_what_fails_at_the_hub_is_told(fleet: Fleet) -> None:
    """An edge knows that its hub's own source fails, and since when; another hub is preferred at the next dial."""
    with a_hub(fleet, a_cluster(3)) as hub, an_edge(fleet, url_of(hub)) as edge:
        edge.until(a_cluster(3))
        hub.set_failing("tcp://m1:2376: connection refused")
        wait_for(lambda: "connection refused" in edge.source.states()[0].failing)
        assert edge.source.states()[0].mode == "push"
        hub.set_failing("")
        wait_for(lambda: not edge.source.states()[0].failing)


def test_revoked(fleet: Fleet) -> None:
    """A revoked edge is hung up on at once, learns nothing more, keeps what it has, and others do not notice."""
    with (
        a_hub(fleet, a_cluster(3)) as hub,
        an_edge(fleet, url_of(hub), name="bad") as bad,
        an_edge(fleet, url_of(hub), name="good") as good,
    ):
        bad.until(a_cluster(3))
        good.until(a_cluster(3))
        hub.registrar.revoke("bad")
        wait_for(lambda: "revoked" in bad.source.states()[0].failing)
        hub.publish(a_cluster(4))
        good.until(a_cluster(4))
        assert {len(each.tasks) for each in bad.seen} == {3}


def test_expired(fleet: Fleet) -> None:
    """A connection ends with the certificate that it was made with."""
    with a_hub(fleet, a_cluster(3)) as hub:
        hub.shared.wall_clock = lambda: time.time() + 25 * 3600
        with an_edge(fleet, url_of(hub)) as edge:
            wait_for(lambda: "its certificate has ended" in edge.source.states()[0].members[0].failing)


def test_two_edges_of_one_name(fleet: Fleet) -> None:
    """The connection that is made later counts, so that an edge whose way was cut comes back at once."""
    with a_hub(fleet, a_cluster(3)) as hub, a_relay(hub.port) as relay, an_edge(fleet, relay.url) as first:
        first.until(a_cluster(3))
        relay.silent = True
        with an_edge(fleet, url_of(hub)) as second:
            second.until(a_cluster(3))
            hub.publish(a_cluster(4))
            second.until(a_cluster(4))
            assert [each.connected for each in hub.edges()] == [True]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    import threading

    before = set(threading.enumerate())
    yield
    wait_for(
        lambda: not [each.name for each in set(threading.enumerate()) - before if each.name in ("hub", "hub-source")]
    )


def test_certificate_has_ended_meanwhile(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge that was without any hub for a weekend renews its certificate with the first one that is back."""
    monkeypatch.setattr(renewing, "LOOKS", 1e6)  # no second look will do it
    port = free_port()
    with an_edge(fleet, f"https://127.0.0.1:{port}") as edge:
        wait_for(lambda: edge.source.states()[0].members[0].failing, "the hub to be away")
        expire(tmp_path / "edge-edge1", fleet.bundle, 2 * 86400.0)
        with a_hub(fleet, a_cluster(2), port, name="joins"):
            edge.until(a_cluster(2))


def test_joined_anew_while_it_runs(fleet: Fleet, tmp_path: Path) -> None:
    """A revoked edge is back after another `lbgen join`: nothing needs to be started again."""
    fleet.identity("edge1")
    with a_hub(fleet, a_cluster(2), name="joins") as hub, an_edge(fleet, url_of(hub)) as edge:
        edge.until(a_cluster(2))
        hub.registrar.revoke("edge1")
        wait_for(lambda: "is revoked" in edge.source.states()[0].members[0].failing, "the edge to be let go")
        hub.publish(a_cluster(3))
        token = new_token(Authority(fleet.bundle, "offline"), "edge1", time.time() + 1, 3600.0)
        join(exchange, url_of(hub), token, tmp_path / "edge-edge1", again=True)
        edge.until(a_cluster(3))
