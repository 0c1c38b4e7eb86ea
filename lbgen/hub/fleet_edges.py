"""The edges that are connected to this hub, as its rollouts see them, and the way to them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lbgen.hub.authority import Authority
from lbgen.hub.handing_out import HandingOut, Seen
from lbgen.hub.rollout_store import DIRECTORY, RolloutStore
from lbgen.hub.server import HubServer
from lbgen.hub.session import EdgeRecord
from lbgen.settings.fleet import FleetSettings
from lbgen.source.hub.messages import Fleet


def seen(record: EdgeRecord) -> Seen:
    """Return what a rollout sees of an edge. It is ready if all its proxies serve what they should."""
    report = record.report
    ready = report is not None and report.ready and not any(target.failing for target in report.targets)
    said = report.fleet if report else {}
    return Seen(record.connected, record.since, tuple(record.accept), ready, record.labels, said)


def connected_edges(server: HubServer) -> Mapping[str, Seen]:
    """Return every edge that has been here since the hub started, by name."""
    return {record.name: seen(record) for record in server.edges()}


def send(server: HubServer, name: str, body: dict[str, Any]) -> None:
    """Send an edge what it is handed."""
    server.send(name, Fleet(body))


def handing_out(settings: FleetSettings, state: Path, authority: Authority, server: HubServer) -> HandingOut:
    """Return what hands settings out to the edges of a hub.

    Args:
        state: the hub's.
    """
    store = RolloutStore(state / DIRECTORY)
    return HandingOut(
        settings, store, authority.sign, partial(connected_edges, server), lambda name, body: send(server, name, body)
    )
