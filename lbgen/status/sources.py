"""How it goes with the sources, as a plain document. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lbgen.source import PartState
from lbgen.status.stamps import stamp

Document = dict[str, Any]
# From the worst to the best: of several sources the worst counts.
MODES = ("none", "polling", "events", "push", "file")


def source_document(states: Sequence[PartState]) -> Document:
    """Return what is known of the one source, or of several as one with each of them in ``parts``."""
    if len(states) == 1 and not states[0].name:
        return _state(states[0])
    failing = [state for state in states if state.failing]
    since = [state.failing_since for state in failing if state.failing_since]
    counts: Counter[str] = Counter()
    for state in states:
        counts.update(state.counts)
    return {
        "kind": "several",
        "mode": min((state.mode for state in states), key=_rank, default="none"),
        "endpoint": "",
        "stream_age_seconds": max((state.stream_age for state in states if state.stream_age is not None), default=None),
        "failing": "; ".join(f"{state.name}: {state.failing}" for state in failing) or None,
        "failing_since": stamp(min(since)) if since else None,
        **counts,
        "parts": [_named(state) for state in states],
    }


def _rank(mode: str) -> int:
    return MODES.index(mode) if mode in MODES else len(MODES)


def _named(state: PartState) -> Document:
    return {"name": state.name, "facts": state.facts, **_state(state)}


def _state(state: PartState) -> Document:
    age = state.stream_age
    facts: Document = {
        "kind": state.kind,
        "mode": state.mode,
        "endpoint": state.endpoint,
        "stream_age_seconds": None if age is None else round(age, 3),
        "failing": state.failing or None,
        "failing_since": stamp(state.failing_since) if state.failing_since else None,
    }
    if state.kind == "docker":
        facts |= {"no_push": state.no_push, "cluster": state.cluster}
    if state.members:
        facts["members"] = [_named(member) for member in state.members]
    return {**facts, **state.counts}
