"""What is said of certificates of a fleet before they end, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.hub.authority import LIFE, YEARS, Authority, new_bundle
from lbgen.hub.rotation import next_bundle
from lbgen.source.hub.expiry import EARLY, Reminder
from tests.support.clock import Clock
from tests.support.fleet import Hub

DAY = 86400.0
NOW = float(int(time.time()))


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def hub(tmp_path: Path, clock: Clock) -> Iterator[Hub]:
    with Hub(new_bundle(NOW), "m1", tmp_path / "hub", clock) as hub:
        yield hub


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (EARLY + 1, ""),
        (EARLY, " ends in 90 days, at "),
        (1.5 * DAY, " ends in 1 day, at "),
        (60.0, " ends in less than a day, at "),
        (0.0, " has ended at "),
        (-DAY, " has ended at "),
    ],
)
def test_authority(clock: Clock, left: float, said: str) -> None:
    """From 90 days before its end, with what to do about it."""
    authority = Authority(new_bundle(NOW), "m1", clock)
    until = authority.validity().until
    assert round((until - NOW) / 365.25 / DAY, 2) == YEARS
    clock.now = until - left
    told = authority.validity()
    assert told.message == "" if not said else said in told.message
    assert ("hub rotate" in told.remedy) is bool(said)
    assert not said or authority.fingerprint[:16] in told.message


def test_edge_knows_the_authoritys_end(hub: Hub, tmp_path: Path, clock: Clock) -> None:
    """It is told of the one that has signed its certificate, also while another one is trusted already."""
    edge = hub.joined("e1", tmp_path / "e1")
    clock.now += (YEARS - 0.2) * 365.25 * DAY
    assert [each.which for each in edge.validities() if each.message] == ["own", "authority"]
    hub.authority.take(next_bundle(hub.authority.bundle, clock()))
    edge = hub.joined("e2", tmp_path / "e2", hub.at_any_time)
    _, authority = edge.validities()
    assert (authority.until, bool(authority.message)) == (hub.authority.validity().until, True)
    hub.authority.take(next_bundle(hub.authority.bundle, clock()))
    edge.renew(hub.dial_at_any_time())
    assert not any(each.message for each in edge.validities())


@pytest.mark.parametrize(("left", "said"), [(5 * 3600.0, ""), (4 * 3600.0, " ends at "), (0.0, " has ended at ")])
def test_edge_that_was_not_renewed(hub: Hub, tmp_path: Path, clock: Clock, left: float, said: str) -> None:
    """When half of the time for that is over."""
    edge = hub.joined("e1", tmp_path / "e1")
    clock.now += LIFE - left
    own, _ = edge.validities()
    assert own.message == "" if not said else f"the certificate of e1{said}" in own.message
    assert not said or "certificate_not_renewed" in own.remedy


def test_reminder(clock: Clock) -> None:
    """A line when it begins, and one a day."""
    authority, reminder = Authority(new_bundle(NOW), "m1", clock), Reminder()
    end = authority.validity().until
    with capture_logs() as logs:
        for hours in range(100 * 24, 80 * 24, -1):
            clock.now = end - hours * 3600
            reminder.look([authority.validity()])
    assert {entry["event"] for entry in logs} == {"certificate_ends"}
    assert len(logs) == 11
