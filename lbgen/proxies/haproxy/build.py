"""What a HAProxy program was built with, as it says itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from lbgen.proxies.kind import HTTP3, LUA, MLKEM
from lbgen.proxies.program import said_by

LIMITED_QUIC = "limited-quic"  # QUIC on an OpenSSL that was not made for it, which HAProxy has to be told to use
SINCE_LUA = (2, 5)  # nobody has tried lbgen's script with an older one


@dataclass(frozen=True, slots=True)
class Build:
    """What a program was built with."""

    version: tuple[int, ...] = ()  # (2, 6, 12); empty: there is none to ask
    features: tuple[str, ...] = (LUA,)


@cache
def build_of(binary: str) -> Build:
    """Ask a program how it was built; nothing is known of one that is not there."""
    return read(said_by(binary, "-vv"))


def read(said: str) -> Build:
    """Read the answer to ``haproxy -vv``."""
    version = re.search(r"^HAProxy version (\d+)\.(\d+)(?:\.|-dev)(\d+)", said, re.MULTILINE)
    if not version:
        return Build()
    library = re.search(r"^Running on OpenSSL version : OpenSSL (\d+)\.(\d+)", said, re.MULTILINE)
    words = said.split()
    features = [
        (HTTP3, "+QUIC" in words),
        (LIMITED_QUIC, "+QUIC_OPENSSL_COMPAT" in words),
        (LUA, "+LUA" in words and tuple(map(int, version.groups())) >= SINCE_LUA),
        (MLKEM, library is not None and (int(library[1]), int(library[2])) >= (3, 5)),
    ]
    return Build(tuple(map(int, version.groups())), tuple(name for name, there in features if there))
