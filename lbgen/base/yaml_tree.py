"""A YAML text as a tree of nodes that is safe to walk and has one reading, as data, and as lines by key.

What `documents` promises of YAML is kept here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _Base
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as _Base  # type: ignore[assignment]

KeyPath = tuple[str | int, ...]
MAX_DEPTH = 100  # libyaml's composer recurses in C: a file of brackets would end the process, not raise
MAX_VALUES = 300_000  # keys count too; one costs a KiB while a file is read
MAX_REPEATED = 100_000  # values that exist only because an alias names them again

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


class Refused(Exception):
    """What is wrong, and where; line and column count from 1, 0 means not known."""

    def __init__(self, what: str, line: int = 0, column: int = 0) -> None:
        super().__init__(what)
        self.line, self.column = line, column


def data_in(root: yaml.Node | None) -> object:
    """Return the data of a tree; raise Refused."""
    if root is None:
        return None
    try:
        data: object = _Loader("").construct_document(root)
    except yaml.MarkedYAMLError as cause:
        raise _refused(cause) from cause
    except ValueError as cause:
        raise Refused(str(cause)) from cause
    return data


def tree_of(text: str) -> yaml.Node | None:
    """Return a text as a tree that is safe to walk and has one reading, None if it is empty; raise Refused."""
    try:
        _limit_depth(text)
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as cause:
        raise _refused(cause) from cause
    except yaml.reader.ReaderError as cause:
        before = text[: cause.position]
        column = cause.position - before.rfind("\n")
        raise Refused(f"{cause.reason}: {cause.character!r}", before.count("\n") + 1, column) from cause
    except yaml.YAMLError as cause:
        raise Refused(str(cause)) from cause
    if root is not None:
        _Walk().size(root)
    return root


def _limit_depth(text: str) -> None:
    depth = 0
    for values, event in enumerate(yaml.parse(text, _Loader)):
        if values > MAX_VALUES:
            raise _at(event, f"more than {MAX_VALUES} values; write so much as JSON, which costs less")
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
            raise _at(node, f"{node.value!r} is not of type {kind}")

    @staticmethod
    def _check_keys(node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _at(key, "a key is a plain text, not a list or mapping")
            # The text alone: `1` and `"1"` are two keys to YAML, but one to a person who reads the file.
            if key.value in seen:
                raise _at(key, f"key {key.value!r} is there twice")
            seen.add(key.value)


def lines_in(root: yaml.Node | None) -> dict[KeyPath, int]:
    """Return the line, from 1, of every key and list item of a tree by its path."""
    lines: dict[KeyPath, int] = {}
    if root is not None:
        lines[()] = _line(root)
        _collect(root, (), lines)
    return lines


def _collect(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = _line(item)
            _collect(item, (*path, index), lines)
    elif isinstance(node, yaml.MappingNode):
        merged = [value for key, value in node.value if key.tag == f"{_TAG}merge"]
        for part in reversed([part for value in merged for part in _parts(value)]):
            _collect(part, path, lines)
        for key, value in node.value:
            if key.tag != f"{_TAG}merge":
                lines[(*path, key.value)] = _line(key)
                _collect(value, (*path, key.value), lines)


def _parts(merged: yaml.Node) -> list[yaml.Node]:
    """``<<: *one`` names a mapping, ``<<: [*one, *two]`` several, the first of which wins."""
    return list(merged.value) if isinstance(merged, yaml.SequenceNode) else [merged]


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _at(place: yaml.Node | yaml.Event, what: str) -> Refused:
    return _with_mark(what, place.start_mark)


def _refused(cause: yaml.MarkedYAMLError) -> Refused:
    what = ", ".join(part for part in (cause.problem, cause.context) if part)
    return _with_mark(what, cause.problem_mark or cause.context_mark)


def _with_mark(what: str, mark: Any) -> Refused:
    return Refused(what, mark.line + 1, mark.column + 1) if mark else Refused(what)
