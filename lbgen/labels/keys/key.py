"""What a row of the table of label keys is: a field of `keys.RouteKeys`, whose metadata says how it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from lbgen.labels.values.basic import boolean
from lbgen.labels.values.value_type import ValueType

PROTOCOLS = ("http", "tcp", "udp")
STREAMS = ("http", "tcp")  # what makes connections: it can be asked whether it is well, and tried again


@dataclass(frozen=True, slots=True)
class Key:
    """One row of the table."""

    name: str  # as written after "lbgen." or "lbgen.http.<route>."; "header.<name>" stands for a family
    parse: ValueType[Any]
    doc: str
    protocols: tuple[str, ...]
    example: str  # a value; of a family the member and the value: "x-tenant=blue"
    may_be_empty: bool = False
    guard: bool = False  # it keeps requests from the application: without it the route must not be open
    lines: bool = False  # its words may stand on several lines

    @property
    def family(self) -> str:
        """``header.`` for ``header.<name>``; empty for a plain key."""
        return self.name.partition("<")[0] if self.name.endswith(">") else ""

    @property
    def member(self) -> str:
        """Of a family, the name in the example."""
        return self.example.partition("=")[0] if self.family else ""

    @property
    def sample(self) -> str:
        """The value in the example."""
        return self.example.partition("=")[2] if self.family else self.example


def key(
    name: str,
    parse: ValueType[Any],
    doc: str,
    default: object = None,
    *,
    example: str,
    only: str | tuple[str, ...] = PROTOCOLS,
    may_be_empty: bool = False,
    guard: bool = False,
    lines: bool = False,
) -> Any:
    """Return the field that one key is.

    Args:
        default: of the field; a family's is an empty mapping.
        only: protocols of the routes that know it.
        may_be_empty: an empty value means something.
        guard: it keeps requests from the application.
        lines: its words may stand on several lines.
    """
    row = Key(name, parse, doc, (only,) if isinstance(only, str) else only, example, may_be_empty, guard, lines)
    metadata = {"key": row}
    return field(default_factory=dict, metadata=metadata) if row.family else field(default=default, metadata=metadata)


http_key = partial(key, only="http")
stream_key = partial(key, only=STREAMS)


def http_switch(name: str, doc: str, *, guard: bool = False) -> Any:
    """Return the field of a key that is true or false, and false by default."""
    return http_key(name, boolean, doc, False, example="true", guard=guard)
