"""What a reload costs Nginx by itself: the files that lbgen wrote last, without lbgen, sent HUP as often as it did.

Nginx before 1.27.4 resets some connections that clients keep alive at every reload. Only beside this number does the
number of requests that lbgen-nginx lost say anything about lbgen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench import seats, trace
from bench.stage import Block, Stage

SPACING = 1.5  # seconds between two reloads: lbgen leaves 1 s at least
MOST = 60  # reloads


@dataclass(slots=True)
class Hups:
    """Reloads of lbgen-nginx during updates, and as many of the same Nginx without lbgen."""

    reloads: int = 0
    lbgen: dict[str, trace.Count] = field(default_factory=dict)  # {mode: requests by outcome}, during the updates
    alone: dict[str, trace.Count] = field(default_factory=dict)


def compare(stage: Stage, blocks: Sequence[Block]) -> Hups | None:
    """Reload a static Nginx as often as lbgen-nginx was reloaded during rolling updates; None if it never was."""
    name = seats.LbgenNginx.name
    found = Hups()
    for block in blocks:
        for event in block.events if name in block.requests else ():
            if event.scenario.startswith("update"):
                changes = [change for change in block.applied[name] if event.began <= change.at < event.ended]
                found.reloads += sum(change.method == "reload" for change in changes)
                _count(found.lbgen, block.requests[name], event.began, event.ended)
    found.reloads = min(found.reloads, MOST)
    seat = stage.seats.get(name)
    if not found.reloads or not isinstance(seat, seats.LbgenNginx):
        return None
    files = seat.output
    static = stage.open_seat(seats.NginxStatic.name, lambda place: seats.NginxStatic(place, files))
    assert isinstance(static, seats.NginxStatic)
    app = blocks[-1].app  # whose service is still there
    static.wait_ready(app)
    with stage.load(app, [static.name]) as clients:
        time.sleep(1.0)
        began = time.time()
        for _ in range(found.reloads):
            static.hup()
            time.sleep(SPACING)
        ended = time.time()
        _count(found.alone, {client.mode: client.requests() for client in clients[static.name]}, began, ended)
    stage.close_seats(but=[other for other in stage.seats if other != static.name])
    stage.say(f"hup: {found.reloads} reloads of a static Nginx")
    return found


def _count(
    counts: dict[str, trace.Count], requests: dict[str, list[trace.Request]], began: float, ended: float
) -> None:
    for mode, items in requests.items():
        counts.setdefault(mode, trace.Count()).add(trace.counted(trace.within(items, began, ended)))
