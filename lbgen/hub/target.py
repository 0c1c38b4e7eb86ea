"""The hub in the daemon's loop: it takes the snapshot in force, as a target does, and hands it to the edges.

Edges get what is in force here, so what a shrink guard or an earlier label holds back, it holds back for all. Of labels
they get all but those that may hold a secret and that no dialect reads: claims and templates may read any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lbgen.hub.server import HubServer
from lbgen.labels.dialects import dialect_of
from lbgen.labels.secret_values import holds_secret
from lbgen.model import Model
from lbgen.snapshot import Snapshot


class HubTarget:
    """A `LoopTarget` without a proxy."""

    def __init__(self, server: HubServer) -> None:
        self._server, self._reduced = server, Reduced()

    def start(self) -> None:
        """Begin to listen: edges that dial meanwhile are told that there is nothing yet."""
        self._server.start()

    def stop(self) -> None:
        """End; edges go on with another hub, or with what they have."""
        self._server.stop()

    leave = stop

    def due(self) -> float | None:
        return None

    def bring_to(self, model: Model, snapshot: Snapshot) -> bool:  # noqa: ARG002
        """Hand the snapshot on; how far each edge is, is nobody's to wait for."""
        self._server.publish(self._reduced.of(snapshot))
        return True


class Reduced:
    """Snapshots without the secrets that nobody needs; what did not change is the same object as before."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Any, Any]] = {}  # kind and id -> as it is, and as it is handed on

    def of(self, facts: Snapshot) -> Snapshot:
        """Return what is handed on of a snapshot."""
        before, self._known = self._known, {}
        labelled = {
            kind: {id_: self._item(before, (kind, id_), item) for id_, item in getattr(facts, kind).items()}
            for kind in ("nodes", "services", "networks")
        }
        return replace(facts, **labelled, causes=(), notes=())  # type: ignore[arg-type]

    def _item(self, before: Mapping[tuple[str, str], tuple[Any, Any]], key: tuple[str, str], item: Any) -> Any:
        known = before.get(key)
        if not known or known[0] is not item:
            labels = _without_secrets(item.labels)
            same = len(labels) == len(item.labels)
            known = item, item if same else replace(item, labels=labels)
        self._known[key] = known
        return known[1]


def _without_secrets(labels: Mapping[str, str]) -> dict[str, str]:
    return {label: value for label, value in labels.items() if dialect_of(label) or not holds_secret(label, value)}
