"""Challenges for edges that renew: fresh, for one hub's certificate, known again by every hub, remembered by none."""

from __future__ import annotations

import hmac
import secrets
import struct
import time
from collections.abc import Callable

from lbgen.hub.authority import Authority
from lbgen.source.hub.certificates import Refused
from lbgen.source.hub.identity import NONCE

FRESH = 60.0  # seconds for which a challenge is good
_CODE = 32  # bytes at the end


class Challenges:
    """Makes challenges, and checks those that come back."""

    def __init__(self, authority: Authority, clock: Callable[[], float] = time.time) -> None:
        self._authority, self._clock = authority, clock

    def new(self) -> bytes:
        """Return a challenge. The edge signs it only if the hub that it talks to is the one that is in it."""
        shown = bytes.fromhex(self._authority.shown[-1])
        said = struct.pack(">d", self._clock()) + secrets.token_bytes(16) + shown
        return said + self._code(said)

    def check(self, nonce: bytes) -> None:
        """Raise Refused if a challenge is not of this fleet, or of another time.

        A request that is sent again meanwhile has no other effect than one more certificate for the same key.
        """
        if len(nonce) != NONCE or not hmac.compare_digest(nonce[-_CODE:], self._code(nonce[:-_CODE])):
            raise Refused("request", "the challenge is not one of this fleet's hubs")
        (made,) = struct.unpack(">d", nonce[:8])
        if abs(self._clock() - made) > FRESH:
            raise Refused("request", "the challenge is too old: ask for another")

    def _code(self, said: bytes) -> bytes:
        return hmac.digest(self._authority.secret(b"challenge"), said, "sha256")
