"""`lbgen.base.unexpected`: what nobody expected is caught, logged, counted, put off, and told if it goes on."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from lbgen.base.unexpected import KEEPS_FAILING, LONGEST_PAUSE, Part, UnexpectedErrors
from tests.support.clock import Clock


def raising(error: Exception | None = None) -> None:
    """What is guarded; it raises what it is given."""
    if error:
        raise error


@pytest.mark.parametrize("error", [RuntimeError("x"), RecursionError(), KeyError("x"), MemoryError(), OSError(5, "x")])
def test_caught(error):
    """Every exception is caught, logged with its traceback and what it concerned, and counted."""
    unexpected = UnexpectedErrors()
    with capture_logs() as logs:
        assert not unexpected.guard(Part.ROUND, "the snapshot").tried(lambda: raising(error))
    assert unexpected.counts()[Part.ROUND] == sum(unexpected.counts().values()) == 1
    (entry,) = logs
    said = {"event": "unexpected_error", "log_level": "error", "part": "round", "concerns": "the snapshot"}
    assert said.items() <= entry.items()
    assert entry["exc_info"] is error


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt()])
def test_not_caught(error):
    """What is meant to end the process does."""
    with pytest.raises(type(error)):
        UnexpectedErrors().guard(Part.ROUND).tried(lambda: raising(error))


def test_backoff():
    """Each failure in a row puts the next attempt off for longer; one that works puts nothing off."""
    clock = Clock()
    guard = UnexpectedErrors(clock).guard(Part.SOURCE)
    assert guard.due is None
    pauses = []
    for _ in range(8):
        guard.tried(lambda: raising(ValueError()))
        assert guard.due is not None
        pauses.append(guard.due - clock())
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert guard.tried(raising)
    assert guard.due is None
    guard.tried(lambda: raising(ValueError()))
    assert guard.due == clock() + 1


def test_keep_up():
    """What raises is called again after a pause, until it returns or the end has come."""
    guard, pauses = UnexpectedErrors().guard(Part.SOURCE), []
    errors = [ValueError(), ValueError(), None]
    guard.keep_up(lambda: raising(errors.pop(0)), lambda seconds: bool(pauses.append(seconds)))
    assert (pauses, guard.in_a_row, guard.count) == ([1, 2], 0, 2)
    guard.keep_up(lambda: raising(ValueError()), lambda seconds: len(pauses) == 5 or bool(pauses.append(seconds)))
    assert pauses == [1, 2, 1, 2, 4]


def test_keeps_failing():
    """Only what has failed many times in a row is told, by name and with its error, until it works."""
    unexpected = UnexpectedErrors()
    edge, other = unexpected.guard(Part.TARGET, "edge"), unexpected.guard(Part.TARGET, "other")
    for _ in range(KEEPS_FAILING - 1):
        edge.failed(ValueError("x"))
        other.failed(ValueError("x"))
        other.worked()
    assert unexpected.keep_failing() == []
    edge.failed(KeyError("name"))
    (said,) = unexpected.keep_failing()
    assert said == f"target (edge) has failed {KEEPS_FAILING} times in a row: KeyError: 'name'"
    assert unexpected.counts()[Part.TARGET] == 2 * KEEPS_FAILING - 1
    edge.worked()
    assert unexpected.keep_failing() == []


def test_log_is_not_flooded():
    """Of a thousand failures in a row ten are logged; the first after a success is."""
    guard = UnexpectedErrors().guard(Part.STATUS, "/metrics", event="status_failed", path="/metrics")
    with capture_logs() as logs:
        for _ in range(1000):
            guard.failed(ValueError("x"))
        guard.worked()
        guard.failed(ValueError("x"))
    assert [entry["in_a_row"] for entry in logs] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1]
    assert {(entry["event"], entry["path"]) for entry in logs} == {("status_failed", "/metrics")}


def test_one_guard():
    """All who ask for the guard of one thing get the same: the failures in a row outlive what failed."""
    unexpected = UnexpectedErrors()
    assert unexpected.guard(Part.STREAM, "push") is unexpected.guard(Part.STREAM, "push")
    assert unexpected.guard(Part.STREAM, "push") is not unexpected.guard(Part.STREAM, "events")
