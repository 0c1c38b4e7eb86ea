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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from lbgen.base.errors import LbgenError

if TYPE_CHECKING:
    from pydantic import ValidationError

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as _Base  # type: ignore[assignment]

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100  # libyaml's composer recurses in C: a file of brackets would end the process, not raise
MAX_REPEATED = 100_000  # values that exist only because an alias names them again

KeyPath = tuple[str | int, ...]
_TAG = "tag:yaml.org,2002:"
_PLAIN = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+",
    "float": r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+",
    "merge": r"<<",
    "null": r"~|null|Null|NULL|",
}


class _Loader(_Base):
    """Builds plain data only: no dates, sets or bytes."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 -- PyYAML's own form


for _name, _pattern in _PLAIN.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), None)


class _Refused(Exception):
    """What is wrong, and where; line and column count from 1, 0 means not known."""

    def __init__(self, what: str, line: int = 0, column: int = 0) -> None:
        super().__init__(what)
        self.line, self.column = line, column


def read(path: str | os.PathLike[str], error: type[LbgenError]) -> object:
    """Return the data in a JSON or YAML file.

    Raises:
        error: the file cannot be read, or is not one well-formed document of plain data.
    """
    return parse(read_text(path, error), os.fspath(path), error)


def read_text(path: str | os.PathLike[str], error: type[LbgenError]) -> str:
    """Return a file's text (UTF-8, byte order mark allowed, at most 64 MiB), or raise `error`."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as cause:
        raise error(f"{os.fspath(path)}: cannot be read: {cause.strerror}") from cause
    if len(content) > MAX_BYTES:
        raise error(f"{os.fspath(path)}: larger than {MAX_BYTES // 1024**2} MiB")
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
    try:
        if name.endswith(".json"):
            return _json(text)
        if text.lstrip()[:1] in ("{", "["):
            try:
                return _json(text)
            except _Refused:
                return _yaml(text)
        return _yaml(text)
    except _Refused as refused:
        where = f"{name}:{refused.line}:{refused.column}" if refused.line else name
        raise error(f"{where}: {refused}") from refused.__cause__


