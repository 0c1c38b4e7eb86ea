"""From an engine's event to the HAProxy that has it: directly, and by hub and edges, by turns in one run."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.hub import spread
from bench.hub_fleet import TASKS, Engine, Seat, a_fleet

PAUSE = 1.3  # seconds between two changes: second looks, checks of saved files, and what is written to disk are over


def live(edges: int, services: int, rounds: int) -> dict[str, object]:
    """Measure so many changes of one container with each way."""
    with tempfile.TemporaryDirectory() as place, a_fleet(Path(place), services) as fleet:
        fleet.hub()
        other = fleet.an_engine("direct")
        direct, *seats = [fleet.direct(other), *(fleet.edge(f"e{number}") for number in range(edges))]
        for seat in (direct, *seats):
            seat.wait("applied")
        time.sleep(3)  # the first snapshot is on disk, the first reports are made
        directly, through = [], []
        for number in range(rounds):
            directly += _turn(other, [direct], number)
            through.append(_turn(fleet.engine, seats, number))
    medians, lasts = [statistics.median(times) for times in through], [max(times) for times in through]
    return {
        "edges": edges, "services": services, "tasks": services * TASKS, "direct_ms": spread(directly),
        "median_edge_ms": spread(medians), "last_edge_ms": spread(lasts),
        "hub_adds_ms": spread([by_hub - alone for by_hub, alone in zip(medians, directly, strict=True)]),
    }  # fmt: skip


def _turn(engine: Engine, seats: Sequence[Seat], number: int) -> list[float]:
    """Return the milliseconds from a change to live at each seat."""
    at = engine.change(number)
    times = [(seat.wait("applied", at) - at) * 1000 for seat in seats]
    time.sleep(PAUSE)
    return times
