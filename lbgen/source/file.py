"""The `file` source: a snapshot that `lbgen snapshot` recorded or somebody wrote, or Compose files; followed.

Only what was read whole, is well-formed and says something else than before is handed on. A file that is broken,
half-written or away changes nothing: the last good snapshot stays in force, and the log says why.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lbgen.base import documents
from lbgen.base.errors import LbgenError, SourceError
from lbgen.base.file_watch import Watch
from lbgen.base.fingerprint import Fingerprint, fingerprint
from lbgen.base.logs import log
from lbgen.snapshot import Note, Snapshot, moment
from lbgen.source import decode, diff
from lbgen.source.compose.load import is_compose, load_stack
from lbgen.source.facts import KINDS, kept
from lbgen.source.mailbox import Closed, Mailbox

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_KEYS = ("version", "cluster", "taken_at", *KINDS)


class FileSource:
    """A `Source` that reads a snapshot file, or Compose files."""

    def __init__(self, paths: Paths, *, stack: str = "", settle: float = 0.05, poll: float = 2.0) -> None:
        """Read nothing yet.

        Args:
            paths: one file, or several Compose files, which are merged in this order.
            stack: name of the stack that Compose files are deployed as; empty: see `load_stack`.
            settle: seconds of quiet after a change before the file is read: editors write in bursts.
            poll: seconds between looks at the file's size and time, for changes that no notification tells of
                (network file systems, single files mounted into a container).
        """
        self.paths = _listed(paths)
        self.stack = stack
        self._settle, self._poll = settle, poll
        self._mailbox = Mailbox()
        self._numbers = itertools.count(1)
        self._last = Snapshot()
        self._owed = True  # the next good reading is handed on even if nothing changed
        self._complaint = ""  # what is wrong with the file now
        self._logged = False
        self._told: set[str] = set()

    def take(self) -> Snapshot:
        """Return the files' snapshot, or raise SourceError."""
        return replace(load(self.paths, self.stack), listing=next(self._numbers))

    def follow(self) -> Iterator[Snapshot]:
        """Yield the files' snapshot at once, if they have one, and again after each change, until `close`."""
        watch = Watch(lambda: self.paths, lambda: self._mailbox.tell({"file"}))
        try:
            seen: object = None
            while True:
                now = self._fingerprints()
                if now != seen or self._owed or self._complaint:
                    watch.renew()  # first, so that no change falls between reading and watching
                    seen = now if all(at is None or at.settled() for at in now) else None
                    if (snapshot := self._read()) is not None:
                        yield snapshot
                self._wait()
        except Closed:
            return
        finally:
            watch.close()

    def relist(self) -> None:
        """Have the file read again and handed on even if nothing changed."""
        self._mailbox.relist()

    def close(self) -> None:
        self._mailbox.close()

    def _wait(self) -> None:
        """Wait for a change, then until the file has been left alone for a moment, but not forever."""
        doubtful = self._complaint and not self._logged
        told = self._mailbox.wait(time.monotonic() + (min(0.5, self._poll) if doubtful else self._poll))
        self._owed |= told.relist
        for _ in range(20):
            if not told.kinds:
                break
            self._mailbox.pause(self._settle)
            told = self._mailbox.wait(0.0)
            self._owed |= told.relist

    def _read(self) -> Snapshot | None:
        before = self._fingerprints()
        try:
            found = load(self.paths, self.stack)
        except SourceError as error:
            self._complain(str(error))
            return None
        if self._fingerprints() != before:
            self._mailbox.tell({"file"})  # written to meanwhile: what was read may be a mixture
            return None
        if self._logged:
            log.info("snapshot_file_usable_again", file=", ".join(map(str, self.paths)))
        self._complaint, self._logged = "", False
        self._tell(found.notes)
        return self._handed_on(found)

    def _tell(self, notes: tuple[Note, ...]) -> None:
        """Log the notes that the last reading did not have."""
        for note in notes:
            if str(note) not in self._told:
                log.warning("note", note=str(note), refused=note.refused)
        self._told = {str(note) for note in notes}

    def _fingerprints(self) -> list[Fingerprint | None]:
        return [fingerprint(path) for path in self.paths]

    def _complain(self, error: str) -> None:
        """Log what is wrong once, and not before it is still wrong at a second look: files vanish for a moment."""
        if error == self._complaint and not self._logged:
            log.warning("snapshot_file_unusable", error=error, effect="the last good snapshot stays in force")
            self._logged = True
        elif error != self._complaint:
            self._complaint, self._logged = error, False

    def _handed_on(self, found: Snapshot) -> Snapshot | None:
        if found == self._last and not self._owed:
            return None
        last, self._owed = self._last, False
        fresh = replace(
            found,
            nodes=kept(last.nodes, found.nodes),
            services=kept(last.services, found.services),
            tasks=kept(last.tasks, found.tasks),
            networks=kept(last.networks, found.networks),
            listing=next(self._numbers),
        )
        self._last = replace(fresh, causes=diff.between(last, fresh, time.time()))
        return self._last


