"""From events and traces to numbers: how soon a seat serves a new task, how soon it leaves one alone, what it loses.

Pure functions. Durations are seconds here; `report` prints milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench import seats, trace
from bench.stage import Block, Event

BETWEEN = "between"  # the scenario of requests that belong to no event
GAP = 1.0  # seconds without a disturbed request end a disturbance
Requests = dict[str, list[trace.Request]]  # {mode: requests}


@dataclass(slots=True)
class Outcome:
    """What one seat did in one scenario, all rounds together."""

    events: int = 0
    unsettled: int = 0  # rounds in which it had not caught up after 30 s
    counts: dict[str, trace.Count] = field(default_factory=dict)  # {mode: requests by outcome}
    # Samples; what did not happen gives none.
    entered: list[float] = field(default_factory=list)  # task runs (agent's time stamp) -> its first answer
    entered_stored: list[float] = field(default_factory=list)  # the store has it running -> its first answer
    inside: list[float] = field(default_factory=list)  # the store has it running -> the seat has it in its rotation
    live: list[float] = field(default_factory=list)  # the store has it running -> lbgen says it is live
    never_entered: int = 0
    left: list[float] = field(default_factory=list)  # the store wants it gone -> the last request that it was given
    disturbed: list[float] = field(default_factory=list)  # killed -> begin of the last request that met the dead one
    undisturbed: int = 0  # kills of which no request of this seat was any the worse
    out: list[float] = field(default_factory=list)  # the store knows that it is dead -> it is out of the rotation


Outcomes = dict[tuple[str, str], dict[str, Outcome]]  # {(scenario, application): {seat: outcome}}


def outcomes(blocks: Iterable[Block]) -> Outcomes:
    """Work out everything, from all blocks of a run."""
    found: Outcomes = {}
    for block in blocks:
        for seat, requests in block.requests.items():
            rest = {mode: list(items) for mode, items in requests.items()}
            for event in block.events:
                outcome = found.setdefault((event.scenario, event.app), {}).setdefault(seat, Outcome())
                mine = {mode: trace.within(items, event.began, event.ended) for mode, items in rest.items()}
                _add(outcome, event, seat, mine, block.applied.get(seat, []))
                rest = {
                    mode: [item for item in items if not event.began <= item.begun < event.ended]
                    for mode, items in rest.items()
                }
            between = found.setdefault((BETWEEN, block.app), {}).setdefault(seat, Outcome())
            _count(between, rest)
    return found


def _count(outcome: Outcome, requests: Requests) -> None:
    for mode, items in requests.items():
        outcome.counts.setdefault(mode, trace.Count()).add(trace.counted(items))


def _add(outcome: Outcome, event: Event, seat: str, requests: Requests, applied: Sequence[seats.Applied]) -> None:
    outcome.events += 1
    outcome.unsettled += seat in event.unsettled
    _count(outcome, requests)
    together = sorted(request for items in requests.values() for request in items)
    for story in event.arriving:
        first = trace.first_answer(together, story.who)
        if first is None or story.ran is None or story.ran_stored is None:
            outcome.never_entered += 1
            continue
        outcome.entered.append(first - story.ran)
        outcome.entered_stored.append(first - story.ran_stored)
        if seat in event.inside and len(event.arriving) == 1:
            outcome.inside.append(event.inside[seat] - story.ran_stored)
        if len(event.arriving) == 1:  # else nobody knows which of them a round of lbgen's was about
            live = next((change.at for change in applied if change.at > story.ran_stored), None)
            if live is not None and live < event.ended:
                outcome.live.append(live - story.ran_stored)
    for story in event.leaving:
        last = trace.last_request(together, story.who)
        if last is not None and story.left is not None:
            outcome.left.append(last - story.left)
    for story in event.dead:
        _disturbance(outcome, together, story.failed)
        if seat in event.out and story.failed_stored is not None:
            outcome.out.append(event.out[seat] - story.failed_stored)


def _disturbance(outcome: Outcome, requests: Sequence[trace.Request], failed: float | None) -> None:
    """How long requests met a dead task: from its death until a second passed without one."""
    if failed is None:
        return
    last = None
    for moment in (request.begun for request in requests if request.failed or request.slow):
        if moment - (last or failed) > GAP:
            break
        if moment > failed - GAP:  # it is dead a little before its agent says so
            last = moment
    if last is None:
        outcome.undisturbed += 1
    else:
        outcome.disturbed.append(last - failed)
