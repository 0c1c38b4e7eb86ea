"""What ended lbgen once, or makes any part of it raise, costs no request: the short form of `make faults`."""

from __future__ import annotations

import pytest

from tests.support.faults import MISTAKES, PROXIES, SHORT, run


@pytest.mark.parametrize("proxy", [pytest.param(name, marks=pytest.mark.proxy(name, "openssl")) for name in PROXIES])
def test_faults(proxy, short_dir):
    """Hostile answers, events and certificates, mistakes everywhere at random, and both ends that nobody meant."""
    outcomes = list(run(proxy, SHORT, short_dir))
    assert [outcome.fault for outcome in outcomes] == [fault.name for fault in SHORT]
    assert [outcome for outcome in outcomes if outcome.lost or not outcome.sent] == []


@pytest.mark.proxy("haproxy")
def test_every_callback_raises(short_dir):
    """A RuntimeError in each thread and callback, one at a time, costs no request, and lbgen follows afterwards."""
    outcomes = list(run("haproxy", MISTAKES, short_dir))
    assert len(outcomes) == len(MISTAKES)
    assert [outcome for outcome in outcomes if outcome.lost or not outcome.sent] == []
