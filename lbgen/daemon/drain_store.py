"""What operators take out of the proxies: `lbgen drain` writes it, the daemon watches it. Nothing on a network does.

    {"version": 1, "drains": {"node2": {"since": "2026-11-23T10:00:00Z", "reason": "new kernel"}}}

Names stay as they were given: what a name means is decided from each snapshot (`lbgen.model.drain_names`).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lbgen.base import bounded_file, json_text
from lbgen.base.directories import make_directory
from lbgen.base.errors import SettingsError
from lbgen.base.private_file import hand_over, write_private
from lbgen.base.problem import printable
from lbgen.base.unwritable import unwritable
from lbgen.snapshot import moment

FILE, LOCK = "drains.json", ".lbgen-drains-lock"
VERSION = 1
LARGEST = 1 << 20  # bytes
LONGEST_NAME, LONGEST_REASON = 300, 200  # characters
PATIENCE = 10.0  # seconds for another command to finish


class BadDrains(SettingsError):
    """The file with the drains cannot be used. A running daemon goes by what it read last."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One name that an operator takes out."""

    name: str  # of a node, a host or a server; see `lbgen.model.drain_names`
    since: float  # seconds since 1970
    reason: str = ""
    until: float | None = None  # seconds since 1970, when it ends by itself; None: when it is taken back


Drains = Mapping[str, Drain]  # by name


def read(path: Path) -> dict[str, Drain]:
    """Return what the file holds, by name; nothing where there is no file.

    Raises:
        BadDrains: it cannot be read, or is not what `lbgen drain` writes.
    """
    try:
        return _decoded(json_text.data_in(bounded_file.read(path, LARGEST)))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadDrains(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise BadDrains(f"{path}: is not what 'lbgen drain' writes ({printable(str(why), 200)})") from error


@contextlib.contextmanager
def changing(path: Path, patience: float = PATIENCE) -> Iterator[dict[str, Drain]]:
    """Give the drains to change; what was changed is on disk after the block, whole. One at a time.

    Raises:
        BadDrains: the file cannot be read.
        SettingsError: it cannot be written, or another command does not let go of it.
    """
    try:
        make_directory(path.parent)
        with _locked(path, patience):
            drains = read(path)
            before = dict(drains)
            yield drains
            if drains != before or not path.exists():
                write_private(path, _encoded(drains))
    except OSError as error:
        raise SettingsError(f"{unwritable(path, error)}; nothing was changed, see setting state") from error


def stamp(at: float) -> str:
    """Return a time in seconds since 1970 as ``2026-11-23T10:00:00.000Z``."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encoded(drains: Drains) -> str:
    documents: dict[str, dict[str, str]] = {}
    for name, drain in sorted(drains.items()):
        documents[name] = {"since": stamp(drain.since)}
        if drain.reason:
            documents[name]["reason"] = drain.reason
        if drain.until is not None:
            documents[name]["until"] = stamp(drain.until)
    return json.dumps({"version": VERSION, "drains": documents}, indent=1) + "\n"


def _decoded(document: Any) -> dict[str, Drain]:
    """Return what a document says; raise ValueError, TypeError, KeyError or AttributeError."""
    if not isinstance(document, dict):
        raise TypeError("it is no object")
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']!r}, not {VERSION}")
    drains = {}
    for name, each in document["drains"].items():
        if not name.strip() or len(name) > LONGEST_NAME:
            raise ValueError(f"the name {name[:40]!r}")
        until = each.get("until")
        reason = printable(str(each.get("reason", "")), LONGEST_REASON)
        drains[name] = Drain(name, _moment(each["since"]), reason, None if until is None else _moment(until))
    return drains


def _moment(text: object) -> float:
    if not (at := moment(str(text))):
        raise ValueError(f"{text!r} is no time such as 2026-11-23T10:00:00Z")
    return at


@contextlib.contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    """Keep other commands from changing the file during the block."""
    handle = os.open(path.parent / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        hand_over(handle, path.parent / LOCK)
        ends = time.monotonic() + patience
        while not _taken(handle):
            if time.monotonic() >= ends:
                raise SettingsError(f"{path}: another 'lbgen drain' is changing it for {patience:g} s; try again")
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
