"""The `file` source: a snapshot that `lbgen snapshot` recorded or a person wrote, or Compose files; followed.

Only what was read whole, is well-formed and says something else than before is handed on. A file that is broken,
half-written or away changes nothing: the last good snapshot stays in force, and the log says why.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lbgen.base import documents, json_text, whole_file
from lbgen.base.errors import LbgenError, SourceError
from lbgen.base.file_watch import Pace, watched
from lbgen.base.fingerprint import Fingerprint, fingerprint
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part, UnexpectedErrors
from lbgen.base.unwritable import unwritable
from lbgen.snapshot import Note, Snapshot
from lbgen.source import PartState, diff
from lbgen.source.compose import is_compose
from lbgen.source.facts import KINDS, kept
from lbgen.source.mailbox import Closed, Mailbox
from lbgen.source.snapshot_document import document, snapshot_of

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
READY = 5.0  # seconds, at most, in which the watch should stand
SECOND_LOOK = 0.5  # seconds after which files that cannot be used are looked at again, before that is logged


class FileSource:
    """A `Source` that reads a snapshot file, or Compose files."""

    def __init__(
        self,
        paths: Paths,
        *,
        stack: str = "",
        pace: Pace = Pace(),  # noqa: B008 -- frozen
        wall_clock: Callable[[], float] = time.time,
        unexpected: UnexpectedErrors = UNEXPECTED,
    ) -> None:
        """Read nothing yet.

        Args:
            paths: one file, or several Compose files, which are merged in this order.
            stack: name of the stack that Compose files are deployed as; empty: see `load_stack`.
        """
        self.paths = _listed(paths)
        self.stack = stack
        self._pace, self._wall_clock = pace, wall_clock
        self._mailbox = Mailbox()
        self._numbers = itertools.count(1)
        self._findings = _Findings(self.paths, wall_clock)
        self._guard = unexpected.guard(Part.SOURCE, "files")

    def take(self) -> Snapshot:
        """Return the files' snapshot, or raise SourceError."""
        return replace(load(self.paths, self.stack), listing=next(self._numbers))

    def follow(self) -> Iterator[Snapshot]:
        """Yield the files' snapshot at once, if they have one, and again after each change, until `close`."""
        last, owed = Snapshot(), True  # owed: the next good reading is handed on even if nothing changed
        try:
            with watched(lambda: self.paths, lambda: self._mailbox.tell({"file"}), self._pace) as watch:
                watch.ready.wait(READY)  # so that no change falls between reading and watching
                while True:
                    facts, again = self._read()
                    if facts is not None and (owed or facts != last):
                        last, owed = self._successor(last, facts), False
                        yield last
                    owed |= self._mailbox.wait(self._mailbox.clock() + again).relist
        except Closed:
            return

    def relist(self) -> None:
        """Have the file read again and handed on even if nothing changed."""
        self._mailbox.relist()

    def close(self) -> None:
        self._mailbox.close()

    def states(self) -> tuple[PartState, ...]:
        """Return how following goes now."""
        why, since = self._findings.failing
        names = ", ".join(json_text.whole(str(path)) for path in self.paths)
        return (PartState("file", mode="file", endpoint=names, failing=why, failing_since=since),)

    def _read(self) -> tuple[Snapshot | None, float]:
        """Return the files' snapshot, if they have one, and the seconds after which to read them again in any case."""
        before = self._fingerprints()
        try:
            facts = load(self.paths, self.stack)
        except SourceError as error:
            sure = self._findings.unusable(str(error))
            return None, self._pace.poll if sure else min(SECOND_LOOK, self._pace.poll)
        except Exception as error:  # what is in the files is somebody else's, and may be anything
            self._findings.unusable(f"unexpected {error!r}")
            return None, self._guard.failed(error)
        self._guard.worked()
        if self._fingerprints() != before:
            return None, self._pace.settle  # written to meanwhile: what was read may be a mixture
        self._findings.usable(facts.notes)
        # Else a later change may not show in what tells of changes.
        settled = all(file is None or file.settled() for file in before)
        return facts, math.inf if settled else self._pace.poll

    def _fingerprints(self) -> list[Fingerprint | None]:
        return [fingerprint(path) for path in self.paths]

    def _successor(self, last: Snapshot, facts: Snapshot) -> Snapshot:
        """Return the facts as the snapshot after the last one: what is equal is the same object."""
        fresh = replace(
            facts,
            nodes=kept(last.nodes, facts.nodes),
            services=kept(last.services, facts.services),
            tasks=kept(last.tasks, facts.tasks),
            networks=kept(last.networks, facts.networks),
            listing=next(self._numbers),
        )
        return replace(fresh, causes=diff.between(last, fresh, self._wall_clock()))