def positions(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of every key and list item by its path: ``("targets", "edge", "output")``.

    For messages only, hence it never fails: a text that cannot be parsed has no positions.
    """
    try:
        root = _tree(text)
    except _Refused:
        return {}
    found: dict[KeyPath, int] = {}
    if root is not None:
        found[()] = _line(root)
        _collect(root, (), found)
    return found


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
    for found in error.errors():
        key = tuple(part for part in found["loc"] if part != "[key]")
        known = [key[:length] for length in range(len(key), 0, -1) if key[:length] in origins]
        what = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            what = unknown(key)
        elif not isinstance(found["input"], dict) and found["type"] != "missing":
            what = f"{what} (found {found['input']!r})"
        lines.append(f"{origins[known[0]] if known else fallback}: {'.'.join(map(str, key)) or 'settings'}: {what}")
    return lines


def _json(text: str) -> object:
    try:
        data: object = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
        if "\\ud" in text.lower():  # half of an escaped pair can be read but never be written again
            json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as cause:
        raise _Refused(cause.msg, cause.lineno, cause.colno) from cause
    except RecursionError as cause:
        raise _Refused("nested too deeply") from cause
    except UnicodeEncodeError as cause:
        raise _Refused("an escape like \\ud800 stands alone: half a character") from cause
    except ValueError as cause:  # a number of thousands of digits
        raise _Refused(str(cause)) from cause
    except _Refused:
        _tree(text)  # raises the same, with its line, if YAML can read the text
        raise
    return data


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Refused(f"key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON")


def _yaml(text: str) -> object:
    root = _tree(text)
    if root is None:
        return None
    try:
        data: object = _Loader("").construct_document(root)
    except yaml.MarkedYAMLError as cause:
        raise _refused(cause) from cause
    except ValueError as cause:
        raise _Refused(str(cause)) from cause
    return data


def _tree(text: str) -> yaml.Node | None:
    """Return the text as a tree of nodes that is safe to walk and has one reading, or None if it is empty."""
    try:
        _limit_depth(text)
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as cause:
        raise _refused(cause) from cause
    except yaml.reader.ReaderError as cause:
        before = text[: cause.position]
        column = cause.position - before.rfind("\n")
        raise _Refused(f"{cause.reason}: {cause.character!r}", before.count("\n") + 1, column) from cause
    except yaml.YAMLError as cause:
        raise _Refused(str(cause)) from cause
    if root is not None:
        _Walk().size(root)
    return root


def _limit_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _at(event, f"nested deeper than {MAX_DEPTH}")


class _Walk:
    """One pass over a tree of nodes: refuses what is ambiguous, endless or explosive."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}  # by id(): an alias is the very node it names
        self._open: set[int] = set()

    def size(self, node: yaml.Node) -> int:
        """Return how many values the node stands for once every alias is followed."""
        if id(node) in self._sizes:
            return self._sizes[id(node)]
        if id(node) in self._open:
            raise _at(node, "an alias inside of what it names")
        self._open.add(id(node))
        size = 1 + sum(self.size(child) for child in self._children(node))
        self._open.discard(id(node))
        self._sizes[id(node)] = size
        if size - len(self._sizes) > MAX_REPEATED:
            raise _at(node, f"aliases repeat more than {MAX_REPEATED} values")
        return size

    def _children(self, node: yaml.Node) -> Iterator[yaml.Node]:
        if node.tag.removeprefix(_TAG) not in {"bool", "int", "float", "merge", "null", "str", "seq", "map"}:
            raise _at(node, f"tag {node.tag.replace(_TAG, '!!')} is not supported, plain data only")
        if isinstance(node, yaml.ScalarNode):
            self._check_scalar(node)
        elif isinstance(node, yaml.MappingNode):
            self._check_keys(node)
            for key, value in node.value:
                yield key
                yield value
        else:
            yield from node.value

    @staticmethod
    def _check_scalar(node: yaml.ScalarNode) -> None:
        kind = node.tag.removeprefix(_TAG)
        if kind in _PLAIN and not re.fullmatch(_PLAIN[kind], node.value):
            raise _at(node, f"{node.value!r} is no {kind}")

    @staticmethod
    def _check_keys(node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _at(key, "a key is a plain text, not a list or mapping")
            # The text alone: `1` and `"1"` are two keys to YAML, but one to whoever reads the file.
            if key.value in seen:
                raise _at(key, f"key {key.value!r} is there twice")
            seen.add(key.value)


def _collect(node: yaml.Node, path: KeyPath, found: dict[KeyPath, int]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            found[(*path, index)] = _line(item)
            _collect(item, (*path, index), found)
    elif isinstance(node, yaml.MappingNode):
        merged = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
        for part in reversed([part for value in merged for part in _parts(value)]):
            _collect(part, path, found)
        for key, value in node.value:
            if key.tag != f"{_TAG}merge":
                found[(*path, key.value)] = _line(key)
                _collect(value, (*path, key.value), found)


def _parts(merged: yaml.Node) -> list[yaml.Node]:
    """``<<: *one`` names a mapping, ``<<: [*one, *two]`` several, the first of which wins."""
    return list(merged.value) if isinstance(merged, yaml.SequenceNode) else [merged]


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _at(place: yaml.Node | yaml.Event, what: str) -> _Refused:
    return _with_mark(what, place.start_mark)


def _refused(cause: yaml.MarkedYAMLError) -> _Refused:
    what = ", ".join(part for part in (cause.problem, cause.context) if part)
    return _with_mark(what, cause.problem_mark or cause.context_mark)


def _with_mark(what: str, mark: Any) -> _Refused:
    return _Refused(what, mark.line + 1, mark.column + 1) if mark else _Refused(what)
