"""The arithmetic of the bench, on traces that are written down here. Run with ``python -m pytest bench``."""

from __future__ import annotations

import pytest

from bench import seats, store, trace
from bench.hub_loss import tail
from bench.measure import BETWEEN, outcomes
from bench.seat import usable
from bench.stage import Block, Event
from bench.store import Story

T = 1_000_000.0


def request(begun: float, seconds: float = 0.002, outcome: str = "ok", who: str = "old") -> trace.Request:
    """A request, begun that many seconds after T."""
    return trace.Request(T + begun, seconds, outcome, who if outcome == "ok" else "-")


def block(event: Event, *requests: trace.Request, applied: tuple[float, ...] = ()) -> Block:
    """A block with one event, and one seat's requests."""
    found = Block("abrupt", [event], {"seat": {"close": list(requests)}}, {}, 0.0)
    found.applied["seat"] = [seats.Applied(T + at, "runtime-api") for at in applied]
    return found


def test_every_request_is_counted_once() -> None:
    """By when it was begun: in the event, or between events, however it ended."""
    event = Event("scale-up", "abrupt", T + 1, T + 2)
    requests = [request(0.5), request(0.99, 3.0), request(1.0, 5.0, "timeout"), request(1.99), request(2.0, 0, "reset")]
    found = outcomes([block(event, *requests)])
    inside, between = found[("scale-up", "abrupt")]["seat"], found[(BETWEEN, "abrupt")]["seat"]
    assert inside.counts["close"].as_dict() == {"sent": 2, "failed": 1, "failures": {"timeout": 1}, "slow": 0}
    assert between.counts["close"].as_dict() == {"sent": 3, "failed": 1, "failures": {"reset": 1}, "slow": 1}


def test_arrival() -> None:
    """A new task's first answer, its place in the rotation and lbgen's word are measured from Swarm's time stamps."""
    story = Story("t", "n", who="new", ran=T + 1.5, ran_stored=T + 1.52)
    event = Event("scale-up", "abrupt", T + 1, T + 4, arriving=[story], inside={"seat": T + 1.53})
    answers = (request(1.54, who="old"), request(1.6, 0.01, who="new"), request(1.7, who="new"))
    found = outcomes([block(event, *answers, applied=(1.4, 1.528, 2.0))])[("scale-up", "abrupt")]["seat"]
    assert found.entered == pytest.approx([0.11])
    assert found.entered_stored == pytest.approx([0.09])
    assert found.inside == pytest.approx([0.01])
    assert found.live == pytest.approx([0.008])
    assert found.never_entered == 0


def test_departure() -> None:
    """The last request that a leaving task was given; what nobody answered is nobody's."""
    event = Event("scale-down", "abrupt", T, T + 9, leaving=[Story("t", "n", who="gone", left=T + 1)])
    requests = [request(0.9, who="gone"), request(1.2, who="gone"), request(3, 5.0, "timeout")]
    found = outcomes([block(event, *requests)])[("scale-down", "abrupt")]["seat"]
    assert found.left == pytest.approx([0.2])


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([], []),
        ([request(1.2)], []),
        ([request(1.2, 1.0)], [0.2]),  # held up by a connect timeout, then answered by another
        ([request(1.2, 1.0), request(1.9, 5.0, "timeout"), request(6.0, 0.3)], [0.9]),  # the last is another matter
    ],
)
def test_disturbance(requests: list[trace.Request], expected: list[float]) -> None:
    """A dead task disturbs until a second passes without a failed or slow request."""
    event = Event("kill", "abrupt", T, T + 9, dead=[Story("t", "n", failed=T + 1, failed_stored=T + 1.1)])
    event.out["seat"] = T + 1.15
    found = outcomes([block(event, *requests)])[("kill", "abrupt")]["seat"]
    assert found.disturbed == pytest.approx(expected)
    assert found.undisturbed == (not expected)
    assert found.out == pytest.approx([0.05])


def test_a_trace_is_read_as_it_is_written() -> None:
    """One line a request."""
    found = trace.parsed(["1000001.500000 0.002000 ok abc\n", "1000002.000000 5.000000 timeout -\n"])
    assert found == [trace.Request(T + 1.5, 0.002, "ok", "abc"), trace.Request(T + 2, 5.0, "timeout", "-")]


def test_time_stamps_of_the_engine() -> None:
    """RFC 3339 with nanoseconds."""
    assert store.epoch("2026-11-23T02:06:42.975116123Z") == pytest.approx(1795399602.975116)
    assert store.epoch("2026-11-23T02:06:42Z") == 1795399602


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("3 web 1 web.1 10.0.0.5 2 0 1", True),
        ("3 web 1 web.1 10.0.0.5 2 4 100", True),  # was "disabled" in the file, is not now
        ("3 web 1 web.1 10.0.0.5 0 0 1", False),  # down
        ("3 web 1 web.1 10.0.0.5 2 0 0", False),  # weight 0
        ("3 web 1 web.1 10.0.0.5 2 8 1", False),  # drain
        ("3 web 1 web.1 10.0.0.5 0 32 1", False),  # no address from the resolver
        ("3 web 1 web.1 10.0.0.6 2 0 1", False),
    ],
)
def test_who_is_in_haproxys_rotation(row: str, expected: bool) -> None:
    """Rows of ``show servers state``, shortened."""
    text = f"1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight\n{row} 1 5 6 3\n"
    assert usable(text, "10.0.0.5") is expected


def test_tail() -> None:
    """Of 200 values two are above the 99th percentile, of 100 one."""
    assert tail([float(value) for value in range(1, 201)]) == "100, p99 198, worst 200"
    assert tail([float(value) for value in range(100, 0, -1)]) == "50, p99 99, worst 100"
