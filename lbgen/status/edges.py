"""Hub and edge as documents: what a hub knows of its edges, and what an edge reports to its hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import lbgen
from lbgen.hub.rollout import Rollout
from lbgen.hub.running import KnownEdge
from lbgen.source.hub.messages import Report, TargetReport
from lbgen.status.server_counts import ServerCounts
from lbgen.status.stamps import stamp
from lbgen.status.view import View

LONGEST = 300  # characters of a line in a report
MOST = 200  # lines of one list
Document = dict[str, Any]


def edge_document(known: KnownEdge) -> Document:
    """Return what is known of one edge: by this hub, unless the ledger has it from another."""
    record, edge = known.record, known.edge
    report = record.report if record else None
    return {
        "name": known.name,
        "revoked": known.revoked,
        "connected": bool(record and record.connected),
        "since": stamp(record.since) if record and record.since else None,
        "address": record.address if record else None,
        "hub": edge.hub or None if edge else None,
        "seen_at": stamp(edge.seen) if edge and edge.seen else None,
        "lbgen": record.lbgen if record else None,
        "protocol": record.protocol if record else None,
        "offers": edge.offer if edge and edge.offer else None,
        "labels": dict(edge.labels) if edge else {},
        "sequence": record.sequence if record else None,
        "in_force": report.sequence if report else None,
        "reported_at": stamp(record.reported_at) if record and record.reported_at else None,
        "ready": report.ready if report else None,
        "not_ready": list(report.not_ready) if report else [],
        "problems": report.problems if report else None,
        "servers": dict(report.servers) if report else {},
        "targets": [asdict(target) for target in report.targets] if report else [],
        "settings": dict(report.fleet) if report else {},
    }


def rollout_document(rollout: Rollout | None) -> Document | None:
    """Return how far a hub's rollout is; None: the hub hands nothing out."""
    if rollout is None:
        return None
    return {
        "phase": rollout.phase.value,
        "since": stamp(rollout.since) if rollout.since else None,
        "version": rollout.version,
        "before": rollout.before,
        "reason": rollout.reason,
        "handed": len(rollout.tried),
        "ready": len(rollout.sound),
    }


def report_of(view: View, handed_out: Callable[[], Document] = dict, counts: ServerCounts | None = None) -> Report:
    """Return what an edge tells its hub: no name of a service but of those that a proxy refuses.

    Args:
        handed_out: what became of settings that hubs have handed out.
        counts: asks proxies how they see their servers; None: nobody does.
    """
    unready = view.unready()
    return Report(
        lbgen=lbgen.__version__,
        ready=not unready,
        not_ready=_lines(unready),
        alive=not view.unhealthy(),
        problems=len(view.problems()["problems"]),
        servers=view.servers(),
        targets=tuple(_target(target, counts) for target in view.targets[:50]),
        fleet=handed_out(),
    )


def _target(target: Any, counts: ServerCounts | None) -> TargetReport:
    running, failure = target.running, target.failure
    return TargetReport(
        name=target.name,
        proxy=target.renderer.templates.manifest.proxy,
        version=".".join(map(str, target.renderer.target.version)),
        generation=running.generation if running else "",
        ready=target.ready,
        failing=target.failing,
        error=failure.error[:4000] if target.failing and failure else "",
        refused=_lines(sorted(target.quarantine.held.copy())),
        servers=counts.of(target) if counts else {},
    )


def _lines(texts: list[str]) -> tuple[str, ...]:
    return tuple(text[:LONGEST] for text in texts[:MOST])
