"""Compose files as a source: what the Swarm would look like if these were deployed as a stack.

`interpolation` fills in the environment (`variables` one text), `schema` says what may stand where (`schema_types`
checks it), `stack` reads what decides about traffic, `merge` joins several files, and `synthesize` makes the snapshot.
`warnings` tells what is ignored and what would be refused. All as `docker stack deploy` does it: what that refuses and
can only mean one thing is read and noted; everything else that it refuses is an error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lbgen.base import documents, json_text
from lbgen.base.errors import SourceError
from lbgen.snapshot import Snapshot
from lbgen.source.compose.interpolation import interpolated_file
from lbgen.source.compose.merge import merged_stack
from lbgen.source.compose.schema import FILE, NEWEST
from lbgen.source.compose.schema_types import check
from lbgen.source.compose.stack import Stack, stack_in
from lbgen.source.compose.stack_file import StackFile, raise_errors
from lbgen.source.compose.synthesize import synthetic_snapshot
from lbgen.source.compose.warnings import note_ignored, note_refusals, refuse_includes

Texts = Sequence[tuple[str, str, object]]  # name, text and data of each file
_USUAL = re.compile(r"(?:docker-)?(?:compose|stack)(?:[.-].*)?", re.IGNORECASE)


def load_stack(texts: Texts, stack: str = "", variables: Mapping[str, str] | None = None) -> Snapshot:
    """Return the snapshot that the files would give if they were deployed as one stack.

    Args:
        texts: in the order in which they are merged.
        stack: the stack's name; empty: what a file says, else made from the first file's name.
        variables: to fill in; None: this process's environment, which is all that `docker stack deploy` reads.
    Raises:
        SourceError: something is wrong with a file; all of it is told, with file and line.
    """
    whole, files = read_stack(texts, _environment() if variables is None else variables)
    note_refusals(whole, files)
    raise_errors(files)
    name = _stack_name(stack, files)
    notes = tuple(note for file in files for note in sorted(file.notes))
    return replace(synthetic_snapshot(whole, name), notes=notes)


def read_stack(texts: Texts, variables: Mapping[str, str]) -> tuple[Stack, list[StackFile]]:
    """Return the stack of all files, and the files with their notes; raise SourceError as `load_stack` does."""
    files = [_file(name, text, data) for name, text, data in texts]
    version = _version(files)
    for file in files:
        refuse_includes(file)
    files = [interpolated_file(file, variables) for file in files]
    stacks = [(file, _checked(file, version)) for file in files]
    raise_errors(files)
    return merged_stack(stacks), files


def _file(name: str, text: str, data: object) -> StackFile:
    if not isinstance(data, Mapping):
        raise SourceError(f"{name}: not a Compose file: expected a mapping with services")
    return StackFile(name, data, documents.positions(text))


def _version(files: Sequence[StackFile]) -> int:
    """Return the minor version that all files are of; errors are added to the files."""
    first = _minor(files[0])
    for file in files[1:]:
        if _minor(file) != first:
            message = f"version 3.{_minor(file)} cannot be merged with 3.{first} of {files[0].name}"
            file.wrong(("version",), message, "give all files the same version, or leave it out of all")
    return first


def _minor(file: StackFile) -> int:
    version = str(file.data.get("version", "3"))
    if version in ("", "3"):
        return NEWEST
    match = re.fullmatch(r"3\.([0-9]+)", version)
    if match and int(match[1]) <= NEWEST:
        return int(match[1])
    remedy = f"write version: '3.8' (up to 3.{NEWEST}), or leave the version out"
    file.wrong(("version",), f"`docker stack deploy` reads versions 3.0 to 3.{NEWEST}, found {version!r}", remedy)
    return NEWEST


def _checked(file: StackFile, version: int) -> Stack:
    check(file, file.data, FILE, version)
    if file.errors:
        return Stack()
    note_ignored(file)
    return stack_in(file)


def _stack_name(given: str, files: Sequence[StackFile]) -> str:
    """Return the stack's name: as given, else as the last file that names one says, else made from the first's name."""
    named = [(file, str(file.data["name"])) for file in files if file.data.get("name")]
    if given or named:
        name = given or named[-1][1]
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?", name):
            raise SourceError(f"{name!r} cannot be the name of a stack: use letters, digits, dashes and underscores")
        return name
    path = Path(files[0].name)
    plain = path.absolute().parent.name if _USUAL.fullmatch(path.stem) else path.stem
    name = re.sub(r"[^a-z0-9_-]+", "-", plain.lower()).strip("-_") or "stack"
    files[0].note((), f"the stack is called {name!r}, after the file", "give its name with --stack")
    return name


def _environment() -> dict[str, str]:
    """Return this process's environment; what is not UTF-8 in it becomes U+FFFD, as it would on its way to Docker."""
    return {name: json_text.whole(value) for name, value in os.environ.items()}
