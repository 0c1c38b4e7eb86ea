"""`lbgen.source.engine.follower.Known`: what is known of a cluster, and when it is handed on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.snapshot import Node
from lbgen.source.engine.follower import Known
from lbgen.source.engine.listing import Round
from lbgen.source.facts import EMPTY, KINDS
from lbgen.source.mailbox import Change, Mail

FACTS = EMPTY | {"nodes": {"n": Node("n", "node1")}}
LISTED = Known(FACTS, cluster="c", listing=1)


def look(facts):
    """A look that found this."""
    found = Round(None, facts, {"services": {"gone"}})
    found.versions = {"nodes": {"n": 7}}
    return found


def test_first_listing():
    """Before it nothing is handed on; the first is, with its number."""
    assert Known(FACTS).handed_on(1.0).snapshot.nodes == {}
    known = LISTED.handed_on(5.0)
    assert (known.snapshot.nodes, known.snapshot.cluster) == (FACTS["nodes"], "c")
    assert (known.snapshot.listing, known.snapshot.taken_at) == (1, 5.0)
    assert known.snapshot.causes[0].text.startswith("first snapshot: ")


@pytest.mark.parametrize(
    ("change", "handed_on"),
    [
        ({}, False),
        ({"listing": 2}, False),
        ({"owed": 1, "listing": 1}, False),
        ({"owed": 1, "listing": 2}, True),
        ({"facts": EMPTY | {"nodes": {"n": Node("n", "renamed")}}}, True),
        ({"cluster": "d"}, True),
    ],
)
def test_handed_on(change, handed_on):
    """What changed is, and a full listing that somebody asked for; another listing that says the same is not."""
    before = replace(LISTED.handed_on(5.0), **change)
    after = before.handed_on(6.0)
    assert (after is not before) == handed_on
    assert after.handed_on(7.0) is after


def test_listed():
    """Facts, versions and what is missing are the look's; a look that found the same changes no time."""
    other = EMPTY | {"nodes": {"n": Node("n", "renamed")}}
    known = LISTED.listed(look(other), "", 9.0)
    assert (known.facts["nodes"], known.versions["nodes"], known.absent) == (
        other["nodes"],
        {"n": 7},
        {"services": {"gone"}},
    )
    assert (known.changed_at, known.cluster, known.listing) == (9.0, "c", 1)
    again = known.listed(look(known.facts), "d", 10.0)
    assert (again.changed_at, again.cluster) == (9.0, "d")


def test_patched():
    """A change of an object counts as one; mail without any leaves the very same value."""
    assert LISTED.patched(Mail(frozenset({"nodes"}), relist=True), 9.0) is LISTED
    known = LISTED.patched(Mail(changes=(Change("nodes", "n", Node("n", "renamed"), 8),)), 9.0)
    assert (known.facts["nodes"]["n"].hostname, known.changed_at) == ("renamed", 9.0)
    assert all(known.facts[kind] is LISTED.facts[kind] for kind in KINDS if kind != "nodes")
    assert LISTED.facts["nodes"]["n"].hostname == "node1"
