"""A hub whose disk is full, or cannot be written: nothing is forgotten, nobody gets in by it, and it goes on after."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.hub import ledger, revocations
from lbgen.hub.authority import new_bundle
from lbgen.hub.ledger import Edge, Entries, Ledger
from lbgen.hub.upkeep import kept_up
from lbgen.source.hub.certificates import Refused
from lbgen.source.hub.exchange import exchange
from lbgen.source.hub.identity import Identity, join
from tests.support.clock import Clock
from tests.support.fleet import Hub
from tests.support.small_disk import SmallDisk, needs_root, small_disk
from tests.support.wait import wait_for

pytestmark = needs_root
MANY = Entries({f"edge{number}": Edge("k" * 64, 1.0, offer="10.0.0.1") for number in range(100)})  # some pages


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture
def hub(tmp_path: Path, disk: SmallDisk, clock: Clock) -> Iterator[Hub]:
    """A hub that knows many edges, with its state on the small disk."""
    bundle = new_bundle(clock())
    (tmp_path / "authority.pem").write_text(bundle.text())
    with Hub(bundle, "m1", disk.path / "hub", clock) as hub:
        hub.ledger.merge(MANY)
        yield hub


@pytest.fixture
def upkeep(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> contextlib.AbstractContextManager[None]:
    """What the hub does of its own accord, with short pauses."""
    monkeypatch.setattr("lbgen.hub.upkeep.FLUSHED", 0.01)
    return kept_up(tmp_path / "authority.pem", hub.authority, hub.ledger, hub.registrar, hub.clock)


def admitted(hub: Hub, edge: Identity) -> bool:
    try:
        return hub.ask("/v1/edge", {"type": "hello"}, edge).document["type"] == "admitted"
    except Refused:
        return False


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_nobody_joins(hub: Hub, disk: SmallDisk, tmp_path: Path, how: str) -> None:
    """The token stays good for one edge; the edge that had the name stays in; both as before, on disk and in memory."""
    before = hub.joined("e1", tmp_path / "before")
    hub.clock.now += 1
    token, known = hub.token("e1"), hub.ledger.entries
    with disk.broken(how) as why, capture_logs() as logs:
        with pytest.raises(Refused, match=r"cannot write down who joins.*the token is still good") as refused:
            join(exchange, hub.url, token, tmp_path / "e1")
        assert refused.value.code == "peer"
        assert hub.ledger.entries == known == ledger.read(hub.ledger.state)
        assert admitted(hub, before)
    (told,) = (entry["error"] for entry in logs if entry["event"] == "hub_ledger_unwritten")
    assert told.startswith(f"{hub.ledger.state}/ledger.json: cannot be written: {why}; ")
    assert disk.unfinished() == []

    joined = join(exchange, hub.url, token, tmp_path / "e1")
    assert (admitted(hub, joined), admitted(hub, before)) == (True, False)
    hub.ledger.entries = Ledger(hub.ledger.state).entries  # as after a restart
    with pytest.raises(Refused, match="has been used by another key"):
        join(exchange, hub.url, token, tmp_path / "thief")


def test_revocation(
    hub: Hub,
    disk: SmallDisk,
    tmp_path: Path,
    upkeep: contextlib.AbstractContextManager[None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Room to ask for it, and none for the ledger: in force at once, and said to be done once it is on disk."""
    monkeypatch.setattr("lbgen.base.request_file.PATIENCE", 0.0)
    edge = hub.joined("e1", tmp_path / "e1")
    with upkeep, capture_logs() as logs:
        disk.fill(leave=1)
        assert not revocations.ask(hub.ledger.state, "e1", hub.clock())
        wait_for(lambda: [entry for entry in logs if entry["event"] == "hub_revocation_failed"])
        assert not admitted(hub, edge)
        assert revocations.waiting(hub.ledger.state)
        assert "e1" not in ledger.read(hub.ledger.state).revoked
        disk.free()
        wait_for(lambda: not revocations.waiting(hub.ledger.state), "the revocation to be taken")
    assert "e1" in ledger.read(hub.ledger.state).revoked
    told = next(entry for entry in logs if entry["event"] == "hub_revocation_failed")
    assert told["error"].startswith(
        f"{hub.ledger.state}/ledger.json: cannot be written: No space left on device; free "
    )
    assert [entry["event"] for entry in logs].count("hub_edge_revoked") == 1


def test_revocation_that_another_hub_tells(
    hub: Hub, disk: SmallDisk, tmp_path: Path, upkeep: contextlib.AbstractContextManager[None]
) -> None:
    """It holds at once, and is written as soon as there is room."""
    edge = hub.joined("e1", tmp_path / "e1")
    peer = hub.registrar.admitted(hub.authority.certificate)
    with disk.full():
        news = Entries(revoked={"e1": hub.clock()})
        assert hub.registrar.peer_request({"type": "entries", "ledger": news.document()}, peer) == {"type": "taken"}
        assert not admitted(hub, edge)
        assert "e1" not in ledger.read(hub.ledger.state).revoked
    with upkeep:
        wait_for(lambda: "e1" in ledger.read(hub.ledger.state).revoked)


def test_what_may_wait(hub: Hub, disk: SmallDisk, upkeep: contextlib.AbstractContextManager[None]) -> None:
    """It is told once that it cannot be written, with the file and what to do, and once that it is."""
    with upkeep, capture_logs() as logs:
        with disk.full():
            hub.ledger.merge(Entries({"e1": Edge("k1", 1.0, offer="10.0.0.2")}), later=True)
            wait_for(lambda: logs)
            assert ledger.read(hub.ledger.state) == MANY
        wait_for(lambda: "e1" in ledger.read(hub.ledger.state).edges)
        wait_for(lambda: [entry for entry in logs if entry["event"] == "hub_ledger_written_again"])
    assert [entry["event"] for entry in logs] == ["hub_ledger_unwritten", "hub_ledger_written_again"]
    assert logs[0]["error"].startswith(f"{hub.ledger.state}/ledger.json: cannot be written: No space left on device; ")