class _Findings:
    """What the log has been told about the files: each thing once."""

    def __init__(self, paths: Sequence[Path], clock: Callable[[], float]) -> None:
        self._paths, self._clock = paths, clock
        self.failing: tuple[str, float | None] = "", None  # why they cannot be used, and since when
        self._trouble: tuple[str, bool] = ("", False)  # likewise, and whether that was logged
        self._notes: frozenset[str] = frozenset()

    def unusable(self, error: str) -> bool:
        """Log why, at the second look in a row that finds it: files vanish for a moment. Return whether it was."""
        known, logged = self._trouble
        if known == error and not logged:
            log.warning("snapshot_file_unusable", error=error, effect="the last good snapshot stays in force")
        if known == error:
            self.failing = error, self.failing[1] or self._clock()
        self._trouble = error, known == error
        return known == error

    def usable(self, notes: Iterable[Note]) -> None:
        """Log that they can be used again, and the notes that the last reading did not have."""
        _, logged = self._trouble
        if logged:
            log.info("snapshot_file_usable_again", file=", ".join(map(str, self._paths)))
        for note in notes:
            if str(note) not in self._notes:
                log.warning("note", note=str(note), refused=note.refused)
        self.failing = "", None
        self._trouble, self._notes = ("", False), frozenset(map(str, notes))


def load(paths: Paths, stack: str = "") -> Snapshot:
    """Read a snapshot file, or Compose files as one stack.

    Raises:
        SourceError: a file is not there, neither JSON nor YAML, of another version, or something in it has the wrong
            shape; the message names the file and the place in it.
    """
    return _snapshot_of([(os.fspath(path), documents.read_text(path, SourceError)) for path in _listed(paths)], stack)


def parse(text: str, name: str) -> Snapshot:
    """Read a file's text; `name` stands for the file in errors. Raises SourceError as `load` does."""
    return _snapshot_of([(name, text)], "")


def _snapshot_of(texts: Sequence[tuple[str, str]], stack: str) -> Snapshot:
    files = [(name, text, documents.parse(text, name, SourceError)) for name, text in texts]
    try:
        return _read(files, stack)
    except RecursionError:  # JSON can be parsed that is too deep for what reads the data; its traceback is as long
        raise SourceError(f"{', '.join(name for name, *_ in files)}: nested too deeply") from None


def _read(files: Sequence[tuple[str, str, object]], stack: str) -> Snapshot:
    name, _, data = files[0]
    if len(files) > 1 and (alone := next((name for name, _, data in files if _is_snapshot(data)), "")):
        raise SourceError(f"{alone}: only Compose files can be read together, and this is a snapshot: give one file")
    if len(files) > 1 or is_compose(data):
        from lbgen.source.compose.load import load_stack  # here: a snapshot is read without all of Compose's schema

        return load_stack(files, stack)
    if stack:
        raise SourceError(f"{name}: only Compose files are given the name of a stack ({stack!r}), and this is none")
    try:
        return snapshot_of(data)
    except SourceError as error:
        raise SourceError(f"{name}: {error}") from error


def _is_snapshot(data: object) -> bool:
    lists = isinstance(data, Mapping) and any(isinstance(data.get(kind), list) for kind in KINDS)
    return lists or (isinstance(data, Mapping) and isinstance(data.get("parts"), Mapping))


def _listed(paths: Paths) -> list[Path]:
    return [Path(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def write_snapshot(snapshot: Snapshot, path: str | os.PathLike[str] | None = None, *, indent: int | None = 2) -> str:
    """Return the snapshot as a snapshot file's text, the same for the same facts; write it to `path` if given.

    Args:
        indent: None: on one line, which takes a fifth of the time and is for no people.
    Raises:
        LbgenError: the file cannot be written; one that was there before is untouched.
    """
    text = json.dumps(document(snapshot), indent=indent, ensure_ascii=False) + "\n"
    if path is not None:
        try:
            _replace(Path(path), text)
        except OSError as error:
            raise LbgenError(unwritable(Path(path), error)) from error
    return text


def _replace(path: Path, text: str) -> None:
    """Write a file by rename, so that what follows it never sees half of it; a device or pipe is written to."""
    if path.exists() and not path.is_file():
        path.write_text(text, "utf-8")
        return
    whole_file.replace(Path(os.path.realpath(path)), text.encode())  # with its mode: nobody else reads it
