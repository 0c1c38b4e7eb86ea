"""JSON and YAML files as plain data: dicts, lists, texts, numbers, booleans and None.

Scalars follow YAML 1.2 and Compose rather than YAML 1.1: only ``true`` and ``false`` are booleans, so ``yes``, ``on``,
``22:22`` and ``2026-11-22T10:00:00Z`` stay the text that was written. Whatever has two readings (a key written
twice, a tag) or is meant to exhaust the reader (nesting, aliases of aliases, size) is refused. Every error says
``file:line:column`` and what is wrong there; the caller chooses its class.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from lbgen.base import bounded_file, json_text
from lbgen.base.errors import LbgenError
from lbgen.base.yaml_tree import KeyPath, Refused, data_in, lines_in, tree_of

if TYPE_CHECKING:
    from pydantic import ValidationError

_IN_BRACKETS = re.compile(r"\[(?:key|one|several)\]")
MAX_BYTES = 64 * 1024 * 1024


def read(path: str | os.PathLike[str], error: type[LbgenError]) -> object:
    """Return the data in a JSON or YAML file.

    Raises:
        error: the file cannot be read, or is not one well-formed document of plain data.
    """
    return parse(read_text(path, error), os.fspath(path), error)


def read_text(path: str | os.PathLike[str], error: type[LbgenError]) -> str:
    """Return the text of a file or pipe (UTF-8, byte order mark allowed, at most 64 MiB), or raise `error`."""
    try:
        content = bounded_file.read(path, MAX_BYTES, pipes=True)
    except bounded_file.TooLarge as cause:
        raise error(f"{os.fspath(path)}: {cause.strerror}") from cause
    except OSError as cause:
        raise error(f"{os.fspath(path)}: cannot be read: {cause.strerror}") from cause
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        line = content.count(b"\n", 0, cause.start) + 1
        column = cause.start - content.rfind(b"\n", 0, cause.start)
        raise error(f"{os.fspath(path)}:{line}:{column}: not UTF-8") from cause


def parse(text: str, name: str, error: type[LbgenError]) -> object:
    """Return the data in a JSON or YAML text; `name` stands for the file in errors.

    Text that starts with a bracket is tried as JSON first, since YAML reads JSON slowly and not quite all of it.
    """
    if not json_text.is_whole(text):  # of the environment, say: what it has in other bytes than UTF-8
        raise error(f"{name}: not UTF-8")
    try:
        if name.endswith(".json"):
            return _json(text)
        if text.lstrip()[:1] in ("{", "["):
            try:
                return _json(text)
            except Refused:
                return data_in(tree_of(text))
        return data_in(tree_of(text))
    except Refused as refused:
        raise _located(refused, name, error) from refused.__cause__


def parse_with_positions(text: str, name: str, error: type[LbgenError]) -> tuple[object, dict[KeyPath, int]]:
    """Return the results of `parse` and `positions` for a YAML text, which is parsed once."""
    try:
        root = tree_of(text)
        return data_in(root), lines_in(root)
    except Refused as refused:
        raise _located(refused, name, error) from refused.__cause__


def _located(refused: Refused, name: str, error: type[LbgenError]) -> LbgenError:
    return error(f"{name}:{refused.line}:{refused.column}: {refused}" if refused.line else f"{name}: {refused}")


def positions(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every key and list item by its path: ``("targets", "edge", "output")``.

    For messages only, hence it never fails: a text that cannot be parsed has no positions.
    """
    try:
        return lines_in(tree_of(text))
    except Refused:
        return {}


def lines_of(path: str | os.PathLike[str]) -> dict[KeyPath, int]:
    """Return `positions` of a file; empty where it cannot be read."""
    try:
        return positions(read_text(path, LbgenError))
    except LbgenError:
        return {}


def complaints(
    error: ValidationError, origins: Mapping[KeyPath, str], fallback: str, unknown: Callable[[KeyPath], str]
) -> list[str]:
    """Return one line for each thing that is wrong with a document: where, which key, what, and what to do.

    Args:
        origins: where each key stands, ``lbgen.yml:3`` say.
        fallback: what stands for a key that is nowhere.
        unknown: what to say of a key that the model does not have.
    """
    lines = []
    for detail in error.errors():
        # What is in brackets is no key: "[key]", and the name of a form where there are several.
        key = tuple(part for part in detail["loc"] if not (isinstance(part, str) and _IN_BRACKETS.fullmatch(part)))
        known = [key[:length] for length in range(len(key), 0, -1) if key[:length] in origins]
        what = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            what = unknown(key)
        elif not isinstance(detail["input"], dict) and detail["type"] != "missing":
            what = f"{what} (found {detail['input']!r})"
        lines.append(f"{origins[known[0]] if known else fallback}: {'.'.join(map(str, key)) or 'settings'}: {what}")
    return lines


def _json(text: str) -> object:
    try:
        data: object = json_text.data_in(text, halves=True, object_pairs_hook=_distinct, parse_constant=_no_constant)
        if "\\ud" in text.lower():  # half of an escaped pair can be read but never be written again
            json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as cause:
        raise Refused(cause.msg, cause.lineno, cause.colno) from cause
    except UnicodeEncodeError as cause:
        raise Refused("an escape like \\ud800 stands alone: half a character") from cause
    except ValueError as cause:  # nested too deeply, too many values, a number of thousands of digits
        raise Refused(str(cause)) from cause
    except Refused:
        tree_of(text)  # raises the same, with its line, if YAML can read the text
        raise
    return data


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        raise Refused(f"key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return data


def _no_constant(name: str) -> NoReturn:
    raise Refused(f"{name} is not JSON")
