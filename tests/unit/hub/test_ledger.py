"""The ledger: hubs that exchange it come to the same, in whatever order; on disk it is whole or as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbgen.base.errors import SettingsError
from lbgen.hub.ledger import EDGE_FORGOTTEN, FILE, FORGOTTEN, Edge, Entries, Ledger, Used, entries_in, merged, read

TIMES = st.sampled_from([0.0, 1.0, 2.0, 3.5])
WORDS = st.sampled_from(["", "a", "b"])
NAMES = st.sampled_from(["e1", "e2"])
EDGES = st.builds(
    Edge, WORDS, TIMES, WORDS, st.dictionaries(st.just("zone"), WORDS, max_size=1), TIMES, WORDS, TIMES, WORDS
)
ENTRIES = st.builds(
    Entries,
    st.dictionaries(NAMES, EDGES, max_size=2),
    st.dictionaries(WORDS, st.builds(Used, WORDS, TIMES), max_size=2),
    st.dictionaries(NAMES, TIMES, max_size=2),
)


@settings(max_examples=300, deadline=None)
@given(ENTRIES, ENTRIES, ENTRIES)
def test_union(one: Entries, two: Entries, three: Entries) -> None:
    """Order, grouping and repetition change nothing."""
    assert merged(one, two) == merged(two, one)
    assert merged(merged(one, two), three) == merged(one, merged(two, three))
    assert merged(one, one) == one
    assert merged(merged(one, two), two) == merged(one, two)


@settings(max_examples=100, deadline=None)
@given(ENTRIES, ENTRIES)
def test_nothing_is_undone(one: Entries, two: Entries) -> None:
    """Neither a revocation nor the use of a token is ever taken back, and no older join returns."""
    both = merged(one, two)
    for each in (one, two):
        assert all(both.revoked[name] >= at for name, at in each.revoked.items())
        assert set(each.tokens) <= set(both.tokens)
        assert all(both.edges[name].joined >= edge.joined for name, edge in each.edges.items())


@settings(max_examples=100, deadline=None)
@given(ENTRIES)
def test_document(entries: Entries) -> None:
    assert entries_in(entries.document()) == entries


def test_what_is_told(tmp_path: Path) -> None:
    """Names whose certificates have become void: not those that are new, and not those that were only seen."""
    ledger = Ledger(tmp_path)
    edge = Edge("k1", 1.0)
    assert ledger.merge(Entries({"e1": edge, "e2": edge})) == frozenset()
    assert ledger.merge(Entries({"e1": Edge("k1", 1.0, seen=5.0)})) == frozenset()
    assert ledger.merge(Entries({"e1": Edge("k2", 2.0)})) == {"e1"}
    assert ledger.merge(Entries(revoked={"e2": 3.0, "e3": 3.0})) == {"e2", "e3"}
    assert ledger.merge(Entries(revoked={"e2": 2.0})) == frozenset()


def test_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is not in force: a hub would forget it with the next restart."""
    ledger = Ledger(tmp_path)
    ledger.merge(Entries(revoked={"e1": 1.0}))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lbgen.hub.ledger.write_private", full)
    with pytest.raises(OSError, match="No space"):
        ledger.merge(Entries(revoked={"e2": 1.0}))
    assert ledger.entries == read(tmp_path) == Entries(revoked={"e1": 1.0})


def test_what_may_wait(tmp_path: Path) -> None:
    """It is on disk with whatever comes after it that may not, even if that is nothing new."""
    ledger, entries = Ledger(tmp_path), Entries({"e1": Edge("k1", 1.0)})
    ledger.merge(entries, later=True)
    assert read(tmp_path) == Entries()
    ledger.merge(entries)
    assert read(tmp_path) == entries


def test_used_tokens_are_forgotten(tmp_path: Path) -> None:
    """A day after they could have been used last; what is kept is bounded by what is made in a month."""
    ledger = Ledger(tmp_path)
    ledger.merge(Entries(tokens={"old": Used("k", 10.0), "new": Used("k", 1000.0)}))
    ledger.forget(10.0 + FORGOTTEN)
    ledger.flush()
    assert list(read(tmp_path).tokens) == ["new"]


def test_edges_long_gone_are_forgotten(tmp_path: Path) -> None:
    """Once they could renew no more, with a margin; agents stay, as their servers do, and so do revocations."""
    ledger, end = Ledger(tmp_path), 100_000.0
    edges = {
        "gone": Edge("k1", 1.0, until=end),
        "back": Edge("k2", 1.0, until=end + 1),
        "seen": Edge("k3", 1.0, until=end, seen=end + 1),
        "agent": Edge("k4", 1.0, "10.200.0.7", until=end),
    }
    ledger.merge(Entries(edges, revoked={"gone": 2.0}))
    ledger.forget(end + EDGE_FORGOTTEN - 1)
    assert ledger.entries.edges == edges
    ledger.forget(end + EDGE_FORGOTTEN)
    ledger.flush()
    assert (sorted(read(tmp_path).edges), read(tmp_path).revoked) == (["agent", "back", "seen"], {"gone": 2.0})


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "edges": 5, "tokens": {}, "revoked": {}}']
)
def test_damaged(tmp_path: Path, text: str) -> None:
    """A hub does not start without what it has decided."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(SettingsError, match=r"ledger.json: it is damaged .*restore it, or remove it"):
        Ledger(tmp_path)
