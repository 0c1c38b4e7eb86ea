"""Snapshots as documents: version 1 of one source, version 2 of several, each of them a document of version 1.

Reading a document back gives an equal snapshot. What is wrong with one is said with its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lbgen.base.errors import SourceError
from lbgen.snapshot import Snapshot, moment
from lbgen.source import decode, merge
from lbgen.source.facts import KINDS

_KEYS = ("version", "cluster", "taken_at", *KINDS)
_PART = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
LONGEST_NAME = 96  # of a part: those of a hub, in a list, have its name before theirs


def document(facts: Snapshot) -> dict[str, object]:
    """Return the snapshot as a document."""
    if not facts.parts:
        return decode.document(facts)
    return {"version": 2, "parts": {name: decode.document(part) for name, part in merge.split(facts).items()}}


def snapshot_of(data: object) -> Snapshot:
    """Return the snapshot that a document is; raise SourceError if it is none."""
    if not isinstance(data, Mapping):
        raise SourceError(f"not a snapshot: expected an object with version and lists, found {type(data).__name__}")
    version = data.get("version")
    if isinstance(version, bool) or version not in (1, 2):
        stated = "there is none" if version is None else f"found {version!r}"
        raise SourceError(f"version: 1 and 2 are the versions that this lbgen reads, {stated}")
    return _several(data) if version == 2 else _one(data)


def _several(data: Mapping[object, object]) -> Snapshot:
    parts = data.get("parts")
    if not isinstance(parts, Mapping) or not parts:
        raise SourceError(f"parts: expected an object with a document for each name, found {type(parts).__name__}")
    if other := next((key for key in data if key not in ("version", "parts") and not str(key).startswith("x-")), ""):
        raise SourceError(f"{other}: not a part of a snapshot of version 2; its parts are version and parts")
    found = {}
    for name, part in parts.items():
        # "": a hub's own source, if it is one without a name, beside those of agents.
        if not isinstance(name, str) or (name and not _PART.fullmatch(name)) or len(name) > LONGEST_NAME:
            raise SourceError(f"parts: {name!r} is not a name: use lower-case letters, digits and dashes")
        place = f"parts.{name or '(no name)'}"
        if not isinstance(part, Mapping) or part.get("version") != 1 or isinstance(part.get("version"), bool):
            raise SourceError(f"{place}: expected a snapshot of version 1")
        try:
            found[name] = _one(part)
        except SourceError as error:
            raise SourceError(f"{place}.{error}") from error
    return merge.joined(found)


def _one(data: Mapping[object, object]) -> Snapshot:
    for key in data:
        if key not in _KEYS and not str(key).startswith("x-"):
            raise SourceError(f"{key}: not a part of a snapshot; its parts are {', '.join(_KEYS)}")
    texts = {key: data.get(key) or "" for key in ("cluster", "taken_at")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise SourceError(f"{key}: expected a text, found {data[key]!r}")
    lists: dict[str, Any] = {kind: [] if data.get(kind) is None else data[kind] for kind in KINDS}
    return decode.snapshot(**lists, cluster=str(texts["cluster"]), taken_at=moment(str(texts["taken_at"])))
