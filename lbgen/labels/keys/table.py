"""The one table of label keys: parsing, documentation and schema are all made from it.

A key is a field of `RouteKeys`; its metadata says how the value is parsed and what it means.
Durations are seconds.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any

from lbgen.labels.keys.key import PROTOCOLS, Key
from lbgen.labels.keys.matching import MatchingKeys
from lbgen.labels.keys.policy import PolicyKeys
from lbgen.labels.keys.servers import ServerKeys

__all__ = ["BY_NAME", "ENABLE", "FAMILIES", "FIELDS", "KEYS", "PREFIX", "PROTOCOLS", "Key", "RouteKeys", "find"]

ENABLE = "lbgen.enable"
PREFIX = "lbgen."


# The bases are in the order in which the table is read: from the last to the first.
@dataclass(frozen=True, kw_only=True)
class RouteKeys(PolicyKeys, ServerKeys, MatchingKeys):
    """The typed values of one route, defaults filled in. None: not given, the model decides."""


FIELDS: dict[str, Field[Any]] = {field_.name: field_ for field_ in fields(RouteKeys)}
KEYS: dict[str, Key] = {name: field_.metadata["key"] for name, field_ in FIELDS.items()}
BY_NAME: dict[str, str] = {row.name: field_name for field_name, row in KEYS.items() if not row.family}
FAMILIES: dict[str, str] = {row.family: field_name for field_name, row in KEYS.items() if row.family}


def find(text: str) -> tuple[str, str] | None:
    """Return (field, member) for a written key: ``balance`` -> ("balance", ""), ``header.x-a`` -> ("header", "x-a")."""
    if text.startswith("query.") and len(text) > 6:  # names of parameters are case-sensitive
        return "query", text.removeprefix("query.")
    if text != text.lower():
        return None
    if text in BY_NAME:
        return BY_NAME[text], ""
    for prefix, field_name in FAMILIES.items():
        if text.startswith(prefix) and len(text) > len(prefix):
            return field_name, text.removeprefix(prefix)
    return None
