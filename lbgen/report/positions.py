"""Where in the source's files a problem is: the line of a label, a service or a node.

For messages only: what is not found has no position, and nothing here fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lbgen.base import documents
from lbgen.base.errors import LbgenError
from lbgen.base.yaml_tree import KeyPath


@dataclass(frozen=True, slots=True)
class Position:
    """A line of a file."""

    file: str  # relative to the working directory where it is below it, as pipelines want it
    line: int  # from 1


_NAMES = {"services": ("Spec", "Name"), "nodes": ("Description", "Hostname")}  # in a snapshot's lists


@dataclass(slots=True)
class _Document:
    name: str
    data: object
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    found: dict[tuple[str, str], KeyPath | None] = field(default_factory=dict)  # (kind, name) -> where it begins

    def begins(self, kind: str, name: str) -> KeyPath | None:
        """Return where the service or node of this name is; of a list's, all are looked up at the first question."""
        items = _at(self.data, kind)
        if isinstance(items, Mapping):  # a stack's, whose name goes before the services' own
            if (kind, name) not in self.found:
                self.found[kind, name] = _of_stack(items, kind, name)
        elif isinstance(items, list) and (kind, "") not in self.found:
            self.found[kind, ""] = None
            for index, item in enumerate(items):
                self.found.setdefault((kind, str(_at(item, *_NAMES[kind]))), (kind, index))
        return self.found.get((kind, name))

    def line(self, *path: str | int) -> int:
        return self.lines.get(path, 1)


class Positions:
    """The positions in snapshot or stack files; of several files, the last that has the label, service or node."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)
        self._documents: list[_Document] | None = None

    def of(self, service: str = "", label: str = "", node: str = "") -> Position | None:
        """Return where the label is written; if it is empty or not found, where its service or node begins."""
        for document in reversed(self._read()):
            base = document.begins("services", service) if service else document.begins("nodes", node) if node else None
            if base is not None:
                path = _label(document.data, base, label) if label else None
                return Position(document.name, document.line(*(path or base)))
        return None

    def _read(self) -> list[_Document]:
        if self._documents is None:
            self._documents = [_document(path) for path in self._files]
        return self._documents


def short_path(path: str | os.PathLike[str]) -> str:
    """Return a path relative to the working directory if it is below it."""
    try:
        return str(Path(path).absolute().relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)


def _document(path: Path) -> _Document:
    try:
        text = documents.read_text(path, LbgenError)
        return _Document(short_path(path), *documents.parse_with_positions(text, str(path), LbgenError))
    except LbgenError:
        return _Document(short_path(path), None)


def _at(data: object, *path: str | int) -> object:
    """Return the value at the path; None if there is none."""
    for key in path:
        if isinstance(data, Mapping):
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            data = data[key]
        else:
            return None
    return data


def _of_stack(services: Mapping[str, object], kind: str, name: str) -> KeyPath | None:
    exact = [key for key in services if name == key] or [key for key in services if name.endswith(f"_{key}")]
    return (kind, max(exact, key=len)) if exact else None


def _label(data: object, base: KeyPath, label: str) -> KeyPath | None:
    """Find a label wherever services and nodes have labels, in either form, whatever its case."""
    for inner in (("deploy", "labels"), ("labels",), ("Spec", "Labels")):
        labels = _at(data, *base, *inner)
        keys: Iterable[tuple[str | int, str]] = ()
        if isinstance(labels, Mapping):
            keys = ((key, key) for key in labels)
        elif isinstance(labels, list):
            keys = ((index, str(item).partition("=")[0]) for index, item in enumerate(labels))
        for key, written in keys:
            if written.lower() == label.lower():
                return (*base, *inner, key)
    return None
