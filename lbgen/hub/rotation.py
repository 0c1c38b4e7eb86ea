"""Another authority for a fleet, without a gap: three bundles, one after the other, each given to all hubs.

1. PREPARE: the old one signs, the new one is trusted as well; edges learn it when they renew.
2. SWITCH: the new one signs, the old one is trusted for certificates that are still in force.
3. FINISH: the old one is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from lbgen.hub.authority import Bundle, new_bundle
from lbgen.hub.ledger import GRACE, Edge, Entries
from lbgen.source.hub.certificates import fingerprint


class Step(StrEnum):
    """What a bundle is the result of."""

    PREPARE = "prepare"
    SWITCH = "switch"
    FINISH = "finish"


def next_step(bundle: Bundle) -> Step:
    """Return the step that comes after a bundle."""
    if len(bundle.trusted) == 1:
        return Step.PREPARE
    has_key = bundle.trusted[1].public_key() in [key.public_key() for key in bundle.keys]
    return Step.SWITCH if has_key else Step.FINISH


def next_bundle(bundle: Bundle, now: float) -> Bundle:
    """Return the bundle that the next step gives."""
    match next_step(bundle):
        case Step.PREPARE:
            new = new_bundle(now)
            return Bundle((*bundle.keys, *new.keys), (*bundle.trusted, *new.trusted))
        case Step.SWITCH:
            old, new_one = bundle.trusted[:2]
            # The old key goes first: from now on it has nothing to sign.
            keys = tuple(key for key in bundle.keys if key.public_key() == new_one.public_key())
            return Bundle(keys, (new_one, old))
        case Step.FINISH:
            return Bundle((bundle.key,), bundle.trusted[:1])


def left_behind(bundle: Bundle, entries: Entries, now: float) -> Mapping[str, Edge]:
    """Return the edges, by name, that would have to join anew if the next step were taken now."""
    step = next_step(bundle)
    if step == Step.PREPARE:
        return {}
    # What an edge has to have renewed with: the new one among those that it trusts, or as the one that signs.
    new = fingerprint(bundle.trusted[1] if step == Step.SWITCH else bundle.trusted[0])[:16]
    return {
        name: edge
        for name, edge in sorted(entries.edges.items())
        if edge.joined > entries.revoked.get(name, -1.0) and max(edge.until, edge.joined) + GRACE > now
        if new not in edge.authorities.split(",")[: 1 if step == Step.FINISH else None]
    }
