"""One Compose file while it is read: its data, where each part of it stands, and what is to be said about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lbgen.base.errors import SourceError
from lbgen.base.yaml_tree import KeyPath
from lbgen.snapshot import Note


@dataclass(slots=True)
class StackFile:
    """A file and what is to be said about it, collected so that all are told at once."""

    name: str
    data: Mapping[str, Any]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    errors: list[Note] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def wrong(self, path: KeyPath, message: str, remedy: str) -> None:
        """Add something that makes the file unusable; only the first thing about a place is told."""
        error = self._note(path, message, remedy)
        if all(other.place != error.place for other in self.errors):
            self.errors.append(error)

    def refused(self, path: KeyPath, message: str, remedy: str) -> None:
        """Add something that can be read, but not by `docker stack deploy`."""
        self.notes.append(self._note(path, message, remedy, refused=True))

    def note(self, path: KeyPath, message: str, remedy: str = "", *, unread: tuple[str, ...] = ()) -> None:
        """Add something that its author should know.

        Args:
            unread: the labels that nothing reads there.
        """
        self.notes.append(replace(self._note(path, message, remedy), unread=unread))

    def _note(self, path: KeyPath, message: str, remedy: str, *, refused: bool = False) -> Note:
        known = (self.lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in self.lines)
        return Note(self.name, next(known, 0), dotted(path), message, remedy, refused)


def raise_errors(files: Iterable[StackFile]) -> None:
    """Raise one SourceError with all errors of all files, if there are any."""
    errors = [str(error) for file in files for error in sorted(file.errors)]
    if errors:
        raise SourceError("\n".join(errors))


def dotted(path: KeyPath) -> str:
    """``services.web.ports[0]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
