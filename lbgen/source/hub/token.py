"""The text of a token, which lets one edge join: ``lbgen1.PAYLOAD.SIGNATURE``, one line.

An edge reads the authorities' fingerprints in it, so that it gives the token away to no other fleet's hub; the hub
checks the signature (`lbgen/hub/tokens.py`). Its holder may join, so it is in no log and no message.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lbgen.base import json_text
from lbgen.base.fleet_names import NAME
from lbgen.source.hub.certificates import LONGEST_LABEL, MOST_LABELS, Refused

PREFIX = "lbgen1"
LONGEST = 16 << 10  # characters; with the most labels about 13,000
MOST_AUTHORITIES = 4  # a rotation has two


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says."""

    name: str  # of the edge that may join
    id: str  # random, so that it is used once
    made: float  # seconds since 1970
    until: float  # seconds since 1970
    authorities: tuple[str, ...]  # fingerprints
    offer: str = ""  # address of the published ports, where the edge may offer facts; else ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def payload(self) -> bytes:
        """Return the bytes that are signed."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True).encode()


def text_of(payload: bytes, signature: bytes) -> str:
    """Return a token as text."""
    return ".".join([PREFIX, *(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (payload, signature))])


def parts_of(text: str) -> tuple[Token, bytes, bytes]:
    """Return what a token says, unproven, with payload and signature; raise Refused."""
    damaged = Refused(
        "request", "that is not a whole token: it is one line that begins with lbgen1. and has two more parts"
    )
    try:
        prefix, *parts = text.strip().split(".")
        if prefix != PREFIX or len(text) > LONGEST:
            raise damaged
        payload, signature = (base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True) for part in parts)
        return _token(json_text.data_in(payload)), payload, signature
    except (ValueError, TypeError, KeyError, AttributeError):
        raise damaged from None  # no traceback has the text


def _token(said: Any) -> Token:
    labels = {_text(key): _text(value) for key, value in said["labels"].items()}
    authorities = tuple(map(_text, said["authorities"]))
    times = float(said["made"]), float(said["until"])
    token = Token(_text(said["name"]), _text(said["id"]), *times, authorities, _text(said["offer"]), labels)
    if not NAME.fullmatch(token.name) or len(labels) > MOST_LABELS or not all(map(math.isfinite, times)):
        raise ValueError(token.name)
    if not 0 < len(authorities) <= MOST_AUTHORITIES:
        raise ValueError(authorities)
    return token


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_LABEL:
        raise ValueError("not a text")
    return value
