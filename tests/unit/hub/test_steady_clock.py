"""Clocks that jump: nothing is forgotten by their word, and what is said of it is the same each time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbgen.hub import ledger
from lbgen.hub.authority import new_bundle, read_bundle
from lbgen.hub.ledger import Entries, Used
from lbgen.hub.steady_clock import JUMP, STEADY, SteadyClock
from lbgen.hub.upkeep import kept_up
from lbgen.source.hub.certificates import Refused, certificate_in
from lbgen.source.hub.exchange import exchange
from lbgen.source.hub.identity import join
from tests.support.clock import Clock
from tests.support.fleet import Hub
from tests.support.wait import wait_for

DAY = 86400.0


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def hub(tmp_path: Path, clock: Clock) -> Iterator[Hub]:
    file = tmp_path / "authority.pem"
    file.write_text(new_bundle(clock()).text())
    with Hub(read_bundle(file), "m1", tmp_path / "hub", clock) as hub:
        yield hub


def test_steady() -> None:
    """An hour after the start and after each jump, whichever way; a second's correction is none."""
    clock, monotonic = Clock(), Clock()
    watch = SteadyClock(clock, monotonic)

    def passed(seconds: float, jump: float = 0.0) -> bool:
        clock.now += seconds + jump
        monotonic.now += seconds
        return watch.steady()

    assert not passed(STEADY - 1)
    assert passed(1)
    assert passed(10, JUMP / 2)
    for jump in (3 * DAY, -3 * DAY, 2 * JUMP, -2 * JUMP):
        assert not passed(10, jump)
        assert not passed(STEADY - 1)
        assert passed(1)


def test_token_after_a_jump(hub: Hub, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that was days ahead for a while makes no token good for a second edge."""
    monkeypatch.setattr("lbgen.hub.upkeep.FLUSHED", 0.001)
    token, monotonic = hub.token("e1"), Clock()
    join(exchange, hub.url, token, tmp_path / "e1")
    old = Entries(tokens={"old": Used("k" * 64, clock() - 30 * DAY)})
    hub.ledger.merge(old)
    running = kept_up(tmp_path / "authority.pem", hub.authority, hub.ledger, hub.registrar, clock, monotonic)
    with running:
        clock.now += 3 * DAY
        rounds: list[float] = []
        monkeypatch.setattr(hub.ledger, "flush", lambda: rounds.append(clock()))
        wait_for(lambda: len(rounds) >= 3)
        assert len(hub.ledger.entries.tokens) == 2
        clock.now -= 3 * DAY
        wait_for(lambda: rounds[-1] == clock())
        right = clock.now

        def is_forgotten() -> bool:
            monotonic.now += STEADY + 10  # a look between these lines sees a jump: then the next hour counts
            clock.now += STEADY + 10
            before = len(rounds)
            wait_for(lambda: len(rounds) > before + 1)
            return "old" not in hub.ledger.entries.tokens

        wait_for(is_forgotten, "what has long ended to be forgotten")
    clock.now = right
    with pytest.raises(Refused, match="has been used by another key"):
        join(exchange, hub.url, token, tmp_path / "thief")
    assert ledger.read(tmp_path / "hub").edges.keys() == {"e1"}


def test_revoked_by_a_clock_that_was_ahead(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """Tokens of the right time are older than the revocation: it is said why another one will not help."""
    hub.joined("e1", tmp_path / "e1")
    hub.registrar.revoke("e1", clock() + DAY)
    with pytest.raises(Refused, match=r"made 86400 s from now by this hub's clock: compare the clocks") as refused:
        join(exchange, hub.url, hub.token("e1"), tmp_path / "again")
    assert refused.value.code == "clock"
    clock.now += DAY + 1
    join(hub.at_any_time, hub.url, hub.token("e1"), tmp_path / "again")


def test_the_same_words(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """What an edge is told by a hub whose clock is behind does not change by the second: it is logged once."""
    certificate = certificate_in(hub.joined("e1", tmp_path / "e1").certificate)
    said = set()
    for _ in range(3):
        clock.now -= DAY
        with pytest.raises(Refused, match="yet to come here; compare the clocks") as refused:
            hub.authority.verified(certificate)
        said.add(str(refused.value))
    assert len(said) == 1
