"""Another authority without a gap: at each step every edge that has renewed is admitted by every hub."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lbgen.base.errors import SourceError
from lbgen.hub.authority import new_bundle
from lbgen.hub.rotation import Step, left_behind, next_bundle, next_step
from lbgen.source.hub.exchange import exchange
from lbgen.source.hub.identity import join
from tests.support.clock import Clock
from tests.support.fleet import Hub


def test_rotation(tmp_path: Path) -> None:
    """An edge that renews after each step is admitted before and after each; tokens made before a step are good."""
    clock = Clock(time.time())
    bundle = new_bundle(clock())
    with Hub(bundle, "m1", tmp_path / "hub", clock) as hub:
        edge = hub.joined("e1", tmp_path / "e1")
        for step in Step:
            assert next_step(bundle) == step
            token = hub.token(f"at-{step}")
            bundle = next_bundle(bundle, clock())
            hub.authority.take(bundle)
            assert hub.ask("/v1/edge", {"type": "hello"}, edge).document["type"] == "admitted", step
            join(exchange, hub.url, token, tmp_path / step)
            edge.renew(hub.dial())
        assert (len(bundle.trusted), len(bundle.keys)) == (1, 1)
        assert next_step(bundle) == Step.PREPARE


def test_an_edge_that_was_away(tmp_path: Path) -> None:
    """An edge that has missed a step is named before the next one, and would be refused after it."""
    clock = Clock(time.time())
    bundle = new_bundle(clock())
    with Hub(bundle, "m1", tmp_path / "hub", clock) as hub:
        here, away = hub.joined("here", tmp_path / "here"), hub.joined("away", tmp_path / "away")
        revoked = hub.joined("gone", tmp_path / "gone")
        clock.now += 1
        hub.registrar.revoke(revoked.name)
        assert left_behind(bundle, hub.ledger.entries, clock()) == {}
        for _ in (Step.PREPARE, Step.SWITCH):
            bundle = next_bundle(bundle, clock())
            hub.authority.take(bundle)
            clock.now += 60  # of certificates that end in the same second none is the newer
            here.renew(hub.dial())
            assert list(left_behind(bundle, hub.ledger.entries, clock())) == ["away"]
        with pytest.raises(SourceError, match="not a hub of this fleet"):
            hub.ask("/v1/edge", {"type": "hello"}, away)
        assert hub.ask("/v1/edge", {"type": "hello"}, here).document["type"] == "admitted"


def test_old_key_is_dropped_when_it_signs_no_more() -> None:
    """From the second step on the old authority's key is in no file."""
    old = new_bundle(time.time())
    switched = next_bundle(next_bundle(old, time.time()), time.time())
    assert old.key.public_key() not in [key.public_key() for key in switched.keys]
    assert switched.trusted[1] == old.trusted[0]
