"""What edges say, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lbgen.hub.rollout import Phase, Rollout
from lbgen.hub.rollout_events import SETTLE, EdgeState, Site

OLD = EdgeState("old", 1, ready=True, connected=True, accept=("templates",))
NEW = replace(OLD, version="new")
AWAY, UNREADY = replace(NEW, connected=False), replace(NEW, ready=False)
REFUSED = replace(OLD, refused="new", error="haproxy: no")
DEAF = replace(OLD, accept=())


def site(phase: str, edges: dict[str, EdgeState], *, tried: str = "c", sound: str = "c", canaries: str = "c") -> Site:
    rollout = Rollout(Phase(phase), "new", "old", 100.0, "", frozenset(tried), frozenset(sound))
    named = frozenset(canaries)
    return Site(rollout, edges, named, lambda edge: rollout.version_for(edge, named), 60.0, began=0.0)


def first(phase: str, edges: dict[str, EdgeState]) -> Site:
    """The first rollout of all: there is nothing to go back to but the edges' own files."""
    then = replace(site(phase, edges).rollout, before="")
    return Site(then, edges, frozenset("c"), lambda edge: then.version_for(edge, frozenset("c")), 60.0, began=0.0)


@pytest.mark.parametrize(
    ("at", "now", "event"),
    [
        # canary
        (site("canary", {"c": NEW}), 100.0, "last edge accepted"),
        (site("canary", {"c": NEW, "o": OLD}), 100.0, "last edge accepted"),
        (site("canary", {"c": OLD}), 100.0, None),
        (site("canary", {}), 1000.0, None),
        (site("canary", {"c": AWAY}), 1000.0, None),
        (site("canary", {"c": UNREADY}, sound=""), 1000.0, None),
        (site("canary", {"c": UNREADY}), 100.0, "readiness fell"),
        (site("canary", {"c": REFUSED}), 100.0, "edge refused"),
        (site("canary", {"c": REFUSED}, tried=""), 100.0, None),
        (site("canary", {"c": replace(OLD, refused="older")}), 100.0, None),
        (site("canary", {"c": DEAF}), 1000.0, None),
        (site("canary", {"c": NEW, "d": DEAF}, canaries="cd"), 100.0, "last edge accepted"),
        (site("canary", {"c": NEW, "d": OLD}, canaries="cd"), 100.0, None),
        (site("canary", {"c": NEW}, canaries="cd"), 1000.0, None),
        # pause
        (site("pause", {"c": NEW}), 159.0, None),
        (site("pause", {"c": NEW}), 160.0, "pause over"),
        (site("pause", {"c": AWAY}), 160.0, "canary gone"),
        (site("pause", {"c": UNREADY}), 160.0, "readiness fell"),
        (site("pause", {"c": REFUSED}), 160.0, "edge refused"),
        # rest
        (site("rest", {"c": NEW, "o": OLD}), 1000.0, None),
        (site("rest", {"c": NEW, "o": NEW}), 100.0, "last edge accepted"),
        (site("rest", {"c": NEW, "o": AWAY}), 100.0, "last edge accepted"),
        (site("rest", {"c": NEW, "o": DEAF}), 100.0, "last edge accepted"),
        (site("rest", {"c": NEW, "o": REFUSED}, tried="co"), 100.0, "edge refused"),
        (site("rest", {"c": NEW, "o": UNREADY}, tried="co", sound="co"), 100.0, "readiness fell"),
        (site("rest", {"c": NEW, "o": UNREADY}, tried="co"), 100.0, "last edge accepted"),
        # the others
        (site("idle", {"c": OLD}), 1000.0, None),
        (site("done", {"c": UNREADY, "o": REFUSED}, tried="co"), 1000.0, None),
        (site("stopped", {"c": NEW}), 1000.0, None),
        (site("stopped", {"c": OLD}), 100.0, "last edge accepted"),
        (site("stopped", {"c": REFUSED}), 100.0, "last edge accepted"),
        (site("stopped", {"c": AWAY}), 100.0, "last edge accepted"),
        (site("stopped", {"c": replace(NEW, refused="old")}), 100.0, "last edge accepted"),
        (site("rolled-back", {"c": UNREADY}), 1000.0, None),
    ],
)
def test_next_event(at: Site, now: float, event: str | None) -> None:
    """What edges say becomes at most one event, at its time."""
    found = at.next_event(now)
    assert (found and found[0].value) == event


def test_reason() -> None:
    """The reason of a stop names the edge and has its own words."""
    event = site("canary", {"c": REFUSED}).next_event(100.0)
    assert event
    assert event[1] == "c refused it: haproxy: no"


def test_a_hub_that_has_just_begun() -> None:
    """Nobody is connected yet: that is no reason to be done."""
    begun = replace(site("rest", {}), began=200.0)
    assert begun.next_event(200.0 + SETTLE - 1) is None
    assert begun.due() == 200.0 + SETTLE
    assert begun.next_event(200.0 + SETTLE)


@pytest.mark.parametrize(
    ("at", "awaited"),
    [
        (site("canary", {}), {"c": "is not connected"}),
        (site("canary", {"c": DEAF}), {"c": "accepts nothing from a hub (source.hub.accept)"}),
        (site("canary", {"c": OLD}), {"c": "has not taken it yet"}),
        (site("canary", {"c": UNREADY}), {"c": "is not ready"}),
        (site("rest", {"c": NEW, "o": OLD, "p": DEAF}), {"o": "has not taken it yet"}),
        (site("stopped", {"c": NEW, "o": NEW}), {"c": "has not gone back yet"}),
        (site("done", {"c": OLD}), {}),
    ],
)
def test_awaited(at: Site, awaited: dict[str, str]) -> None:
    """Who is waited for, and for what, is what `rollout status` shows."""
    assert at.awaited() == awaited


@pytest.mark.parametrize(
    ("at", "names"),
    [
        (site("canary", {"c": OLD, "o": OLD}), ["c"]),
        (site("canary", {"c": REFUSED, "o": OLD}), []),
        (site("canary", {"c": AWAY, "o": NEW}), ["o"]),
        (site("rest", {"c": NEW, "o": OLD, "p": DEAF}), ["o"]),
        (site("done", {"c": NEW, "o": OLD}), ["o"]),
        (site("stopped", {"c": NEW, "o": OLD}), ["c"]),
        (site("stopped", {"c": replace(NEW, refused="old")}), []),
        (site("canary", {"c": REFUSED, "o": OLD}, tried=""), ["c"]),
        (first("stopped", {"c": NEW}), ["c"]),
        (first("canary", {"c": replace(NEW, version="")}), ["c"]),
        (first("canary", {"o": replace(NEW, version="")}), []),
    ],
)
def test_to_hand_out(at: Site, names: list[str]) -> None:
    """Each edge that is connected and accepts anything is brought to what it is to have."""
    assert at.to_hand_out() == names