def load(paths: Paths, stack: str = "") -> Snapshot:
    """Read a snapshot file, or Compose files as one stack.

    Raises:
        SourceError: a file is not there, no JSON or YAML, of another version, or something in it has the wrong
            shape; the message names the file and the place in it.
    """
    return _snapshot_of([(os.fspath(path), documents.read_text(path, SourceError)) for path in _listed(paths)], stack)


def parse(text: str, name: str) -> Snapshot:
    """Read a file's text; `name` stands for the file in errors. Raises SourceError as `load` does."""
    return _snapshot_of([(name, text)], "")


def _snapshot_of(texts: Sequence[tuple[str, str]], stack: str) -> Snapshot:
    found = [(name, text, documents.parse(text, name, SourceError)) for name, text in texts]
    name, _, data = found[0]
    if len(found) > 1 and (alone := next((name for name, _, data in found if _is_snapshot(data)), "")):
        raise SourceError(f"{alone}: only Compose files can be read together, and this is a snapshot: give one file")
    if len(found) > 1 or is_compose(data):
        return load_stack(found, stack)
    if stack:
        raise SourceError(f"{name}: only Compose files are given the name of a stack ({stack!r}), and this is none")
    try:
        return _snapshot(data)
    except SourceError as error:
        raise SourceError(f"{name}: {error}") from error


def _is_snapshot(data: object) -> bool:
    return isinstance(data, Mapping) and any(isinstance(data.get(kind), list) for kind in KINDS)


def _listed(paths: Paths) -> list[Path]:
    return [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def _snapshot(data: object) -> Snapshot:
    if not isinstance(data, Mapping):
        raise SourceError(f"no snapshot: expected an object with version and lists, found {type(data).__name__}")
    version = data.get("version")
    if version != 1 or isinstance(version, bool):
        found = "there is none" if version is None else f"found {version!r}"
        raise SourceError(f"version: 1 is the only version that this lbgen reads, {found}")
    for key in data:
        if key not in _KEYS and not str(key).startswith("x-"):
            raise SourceError(f"{key}: not a part of a snapshot; its parts are {', '.join(_KEYS)}")
    for key in ("cluster", "taken_at"):
        if not isinstance(data.get(key) or "", str):
            raise SourceError(f"{key}: expected a text, found {data[key]!r}")
    lists = ([] if data.get(kind) is None else data[kind] for kind in ("nodes", "services", "tasks", "networks"))
    return decode.snapshot(*lists, cluster=data.get("cluster") or "", taken_at=moment(data.get("taken_at") or ""))


def write_snapshot(snapshot: Snapshot, path: str | os.PathLike[str] | None = None) -> str:
    """Return the snapshot as a snapshot file's text, the same for the same facts; write it to `path` if given.

    Raises:
        LbgenError: the file cannot be written; one that was there before is untouched.
    """
    text = json.dumps(decode.document(snapshot), indent=2, ensure_ascii=False) + "\n"
    if path is not None:
        try:
            _replace(Path(path), text)
        except OSError as error:
            raise LbgenError(f"{os.fspath(path)}: cannot be written: {error.strerror}") from error
    return text


def _replace(path: Path, text: str) -> None:
    """Write a file by rename, so that whoever follows it never sees half of it; a device or pipe is written to."""
    if path.exists() and not path.is_file():
        path.write_text(text, "utf-8")
        return
    target = Path(os.path.realpath(path))
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(target.stat().st_mode if target.exists() else 0o644)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
