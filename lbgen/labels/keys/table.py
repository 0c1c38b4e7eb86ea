"""The one table of label keys: parsing, documentation and schema are all made from it.

A key is a field of `RouteKeys`; its metadata says how the value is parsed and what it means.
Durations are seconds.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any

from lbgen.labels.keys.cookies import CookieKeys
from lbgen.labels.keys.key import PROTOCOLS, Key
from lbgen.labels.keys.login import LoginKeys
from lbgen.labels.keys.matching import MatchingKeys
from lbgen.labels.keys.mirrors import MirrorKeys
from lbgen.labels.keys.pages import PageKeys
from lbgen.labels.keys.policy import PolicyKeys
from lbgen.labels.keys.servers import ServerKeys
from lbgen.labels.keys.upstream_tls import UpstreamTlsKeys
from lbgen.labels.suggestions import Vocabulary
from lbgen.labels.synonyms import NATIVE, NATIVE_ADVICE

__all__ = [
    "BY_NAME",
    "ENABLE",
    "FAMILIES",
    "FIELDS",
    "GUARDS",
    "KEYS",
    "PREFIX",
    "PROTOCOLS",
    "VOCABULARY",
    "Key",
    "RouteKeys",
    "find",
    "guards_of",
    "nearest",
]

ENABLE = "lbgen.enable"
PREFIX = "lbgen."


# The bases are in the order in which the table is read: from the last to the first.
@dataclass(frozen=True, kw_only=True)
class RouteKeys(PageKeys, LoginKeys, PolicyKeys, CookieKeys, MirrorKeys, UpstreamTlsKeys, ServerKeys, MatchingKeys):
    """The typed values of one route, defaults filled in. None: not given, the model decides."""


FIELDS: dict[str, Field[Any]] = {field_.name: field_ for field_ in fields(RouteKeys)}
KEYS: dict[str, Key] = {name: field_.metadata["key"] for name, field_ in FIELDS.items()}
BY_NAME: dict[str, str] = {row.name: field_name for field_name, row in KEYS.items() if not row.family}
FAMILIES: dict[str, str] = {row.family: field_name for field_name, row in KEYS.items() if row.family}
VOCABULARY = Vocabulary((*BY_NAME, *(KEYS[name].name for name in FAMILIES.values()), "enable"), NATIVE, NATIVE_ADVICE)
GUARDS = frozenset(field_name for field_name, row in KEYS.items() if row.guard)


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


def nearest(text: str) -> str:
    """Return the key that an unknown one looks most like or stands for, as the table has it; empty: none.

    ``alow-ip`` -> "allow-ip", ``Allow-IP`` -> "allow-ip", ``heade.x-a`` -> "header.<name>", ``hosts`` -> "host".
    """
    located = find(text.lower())
    return KEYS[located[0]].name if located else VOCABULARY.nearest(text)


def guards_of(keys: RouteKeys) -> frozenset[str]:
    """Return the fields of the guards that a route has: it keeps some requests from the application."""
    return frozenset(name for name in GUARDS if getattr(keys, name) != FIELDS[name].default)
