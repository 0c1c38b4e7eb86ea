"""Facts on the wire: whole snapshots and changes, with the objects of a snapshot file; pure.

What an edge has applied keeps the identity of all that did not change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from lbgen.snapshot import Part, Snapshot, moment
from lbgen.source import decode, encode
from lbgen.source.facts import KINDS, kept
from lbgen.source.hub.messages import BadMessage, Changes, Document, Items

Key = tuple[str, str]  # kind, id


def document(facts: Snapshot) -> Document:
    """Return a snapshot as a document of version 2; what has no part is in part ""."""
    parts: dict[str, Any] = {name: {"cluster": part.cluster} for name, part in clusters(facts).items()}
    for kind in KINDS:
        for item in getattr(facts, kind).values():
            _part(parts, part_of(facts, kind, item)).setdefault(kind, []).append(encode.item(kind, item))
    taken = datetime.fromtimestamp(facts.taken_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"version": 2, "taken_at": taken, "parts": parts}


def snapshot(data: Document) -> Snapshot:
    """Return the snapshot that a document describes; raise SourceError."""
    parts = data.get("parts")
    if data.get("version") != 2 or not isinstance(parts, Mapping):
        raise BadMessage("facts of another version than 2")
    found: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for name, part in parts.items():
        if not isinstance(part, Mapping):
            raise BadMessage("a part of the facts is no object")
        for kind in KINDS:
            found[kind] |= _read(name, kind, part.get(kind, []))
    named = {name: str(part.get("cluster", "")) for name, part in parts.items()}
    sorted_: dict[str, Any] = {kind: dict(sorted(items.items())) for kind, items in found.items()}
    return _with_parts(Snapshot(**sorted_), named, str(data.get("taken_at")))


def changes(facts: Snapshot, keys: Iterable[Key], since: int, sequence: int, *, parts: bool) -> Changes:
    """Return the message that tells what has become of these objects.

    Args:
        parts: whether parts or their clusters have changed as well.
    """
    put: dict[str, Items] = {}
    gone: dict[str, list[str]] = {}
    for kind, id_ in sorted(keys):
        item = getattr(facts, kind).get(id_)
        if item is None:
            gone.setdefault(kind, []).append(id_)
        else:
            put.setdefault(part_of(facts, kind, item), {}).setdefault(kind, []).append(encode.item(kind, item))
    named = {name: part.cluster for name, part in clusters(facts).items()} if parts else None
    return Changes(since, sequence, put, gone, named)


def changed(facts: Snapshot, told: Changes) -> Snapshot:
    """Return the snapshot with the changes made; raise SourceError, and then nothing is."""
    found = {kind: dict(getattr(facts, kind)) for kind in KINDS}
    for kind, ids in told.gone.items():
        for id_ in ids if kind in found else ():
            found[kind].pop(id_, None)
    for name, kinds in told.put.items():
        for kind in KINDS:
            found[kind] |= _read(name, kind, kinds.get(kind, []))
    fresh: dict[str, Any] = {
        kind: kept(getattr(facts, kind), dict(sorted(items.items()))) for kind, items in found.items()
    }
    made = replace(facts, **fresh)
    return made if told.parts is None else _with_parts(made, told.parts)


def identical(before: Snapshot, facts: Snapshot) -> Snapshot:
    """Return the snapshot with the objects of the one before, where they are equal."""
    same: dict[str, Any] = {kind: kept(getattr(before, kind), getattr(facts, kind)) for kind in KINDS}
    return replace(facts, **same)


def digest(facts: Document) -> str:
    """Return what is the same for two documents with the same facts."""
    text = json.dumps({**facts, "taken_at": ""}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def newest(facts: Snapshot) -> float:
    """Return the newest time stamp that the cluster itself wrote, in seconds since 1970; 0.0: there is none."""
    items: list[Any] = [*facts.services.values(), *facts.tasks.values(), *facts.nodes.values()]
    return max((moment(item.updated_at) for item in items if item.updated_at), default=0.0)


def clusters(facts: Snapshot) -> Mapping[str, Part]:
    """Return the parts; of a snapshot without any the one without a name."""
    return facts.parts or {"": Part("", facts.cluster)}


def part_of(facts: Snapshot, kind: str, item: Any) -> str:
    """Return the part that an object belongs to: of a task, that of its service."""
    if kind != "tasks":
        return str(item.part)
    service = facts.services.get(item.service_id)
    return service.part if service else ""


def _part(parts: dict[str, Any], name: str) -> dict[str, Any]:
    known: dict[str, Any] = parts.setdefault(name, {"cluster": ""})
    return known


def _read(part: str, kind: str, items: object) -> dict[str, Any]:
    found = decode.read(kind, items)
    if not part or kind == "tasks":
        return found
    return {id_: replace(item, part=part) for id_, item in found.items()}


def _with_parts(facts: Snapshot, named: Mapping[str, str], taken_at: str = "") -> Snapshot:
    """Return the snapshot with its parts: without a name there is one, whose cluster is the snapshot's."""
    taken = moment(taken_at) if taken_at else facts.taken_at
    if set(named) <= {""}:
        return replace(facts, cluster=named.get("", ""), parts={}, taken_at=taken)
    return replace(facts, cluster="", parts={name: Part(name, id_) for name, id_ in named.items()}, taken_at=taken)
