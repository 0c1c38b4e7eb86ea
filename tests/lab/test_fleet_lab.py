"""Hubs on three managers and edges that can only dial out, one of them through WireGuard; traffic at both all the time.

Each test prints what it measured. Seconds of a change begin with what Swarm's engine says of the task.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import probe, vpn
from tests.lab.fleet import EDGES, HUB, Fleet
from tests.lab.services import Lab
from tests.lab.sidecar import WEB


@pytest.fixture(scope="module")
def fleet(managers_session: Lab) -> Iterator[Fleet]:
    """Three hubs, two edges that have joined, and a service of two tasks."""
    if missing := vpn.missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"apt-get install {' '.join(missing)}")
    managers_session.clean()
    # Not pytest's directory: the path of a unix socket may have 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="lbf-") as directory,
        Fleet(managers_session, Path(directory)).running() as made,
    ):
        yield made
    managers_session.clean()


def told(what: str, traffic: dict[str, Any], *figures: str) -> None:
    """Print the figures of a test, and have no request have failed."""
    results = {name: each.result for name, each in traffic.items()}
    lost = ", ".join(f"{name} {each.failed} of {each.sent}" for name, each in results.items())
    print(f"\n{what}: requests failed at {lost}{''.join(f'; {each}' for each in figures)}")
    assert not any(each.failed for each in results.values()), results


def test_what_changes_is_live_at_both_edges(fleet: Fleet) -> None:
    """A service that is scaled and updated is followed without a lost request, also through the VPN."""
    before = fleet.vpn.received(EDGES["e2"])
    with fleet.traffic() as traffic:
        began = time.time()
        newest = fleet.scale(3)
        fleet.wait_served()
        lags = [f"{name} {fleet.lag(name, newest, began) * 1000:.0f} ms" for name in fleet.edges]
        fleet.service.update("--args", "--on-term drain:1 --version v2")
        fleet.wait_served()
        fleet.scale(2)
        fleet.wait_served()
    told("scaled", traffic, f"a task that runs is live after {', '.join(lags)}")
    through = fleet.vpn.received(EDGES["e2"]) - before
    print(f"through {fleet.vpn.kind} WireGuard: {through >> 10} KiB")
    assert through > 100 * traffic["e2"].result.ok


def test_nobody_can_dial_an_edge(fleet: Fleet) -> None:
    """The edges' ports are closed to everybody else, and their hubs' to nobody who can reach them."""
    node = fleet.lab.nodes["n2"]
    for address in (fleet.lab.settings.address(10 + EDGES["e1"]), vpn.inner(EDGES["e2"])):
        with pytest.raises(TimeoutError):
            probe.connect(address, WEB, netns=fleet.lab.nodes["n1"].netns, timeout=0.5)
    probe.connect(node.address, HUB, netns=fleet.edges["e2"].netns).close()
