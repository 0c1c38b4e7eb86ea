"""What may stand where in a document: kinds of values, keys, items; and the check of a value against that."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lbgen.base.problem import printable
from lbgen.base.yaml_tree import KeyPath
from lbgen.source.compose.stack_file import StackFile

_KIND_NAMES = {
    "text": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
    "list": "a list",
    "mapping": "a mapping",
}
EXTENSION = "x-"


@dataclass(frozen=True, slots=True)
class Shape:
    """One place in a document."""

    kinds: tuple[str, ...]
    keys: Mapping[str, Shape] = field(default_factory=dict)  # of a mapping
    required: tuple[str, ...] = ()  # of the keys
    names: str = ""  # pattern of further keys, and
    each: Shape | None = None  # what they hold; None: no further keys
    items: Shape | None = None  # of a list
    distinct: bool = False  # of a list: no item twice
    form: Callable[[object], bool] | None = None  # of a text or number
    expected: str = ""  # what `form` asks for
    extensible: int = 0  # the version 3.N since which keys that begin with x- are left alone; 0: none
    open: bool = False  # every other key is left alone
    since: int = 0  # the version 3.N that had it first
    compose: Mapping[str, str] = field(default_factory=dict)  # kinds that only Compose takes, each with the remedy
    compose_keys: Mapping[str, str] = field(default_factory=dict)  # that only Compose has here, with the remedy

    def from_version(self, minor: int) -> Shape:
        """Return the shape for a key that version 3.`minor` has first."""
        return replace(self, since=minor)


NAMES = r"[a-zA-Z0-9._-]+"
TEXT = Shape(("text",))
INTEGER = Shape(("integer",))
NUMBER = Shape(("number",))
BOOLEAN = Shape(("boolean",))
TEXTS = Shape(("list",), items=TEXT)
UNIQUE_TEXTS = Shape(("list",), items=TEXT, distinct=True)
OPTIONS = Shape(("mapping",), names=".+", each=Shape(("text", "number")))
# The boolean is where everybody stumbles: `traefik.enable: true`.
PAIRS = Shape(
    ("mapping", "list"),
    names=".+",
    each=Shape(("text", "number", "null"), compose={"boolean": 'put it into quotes: "true"'}),
    items=TEXT,
    distinct=True,
)


def mapping(keys: Mapping[str, Shape]) -> Shape:
    """Return the shape of a mapping with these keys."""
    return Shape(("mapping",), keys)


def all_of(shape: Shape, keys: str) -> dict[str, Shape]:
    """Return keys that all hold the same."""
    return dict.fromkeys(keys.split(), shape)


def compose_only(*keys: str) -> dict[str, str]:
    """Return keys that mean nothing to Swarm, with the remedy."""
    return dict.fromkeys(keys, "remove it")


def kind_of(value: object) -> str:
    """Return the kind of a value."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", type(None): "null"}
    return "mapping" if isinstance(value, Mapping) else kinds[type(value)]


def check(file: StackFile, value: Any, shape: Shape, version: int, path: KeyPath = ()) -> None:
    """Add to the file's findings whatever in the value is not of the shape, in version 3.`version`."""
    kind = kind_of(value)
    if kind in shape.compose:
        file.refused(path, f"`docker stack deploy` does not take {_shown(value)} here", shape.compose[kind])
        if kind in ("list", "mapping"):
            return
    elif kind not in shape.kinds and not (kind == "integer" and "number" in shape.kinds):
        expected = " or ".join(_KIND_NAMES[kind] for kind in shape.kinds)
        file.wrong(path, f"expected {expected}, found {_shown(value)}", "correct it")
        return
    if shape.form and kind not in ("list", "mapping", "null") and not shape.form(value):
        file.wrong(path, f"{_shown(value)} is not {shape.expected}", "correct it")
    elif kind == "mapping":
        _check_keys(file, value, shape, version, path)
    elif kind == "list":
        _check_items(file, value, shape, version, path)


def _check_keys(file: StackFile, value: Mapping[str, Any], shape: Shape, version: int, path: KeyPath) -> None:
    for key in shape.required:
        if key not in value:
            file.wrong(path, f"has no {key}", "add it")
    for key, item in value.items():
        place = (*path, key)
        inner = shape.keys.get(str(key))
        if inner is not None:
            _check_version(file, inner.since, version, place)
            check(file, item, inner, version, place)
        elif not isinstance(key, str):
            file.wrong(place, f"expected a text as key, found {_shown(key)}", "put it into quotes")
        elif shape.extensible and key.startswith(EXTENSION):
            _check_version(file, shape.extensible, version, place)
        elif shape.each is not None and re.fullmatch(shape.names, key, re.DOTALL):
            check(file, item, shape.each, version, place)
        elif not shape.open:
            _unknown(file, key, shape, place)


def _check_version(file: StackFile, since: int, version: int, place: KeyPath) -> None:
    if since > version:
        remedy = f"write version: '3.{since}', or leave the version out"
        file.refused(place, f"is new in version 3.{since}, and this file is of 3.{version}", remedy)


def _unknown(file: StackFile, key: str, shape: Shape, place: KeyPath) -> None:
    if key in shape.compose_keys:
        file.refused(place, "is known to Docker Compose, but not to `docker stack deploy`", shape.compose_keys[key])
    elif shape.each is not None:
        file.wrong(place, "is not a valid name: it may have letters, digits, dots, dashes and underscores", "rename it")
    else:
        close = difflib.get_close_matches(key, shape.keys, n=1)
        known = f"did you mean {close[0]}?" if close else f"there are: {', '.join(sorted(shape.keys))}"
        file.wrong(place, "is not a key that is known here", known)


def _check_items(file: StackFile, value: list[Any], shape: Shape, version: int, path: KeyPath) -> None:
    seen = set()
    for index, item in enumerate(value):
        if shape.items is not None:
            check(file, item, shape.items, version, (*path, index))
        if shape.distinct and repr(item) in seen:
            file.wrong((*path, index), f"{_shown(item)} is there twice", "remove one")
        seen.add(repr(item))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    kind = kind_of(value)
    return _KIND_NAMES[kind] if kind in ("list", "mapping", "null") else printable(repr(value))
