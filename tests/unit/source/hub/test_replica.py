"""What an edge makes of a hub's messages: identity, gaps, and hubs that know different things for a moment."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.base.errors import SourceError
from lbgen.snapshot import Part, Snapshot
from lbgen.source.hub import facts as wire
from lbgen.source.hub.messages import MOST_DOWN, Changes, Same, Whole, packed, read, written
from lbgen.source.hub.replica import CATCH_UP, Gap, Replica
from tests.support.builders import a_network, a_node, a_service, a_snapshot, a_task


def sent(message: Whole | Changes) -> Whole | Changes:
    """The message after its way over the wire."""
    arrived = read(packed(written(message)), MOST_DOWN)
    assert isinstance(arrived, Whole | Changes)
    return arrived


def whole(facts: Snapshot, sequence: int = 1) -> Whole | Changes:
    document = wire.document(facts)
    return sent(Whole(sequence, wire.digest(document), document))


def at(time: str, *slots: int) -> Snapshot:
    """A service with tasks that the cluster has changed last at this time."""
    tasks = [a_task("web", slot, updated_at=f"2026-11-23T10:00:{time}Z") for slot in slots]
    return a_snapshot(a_node(), a_network(), a_service(), *tasks)


def test_parts_travel() -> None:
    """Parts, their clusters and what belongs to them arrive as they were."""
    facts = replace(
        a_snapshot(
            a_node("n1", part="prod"), a_service("web", part="prod"), a_task("web"),
            a_node("n2", part="boxes", role="host"), a_service("db", part="boxes"), a_task("db", node="n2"),
            a_network("edge", part="boxes"),
        ),
        parts={"prod": Part("prod", "c1"), "boxes": Part("boxes"), "empty": Part("empty", "c3")},
    )  # fmt: skip
    replica = Replica()
    assert replica.take(whole(facts), 0)
    assert replica.facts == facts
    fewer = replace(facts, tasks={}, parts={"prod": Part("prod", "c2"), "boxes": Part("boxes")})
    keys = [("tasks", id_) for id_ in facts.tasks]
    assert replica.take(sent(wire.changes(fewer, keys, 1, 2, parts=True)), 0)
    assert replica.facts == fewer


def test_what_did_not_change_is_the_same_object() -> None:
    """Neither a change nor everything again, from whichever hub, replaces objects that are equal."""
    replica, facts = Replica(), at("01", 1, 2)
    replica.take(whole(facts), 0)
    before = replica.facts
    assert before
    after = at("02", 1, 2, 3)
    replica.take(sent(wire.changes(after, [("tasks", "web-3-id")], 1, 2, parts=False)), 0)
    assert replica.facts
    assert replica.facts.services is before.services
    assert replica.facts.tasks["web-1-id"] is before.tasks["web-1-id"]
    replica.connected(100)
    replica.take(whole(replica.facts, 99), 100)
    assert replica.facts.tasks["web-1-id"] is before.tasks["web-1-id"]
    assert replica.facts.nodes is before.nodes


def test_a_gap_is_noticed() -> None:
    """Changes to a state that is not the copy's are not applied; nor are those before anything is known."""
    replica, facts = Replica(), at("01", 1)
    with pytest.raises(Gap):
        replica.take(Changes(0, 1), 0)
    replica.take(whole(facts, 5), 0)
    with pytest.raises(Gap):
        replica.take(Changes(6, 7, gone={"tasks": ["web-1-id"]}), 0)
    replica.connected(9)  # another hub's numbers mean another state, even where they would follow
    with pytest.raises(Gap):
        replica.take(Changes(5, 6, gone={"tasks": ["web-1-id"]}), 9)
    assert replica.facts == facts


def test_what_cannot_be_read_changes_nothing() -> None:
    """A bad object is an error that names it, and the copy is as before."""
    replica, facts = Replica(), at("01", 1)
    replica.take(whole(facts), 0)
    with pytest.raises(SourceError, match=r"nodes\[0\]"):
        replica.take(Changes(1, 2, put={"": {"nodes": [{"ID": 5}]}}), 0)
    with pytest.raises(SourceError, match="another version"):
        replica.take(Whole(2, "", {"version": 3}), 0)
    assert replica.facts == facts


def test_a_hub_that_lags_behind_is_waited_for() -> None:
    """After a change to another hub, what is older than what is known is held until it has caught up."""
    replica, now = Replica(), 1000.0
    replica.take(whole(at("05", 1, 2)), now)
    known = replica.facts
    replica.connected(now)
    assert not replica.take(whole(at("01", 1), 40), now)
    assert replica.facts is known
    caught_up = at("05", 1, 2)
    assert replica.take(
        sent(wire.changes(caught_up, [("tasks", "web-1-id"), ("tasks", "web-2-id")], 40, 41, parts=False)), now
    )
    assert replica.facts == known


def test_a_hub_is_not_waited_for_without_end() -> None:
    """What it says counts after a while: the newest object may be one that is gone."""
    replica, now = Replica(), 1000.0
    replica.take(whole(at("05", 1, 2)), now)
    replica.connected(now)
    replica.take(whole(at("01", 1), 40), now)
    assert not replica.settle(now + CATCH_UP - 0.1)
    assert replica.settle(now + CATCH_UP)
    assert replica.facts == at("01", 1)
    assert not replica.settle(now + CATCH_UP)


def test_the_same_hub_is_believed_at_once() -> None:
    """Once it has caught up, nothing is held: the removal of the newest task among it."""
    replica, now = Replica(), 1000.0
    replica.connected(now)
    replica.take(whole(at("05", 1, 2)), now)
    fewer = at("01", 1)
    assert replica.take(
        sent(wire.changes(fewer, [("tasks", "web-1-id"), ("tasks", "web-2-id")], 1, 2, parts=False)), now
    )
    assert replica.facts == fewer


def test_the_digest_says_what_is_held() -> None:
    """It is the one that hubs give to the same facts, and `same` begins with it."""
    replica, facts = Replica(), at("05", 1, 2)
    assert replica.digest() == ""
    replica.take(whole(facts), 0)
    assert replica.digest() == wire.digest(wire.document(facts))
    replica.connected(5)
    assert replica.take(Same(77, replica.digest()), 5)
    assert replica.take(sent(wire.changes(at("05", 1), [("tasks", "web-2-id")], 77, 78, parts=False)), 5)
    assert replica.facts == at("05", 1)
