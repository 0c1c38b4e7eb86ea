"""What a hub does of its own accord: files that revoke, a new authority, peers, the ledger on disk."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from lbgen.base import request_file
from lbgen.base.errors import SettingsError
from lbgen.hub import ledger, revocations
from lbgen.hub.authority import Authority, new_bundle, read_bundle
from lbgen.hub.rotation import next_bundle
from lbgen.hub.upkeep import kept_up
from lbgen.source.hub.certificates import Refused
from lbgen.source.hub.exchange import websocket_url
from tests.support.clock import Clock
from tests.support.fleet import Hub
from tests.support.wait import wait_for


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def hub(tmp_path: Path, clock: Clock) -> Iterator[Hub]:
    file = tmp_path / "authority.pem"
    file.write_text(new_bundle(clock()).text())
    with Hub(read_bundle(file), "m1", tmp_path / "hub", clock) as hub:
        yield hub


def running(hub: Hub, tmp_path: Path) -> contextlib.AbstractContextManager[None]:
    return kept_up(tmp_path / "authority.pem", hub.authority, hub.ledger, hub.registrar, hub.clock)


def test_revocation_is_taken_at_once(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """The command's answer is that the file is gone."""
    edge = hub.joined("e1", tmp_path / "e1")
    with running(hub, tmp_path):
        assert revocations.ask(tmp_path / "hub", "e1", clock() + 1)
        assert hub.revoked == ["e1"]
        with pytest.raises(Refused, match="e1 is revoked"):
            hub.ask("/v1/edge", {"type": "hello"}, edge)
    assert "e1" in ledger.read(tmp_path / "hub").revoked


def test_revocation_is_taken_at_the_start(
    hub: Hub, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was asked for while no hub ran voids what was there then, and nothing that came later."""
    hub.joined("e1", tmp_path / "e1")
    hub.joined("e2", tmp_path / "e2")
    asked = clock() + 1
    monkeypatch.setattr(request_file, "PATIENCE", 0.0)
    for name in ("e1", "e2"):
        assert not revocations.ask(tmp_path / "hub", name, asked)
    clock.now += 60
    newer = hub.joined("e2", tmp_path / "newer")
    with running(hub, tmp_path):
        wait_for(lambda: len(hub.ledger.entries.revoked) == 2)
        assert hub.ask("/v1/edge", {"type": "hello"}, newer).document["name"] == "e2"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"at": "x"}', '{"at": Infinity}', "x" * 10_000])
def test_what_is_no_revocation(hub: Hub, tmp_path: Path, content: str) -> None:
    """It revokes nobody, and what comes after it is taken."""
    path = tmp_path / "hub/revocations/a.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with running(hub, tmp_path):
        assert revocations.ask(tmp_path / "hub", "e1", hub.clock())
    assert list(hub.ledger.entries.revoked) == ["e1"]


def test_new_authority(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """A step of a rotation is taken from the file; what is no authority changes nothing."""
    file, first = tmp_path / "authority.pem", hub.authority.fingerprint
    with running(hub, tmp_path):
        file.write_text(next_bundle(hub.bundle, clock()).text())
        wait_for(lambda: len(hub.authority.fingerprints) == 2)
        file.write_text("what is this")
        file.write_text(new_bundle(clock()).text())
        wait_for(lambda: hub.authority.fingerprint != first)


def test_connections_outlive_a_new_certificate(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """Neither a new certificate of the hub nor a new authority closes a connection; new ones see the new one."""
    edge = hub.joined("e1", tmp_path / "e1")
    url = websocket_url(hub.url) + "/v1/edge"
    with connect(url, ssl=edge.client_context(), compression=None) as connection:
        first = connection.socket.getpeercert(True)  # type: ignore[attr-defined]
        hub.authority.take(next_bundle(hub.bundle, clock()))
        with connect(url, ssl=edge.client_context(), compression=None) as another:
            assert another.socket.getpeercert(True) == hub.authority.certificate != first  # type: ignore[attr-defined]
        connection.send('{"type": "hello"}')
        assert json.loads(connection.recv())["name"] == "e1"


def test_peers_hear_of_it_without_being_asked(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """What a hub decides reaches its peers at once, not with the next exchange half a minute later."""
    with Hub(hub.bundle, "m2", tmp_path / "m2", clock) as other:
        other.joined("e1", tmp_path / "e1")
        hub.with_peers(other.url)
        with running(hub, tmp_path):
            wait_for(lambda: "e1" in hub.ledger.entries.edges)
            hub.registrar.revoke("e1")
            wait_for(lambda: "e1" in other.ledger.entries.revoked)


def test_state_is_nobody_elses(hub: Hub, tmp_path: Path) -> None:
    """The hub's state is for its account alone, and holds no token and no key."""
    token = hub.token("e1")
    with running(hub, tmp_path):
        hub.joined("e2", tmp_path / "e2")
    state = tmp_path / "hub"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    files = [path for path in state.rglob("*") if path.is_file()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * len(files)
    for path in files:
        assert token.split(".")[2] not in path.read_text()
        assert "PRIVATE" not in path.read_text()


def test_what_may_wait_is_on_disk_at_the_end(hub: Hub, tmp_path: Path) -> None:
    """When a certificate ends, and when an edge was last seen, is known after a restart."""
    edge = hub.joined("e1", tmp_path / "e1")
    with running(hub, tmp_path):
        hub.registrar.seen(hub.registrar.admitted(edge.certificate))
    kept = ledger.read(tmp_path / "hub").edges["e1"]
    assert (kept.until, kept.hub, kept.seen) == (edge.until, "m1", hub.clock())


def test_authority_that_others_may_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told with its mode, and used."""
    file = tmp_path / "authority.pem"
    file.write_text(new_bundle(time.time()).text())
    for mode, told in ((0o600, False), (0o400, False), (0o640, True), (0o644, True)):
        file.chmod(mode)
        Authority.load(file, "m1")
        assert ("hub_authority_readable" in capsys.readouterr().out) == told, oct(mode)


def test_many_at_once(hub: Hub, tmp_path: Path) -> None:
    """Edges that join at the same time are all in the ledger."""
    threads = [threading.Thread(target=hub.joined, args=[f"e{n}", tmp_path / f"e{n}"]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads((tmp_path / "hub/ledger.json").read_text())["edges"]) == 8


def test_hub_renews_its_own_certificate(clock: Clock) -> None:
    """Long before it ends, with connections or without; and after a jump of the clock."""
    authority = Authority(new_bundle(clock()), "m1", clock)
    first = authority.certificate
    clock.now += 15 * 3600
    authority.refresh()
    assert authority.certificate == first
    clock.now += 2 * 3600
    authority.refresh()
    second = authority.certificate
    assert second != first
    clock.now -= 24 * 3600
    authority.refresh()
    assert authority.certificate not in (first, second)


def test_state_that_cannot_be_made(tmp_path: Path, clock: Clock) -> None:
    """It is an error of the settings, which ends lbgen, and no mistake that it tries again after."""
    with Hub(new_bundle(clock()), "m1", tmp_path / "lbgen/hub", clock) as hub:
        (tmp_path / "lbgen").touch()
        with (
            pytest.raises(SettingsError, match=r"hub.state .*/lbgen.*; give it to lbgen's account"),
            kept_up(tmp_path / "authority.pem", hub.authority, hub.ledger, hub.registrar),
        ):
            pass
