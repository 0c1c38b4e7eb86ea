"""The label vocabulary as JSON Schema: whole label names, and what their values may be; made from the table of keys.

It is for the map ``deploy.labels`` of a stack file. Labels of other programs are let through, unknown ones of lbgen's
are not. It refuses nothing that lbgen reads, but spaces around a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING
from typing import Any

from lbgen.labels.keys.key import Key
from lbgen.labels.keys.table import ENABLE, FIELDS, KEYS, PREFIX, PROTOCOLS
from lbgen.labels.native import MEMBERS
from lbgen.labels.route_spec import ROUTE_NAME
from lbgen.labels.values import basic, http

_LOWER = "(?!.*[A-Z])"
ON_LINES = r"[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]+"  # words that may stand on several lines
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def document() -> dict[str, Any]:
    """Return the schema."""
    short = {field: _name(field, key) for field, key in KEYS.items()}
    plain = {ENABLE: _enable()}
    plain |= {f"{PREFIX}{key.name}": _value(field) for field, key in KEYS.items() if not key.family}
    patterns = {f"^{re.escape(PREFIX)}{short[field]}$": _value(field) for field, key in KEYS.items() if key.family}
    for field, key in KEYS.items():
        patterns[f"^{re.escape(PREFIX)}{_route(key.protocols)}{short[field]}$"] = _value(field)
    known = "|".join(["enable", *short.values(), *_route_patterns(short)])
    return {
        "$schema": _DIALECT,
        "title": "Labels of a Swarm service that lbgen reads",
        "type": "object",
        "properties": plain,
        # The last one is for names that begin as lbgen's do and are none.
        "patternProperties": {**patterns, f"^(?!{re.escape(PREFIX)}(?:{known})$)[Ll][Bb][Gg][Ee][Nn]\\.": False},
    }


def _route_patterns(short: dict[str, str]) -> Iterator[str]:
    """Yield a pattern of the keys of named routes for each protocol."""
    for protocol in PROTOCOLS:
        own = "|".join(short[field] for field, key in KEYS.items() if protocol in key.protocols)
        yield f"{_route((protocol,))}(?:{own})"


def _route(protocols: tuple[str, ...]) -> str:
    return f"(?:{'|'.join(protocols)})\\.{ROUTE_NAME.pattern}\\."


def _name(field: str, key: Key) -> str:
    """Return a pattern of the key as it is written after "lbgen."."""
    if not key.family:
        return re.escape(key.name)
    member = MEMBERS.get(field, http.header_name).pattern
    return re.escape(key.family) + (member if field == "query" else f"{_LOWER}(?:{member})")


def _value(field: str) -> dict[str, Any]:
    key, default = KEYS[field], FIELDS[field].default
    schema = {**key.parse.schema, "maxLength": basic.MAX_VALUE, "description": key.doc, "examples": [key.sample]}
    if key.lines:
        schema["pattern"] = rf"^{ON_LINES}$"
    if default not in (None, MISSING, (), ""):
        schema["default"] = key.parse.spell(default)
    return schema


def _enable() -> dict[str, Any]:
    return {**basic.boolean.schema, "description": "Take part", "examples": ["true"]}
