"""The loop and its targets as plain documents, for the status API.

Reads what the threads of loop and workers write, without locks: models and changes are frozen, everything else is a
single value. So nothing here can hold the loop up. Times are RFC 3339 in UTC, durations seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import lbgen
from lbgen.base.problem import Problem
from lbgen.base.unexpected import UNEXPECTED, UnexpectedErrors
from lbgen.daemon.history import Change
from lbgen.daemon.loop import Loop
from lbgen.daemon.target import Target
from lbgen.daemon.worker import Worker
from lbgen.render.credentials import Credentials
from lbgen.report.closed import closed_documents
from lbgen.report.drains import Scene, drain_document, drains_document
from lbgen.report.explain import Facts, TargetFacts, explanation
from lbgen.report.listing import listing
from lbgen.report.masking import masked
from lbgen.snapshot import Snapshot
from lbgen.source import Validity
from lbgen.status.sources import source_document
from lbgen.status.stamps import stamp

STUCK = 60.0  # seconds; a round that takes longer waits for what will not come: a checker has as long at most
Document = dict[str, Any]


class View:
    """What can be said about one loop."""

    def __init__(
        self,
        loop: Loop,
        targets: Sequence[Target],
        workers: Sequence[Worker] = (),
        clock: Callable[[], float] = time.monotonic,
        unexpected: UnexpectedErrors = UNEXPECTED,
        edges: Callable[[], list[Document]] | None = None,
        rollout: Callable[[], Document | None] = lambda: None,
        validities: Callable[[], Sequence[Validity]] = tuple,
    ) -> None:
        """
        Args:
            edges: what is known of each edge, if this is a hub.
            rollout: how far it is with settings that it hands out, if it does.
            validities: how long certificates of a fleet are good for, at a hub or an edge.
        """
        self._edges, self.rollout, self.validities = edges, rollout, validities
        self.loop, self.targets, self._workers, self._clock = loop, targets, workers, clock
        self._unexpected = unexpected
        self._started, self._started_at = clock(), time.time()

    def stuck(self) -> str:
        """Return why the loop does not live, empty if it does: the round that has been under way longest counts."""
        now = self._clock()
        began = self.loop.busy_since, *(worker.busy_since for worker in self._workers)
        seconds = now - min((since for since in began if since is not None), default=now)
        return f"a round has been under way for {seconds:.0f} s" if seconds > STUCK else ""

    def unhealthy(self) -> list[str]:
        """Return what keeps lbgen from its work though nobody else is to blame: what is stuck, what keeps failing."""
        return [*filter(None, [self.stuck()]), *self._unexpected.keep_failing()]

    def unready(self) -> list[str]:
        """Return the targets that have never served a snapshot yet, and why not; of a hub without any, why no facts."""
        if self._edges is not None and not self.targets and self.loop.accepted is None:
            return [f"no snapshot yet, source mode {self.source()['mode']}"]
        return [f"{target.name}: {self._obstacle(target)}" for target in self.targets if not target.ready]

    def status(self) -> Document:
        """Return everything in brief."""
        return {
            "version": lbgen.__version__,
            "started_at": stamp(self._started_at),
            "uptime_seconds": round(self._clock() - self._started, 1),
            "alive": not self.unhealthy(),
            "keeps_failing": self._unexpected.keep_failing(),
            "ready": not self.unready(),
            "not_ready": self.unready(),
            "source": self.source(),
            "targets": [_target(target) for target in self.targets],
            "servers": self.servers(),
            "servers_held": self.loop.held,
            "drains": [drain_document(drain) for drain in self.loop.drains.asked],
            "problems": len(self.problems()["problems"]),
            "closed": closed_documents(self.loop.model.closed),
            **({} if self._edges is None else {"edges": self.edges(), "rollout": self.rollout()}),
        }

    def edges(self) -> list[Document]:
        """Return what is known of each edge; nothing where this is no hub."""
        return self._edges() if self._edges else []

    def source(self) -> Document:
        """Return where the facts come from, and how changes are learnt."""
        taken = self.loop.accepted.taken_at if self.loop.accepted else 0.0
        facts = source_document(self.loop.source.states())
        return facts | {"snapshot_at": stamp(taken) if taken else None}

    def servers(self) -> dict[str, int]:
        """Count the servers of the model by state."""
        states = [server.state for server in self.loop.model.servers]
        return {state: states.count(state) for state in ("up", "drain")}

    def model(self) -> Document:
        """Return who receives traffic, and what each target has made of it."""
        model = masked(self.loop.model)
        return {
            "listeners": model.listeners,
            "routes": model.routes,
            "backends": model.backends,
            "targets": [_in_force(target) for target in self.targets],
        }

    def routes(self) -> Document:
        """Return every route with its servers, as Swarm and the proxies see them. Asks the proxies."""
        return listing(self._scene())

    def drains(self, names: Sequence[str] = ()) -> Document:
        """Return how far what operators drain is, or what names would take out. Asks the proxies."""
        drains = self.loop.drains
        return {"file": str(drains.path or ""), "drains": drains_document(self._scene(), names)}

    def _scene(self) -> Scene:
        accepted, model, drains = self.loop.accepted or Snapshot(), self.loop.model, self.loop.drains.asked
        serve = all(worker.in_force is model for worker in self._workers)
        in_force = self.loop.accepted is not None and self.loop.busy_since is None and serve
        seen = {target.name: target.proxy.seen() for target in self.targets}
        return Scene(accepted, model, drains, seen, in_force)

    def problems(self) -> Document:
        """Return the problems of services and nodes, and notes on them; ``text`` says each in one line."""
        documents = [asdict(problem) | {"text": str(problem)} for problem in self._problems()]
        return {
            "problems": [each for each in documents if not each["note"]],
            "left_out": [each for each in documents if each["note"]],
        }

    def explanation(self, service: str) -> Document | None:
        """Return why a service is routed as it is, None before the first snapshot; raise UnknownService."""
        accepted, files = self.loop.accepted, self.loop.files
        if accepted is None:
            return None
        # Copied in one step: a worker may change it meanwhile.
        targets = tuple(
            TargetFacts.of(target.name, target.renderer, target.quarantine.held.copy()) for target in self.targets
        )
        credentials = files.read() if files else Credentials()
        model = replace(self.loop.model, problems=tuple(self._problems()))
        kept = self.loop.kept.kept if self.loop.kept else {}
        return explanation(Facts(accepted, model, credentials, targets, kept, self.loop.drains.asked), service)

    def history(self, limit: int | None = None) -> Document:
        """Return the last changes of all targets, and of the labels that are in force, newest first."""
        # Copied in one step: the loop may add to it meanwhile.
        changes = [change for target in self.targets for change in target.history.changes.copy()]
        changes += self.loop.kept.changes.copy() if self.loop.kept else []
        changes.sort(key=lambda change: change.at, reverse=True)
        return {"changes": [_change(change) for change in changes[:limit]]}

    def _problems(self) -> list[Problem]:
        """Return the problems of labels, nodes and files, and of the services that a target's proxy refuses."""
        refused = [problem for target in self.targets for problem in target.quarantine.problems(target.name)]
        ending = [Problem("", each.message, each.remedy) for each in self.validities() if each.message]
        return sorted({*self.loop.model.problems, *refused, *ending})

    def _obstacle(self, target: Target) -> str:
        if holder := target.lock.holder:
            return f"{target.lock.output} is in use: {holder}; it is taken over when that one ends"
        if target.failing and target.failure:
            return target.failure.error
        if self.loop.accepted or self.loop.busy_since:
            return "the first change is under way, or waits for min_reload_interval"
        return f"no snapshot yet, source mode {self.source()['mode']}"


def _target(target: Target) -> Document:
    changes, failure = target.history.changes.copy(), target.failure
    return {
        "name": target.name,
        "generation": _generation(target),
        "ready": target.ready,
        "failing": target.failing,
        "last_change": _change(changes[-1]) if changes else None,
        "last_error": {"at": stamp(failure.at), "kind": failure.kind, "error": failure.error} if failure else None,
    }


def _in_force(target: Target) -> Document:
    changes = target.history.changes.copy()
    last = changes[-1] if changes else None  # without one it was found running
    return {
        "name": target.name,
        "generation": _generation(target),
        "method": last.method if last else None,
        "at": stamp(last.at) if last else None,
    }


def _generation(target: Target) -> str:
    running = target.running
    return running.generation if running else ""


def _change(change: Change) -> Document:
    causes = zip(change.causes, change.lags, strict=True)
    return {
        "at": stamp(change.at),
        "target": change.target,
        "generation": change.generation,
        "method": change.method,
        "detail": change.detail,
        "duration_seconds": round(change.seconds, 6),
        "lag_seconds": round(max(change.lags), 6) if change.lags else None,
        "causes": [{"text": cause.text, "at": stamp(cause.at), "lag_seconds": round(lag, 6)} for cause, lag in causes],
    }
