"""Values out of JSON objects by dotted path, with errors that say where the wrong one is.

An error reads ``.Spec.Name: expected a text, found nothing``; the caller puts the object's own place before it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from lbgen.base.errors import SourceError

T = TypeVar("T")
Json = Mapping[str, object]
# Of services: the engine's word for their mode, and ours.
MODES = {"Replicated": "replicated", "Global": "global", "ReplicatedJob": "replicated-job", "GlobalJob": "global-job"}
# No engine has these, lbgen tells another lbgen so: of services called by their parts; of drained nodes and tasks.
OWN_NAME, DRAIN_ASKED, UNLIKE = "LbgenOwnName", "LbgenDrainAsked", "LbgenUnlike"
_KINDS: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}


def get(item: Json, path: str, kind: type[T], default: T | None = None) -> T:
    """Return the value at a dotted path; absent and null give the default, without one they are an error."""
    value: object = item
    for depth, key in enumerate(keys := path.split(".")):
        if value is None:
            break
        if not isinstance(value, Mapping):
            raise SourceError(f".{'.'.join(keys[:depth])}: expected an object, found {_shown(value)}")
        value = value.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise SourceError(f".{path}: expected {_KINDS.get(kind, kind.__name__)}, found {_shown(value)}")
    return value


def each(item: Json, path: str, build: Callable[[Json], T]) -> list[T]:
    """Return `build` of every object in the list at a dotted path; absent and null are an empty list."""
    built = []
    for index, entry in enumerate(get(item, path, list, [])):
        try:
            if not isinstance(entry, Mapping):
                raise SourceError(f": expected an object, found {_shown(entry)}")
            built.append(build(entry))
        except SourceError as error:
            raise SourceError(f".{path}[{index}]{error}") from error
    return built


def port_number(item: Json, key: str, default: int | None = None) -> int:
    """Return a port, 0 to 65535."""
    number = get(item, key, int, default)
    if not 0 <= number <= 65535:
        raise SourceError(f".{key}: {number} is not a port")
    return number


def labels(item: Json, path: str) -> dict[str, str]:
    """Return labels in key order. In hand-written YAML a value may be a bool or number: spelt as Compose does."""
    texts = {}
    for key, value in get(item, path, dict, {}).items():
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif value is None:
            value = ""
        elif isinstance(value, int | float):
            value = str(value)
        if not isinstance(value, str):
            raise SourceError(f".{path}.{key}: a label's value is a text, found {_shown(value)}")
        texts[str(key)] = value
    return dict(sorted(texts.items()))


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {reprlib.repr(value)}"[:60]
