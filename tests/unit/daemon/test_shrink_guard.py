"""`daemon.shrink_guard`: a listing in which most servers are gone is held until an independent one confirms it."""

from __future__ import annotations

import pytest

from lbgen.daemon.shrink_guard import ShrinkGuard
from lbgen.model import Model
from tests.support.builders import a_network, a_node, a_service, a_task, modelled


def model(*counts: int, draining: int = 0, first: int = 1) -> Model:
    """A model of one service for each count, with so many servers each; the first `draining` of each drain."""
    services = [
        a_service(f"s{index}", {"port": 80, "host": f"h{index}.org"}, networks=("edge-id",))
        for index in range(len(counts))
    ]
    tasks = [
        a_task(
            f"s{index}",
            slot,
            addresses={"edge-id": f"10.0.{index}.{slot}"},
            desired_state="shutdown" if slot < first + draining else "running",
        )
        for index, count in enumerate(counts)
        for slot in range(first, first + count)
    ]
    return modelled(a_node(), a_network(), *services, *tasks)


@pytest.mark.parametrize(
    ("before", "after", "vanished"),
    [
        (model(10), model(10), 0),
        (model(10), model(5), 0),
        (model(10), model(4), 6),
        (model(10), model(0), 10),
        (model(10), model(), 10),
        (model(4), model(0), 4),
        (model(3), model(0), 0),
        (model(7), model(3), 4),
        (model(8), model(4), 0),
        (model(5, 5), model(5, 0), 0),
        (model(4, 6), model(4, 0), 6),
        (model(10), model(10, first=11), 10),
        (model(10), model(10, draining=10), 0),
        (model(10, draining=10), model(0), 0),
        (model(10, draining=7), model(0), 0),
        (model(10, draining=6), model(0), 4),
        (Model(), model(10), 0),
        (Model(), Model(), 0),
    ],
)
def test_shrinking(before, after, vanished):
    """More than half of the servers, and at least four, gone at once: held; those that drained do not count."""
    guard = ShrinkGuard()
    assert guard.vanished(before, 1) == 0
    assert guard.vanished(after, 2) == vanished


def test_asked_for():
    """What an operator drains is meant to go; of the others as many as ever are doubted."""
    guard = ShrinkGuard()
    guard.vanished(model(10), 1)
    assert guard.vanished(model(2), 2, {f"s0-{slot}-id" for slot in range(3, 7)}) == 0
    guard.vanished(model(10), 3)
    assert guard.vanished(model(2), 3, {"s0-3-id"}) == 7


def test_confirmed_by_another_listing():
    """The same listing told again confirms nothing; a later one does, and counts as the state from then on."""
    guard = ShrinkGuard()
    guard.vanished(model(10), 1)
    assert guard.vanished(model(2), 2) == 8
    assert guard.vanished(model(2), 2) == 8
    assert guard.vanished(model(1), 2) == 9
    assert guard.vanished(model(2), 3) == 0
    assert guard.vanished(model(0), 3) == 0


def test_recovered():
    """Servers that are back with the second listing were never gone; the next loss is doubted anew."""
    guard = ShrinkGuard()
    guard.vanished(model(10), 1)
    assert guard.vanished(model(0), 2) == 10
    assert guard.vanished(model(10), 3) == 0
    assert guard.vanished(model(0), 4) == 10
    assert guard.vanished(model(0), 5) == 0


def test_slow_loss():
    """Each loss is compared with what was accepted last, not with how it once was."""
    guard = ShrinkGuard()
    assert [guard.vanished(model(count), 1) for count in (16, 8, 4, 2, 1, 0)] == [0] * 6


def test_doubt_outlives_a_round():
    """Rendering the accepted snapshot once more, in the meantime, is no confirmation and no recovery."""
    guard = ShrinkGuard()
    guard.vanished(model(10), 1)
    assert guard.vanished(model(0), 2) == 10
    assert guard.vanished(model(10), 1) == 0
    assert guard.vanished(model(0), 2) == 10
    assert guard.vanished(model(0), 3) == 0
