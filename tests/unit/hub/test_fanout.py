"""What edges are sent, by what they were sent last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.hub.fanout import FEW, Fanout
from lbgen.snapshot import Snapshot
from lbgen.source.facts import kept
from lbgen.source.hub.messages import MOST_DOWN, Changes, Same, Whole, read
from lbgen.source.hub.replica import Replica
from tests.support.bench import a_cluster


def after(before: Snapshot, facts: Snapshot) -> Snapshot:
    """The facts as a source would give them: what is equal is the same object."""
    return replace(
        facts,
        tasks=kept(before.tasks, facts.tasks),
        services=kept(before.services, facts.services),
        nodes=kept(before.nodes, facts.nodes),
        networks=kept(before.networks, facts.networks),
    )


def published(*sizes: int, most_keys: int = 1000) -> Fanout:
    """A fan-out that was told clusters of so many servers."""
    fanout, last = Fanout(most_keys), Snapshot()
    for size in sizes:
        last = after(last, a_cluster(size))
        fanout.publish(last)
    return fanout


def message(fanout: Fanout, at: int) -> object:
    payload = fanout.payload(at)
    assert payload
    return read(payload.data, MOST_DOWN)


def test_nothing_is_told_before_anything_is_known() -> None:
    """A hub that has just started has nothing to say: no edge takes it for an empty cluster."""
    fanout = Fanout()
    assert fanout.payload(0) is None
    assert fanout.greeting("") is None


def test_everything_then_changes() -> None:
    """A new edge gets everything; one that has it gets what has changed since, as it is now."""
    fanout = published(2, 3, 4)
    assert isinstance(message(fanout, 0), Whole)
    told = message(fanout, 1)
    assert isinstance(told, Changes)
    assert (told.since, told.sequence) == (1, 3)
    assert [task["ID"] for task in told.put[""]["tasks"]] == ["web-3-id", "web-4-id"]
    assert fanout.payload(3) is None


def test_what_came_and_went_is_told_as_it_is_now() -> None:
    """Changes are folded: an object that is gone again is only gone."""
    told = message(published(2, 3, 2), 1)
    assert told == Changes(1, 3, gone={"tasks": ["web-3-id"]})


def test_the_same_bytes_for_all() -> None:
    """A message is made once, however many edges need it."""
    fanout = published(2, 3)
    assert fanout.payload(1) is fanout.payload(1)
    assert fanout.payload(0) is fanout.payload(0)


def test_nothing_changed() -> None:
    """The same facts again are no news."""
    fanout = published(2)
    facts = fanout.facts
    assert facts
    assert not fanout.publish(replace(facts, listing=9, taken_at=5.0))
    assert fanout.sequence == 1


def test_too_far_behind() -> None:
    """An edge that has missed more than the log has gets everything, and the log is bounded."""
    fanout = published(*range(1, 60), most_keys=20)
    assert isinstance(message(fanout, 1), Whole)
    assert isinstance(message(fanout, 58), Changes)
    assert isinstance(message(fanout, 45), Changes)


def test_too_much_to_tell_one_by_one() -> None:
    """Where most of it has changed everything is sent."""
    assert isinstance(message(published(1, FEW + 2), 1), Whole)
    assert isinstance(message(published(1, FEW - 2), 1), Changes)


def test_who_holds_it_already() -> None:
    """An edge that comes from another hub, with the same facts, is not sent them again."""
    fanout, replica = published(2, 3), Replica()
    greeting = fanout.greeting("something else")
    assert greeting
    assert greeting.whole
    first = read(greeting.data, MOST_DOWN)
    assert isinstance(first, Whole)
    replica.take(first, 0)
    again = published(3).greeting(replica.digest())
    assert again
    assert read(again.data, MOST_DOWN) == Same(1, replica.digest())


@pytest.mark.parametrize("start", range(1, 6))
def test_any_edge_ends_with_the_same_facts(start: int) -> None:
    """Wherever an edge is, what it is sent brings it to the newest facts."""
    sizes = [3, 5, 4, 7, 2, 6]
    fanout, replica, last = Fanout(), Replica(), Snapshot()
    for number, size in enumerate(sizes, 1):
        last = after(last, a_cluster(size))
        fanout.publish(last)
        if number == start:
            first = message(fanout, 0)
            assert isinstance(first, Whole)
            replica.take(first, 0)
    told = message(fanout, start) if start < len(sizes) else None
    if told:
        assert isinstance(told, Changes)
        replica.take(told, 0)
    assert replica.facts == last
