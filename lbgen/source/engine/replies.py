"""An engine's answers in pieces: no more of them is in memory than their limit, whatever is sent.

Nothing is unpacked: lbgen asks for plain answers, and a few KiB of gzip can stand for gigabytes.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import requests

from lbgen.base.errors import SourceError

LARGEST = 64 << 20  # bytes of an answer; dockerd allows itself as much for a listing
LARGEST_ERROR = 64 << 10  # bytes that are read of an answer which is an error
LARGEST_EVENT = 1 << 20  # bytes of one line of a stream; an event has some hundred
PIECE = 64 << 10


def whole(response: requests.Response, what: str) -> bytes:
    """Return an answer's body.

    Args:
        what: the request, for the error: "unix:///run/docker.sock: GET /tasks".
    Raises:
        SourceError: it is larger than LARGEST, or compressed.
    """
    _plain(response, what)
    body = _start(response, LARGEST + 1)
    if len(body) > LARGEST:
        raise SourceError(
            f"{what}: the answer is larger than {LARGEST >> 20} MiB, which is all that lbgen reads: is it really the "
            "engine that answers there? A Swarm with so much needs fewer services, tasks or labels"
        )
    return body


def error_text(response: requests.Response) -> bytes:
    """Return the beginning of an answer that is an error."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        response.close()
        return b"(compressed)"
    return _start(response, LARGEST_ERROR)


def lines(response: requests.Response, what: str) -> Generator[bytes, None, None]:
    """Yield each line that is not empty as soon as it is whole; raise SourceError if one is larger than LARGEST_EVENT.

    Args:
        what: the request, for the error.
    """
    _plain(response, what)
    line = bytearray()
    while piece := response.raw.read1(PIECE, decode_content=False):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            line += end
            if line.strip():
                yield bytes(line)
            line.clear()
        line += rest
        if len(line) > LARGEST_EVENT:
            raise SourceError(
                f"{what}: a line is larger than {LARGEST_EVENT >> 20} MiB, which no event is: is it really the engine "
                "that answers there?"
            )


def _plain(response: requests.Response, what: str) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        response.close()
        raise SourceError(
            f"{what}: the answer is compressed ({encoding[:40]!r}), though lbgen asked for a plain one: have the proxy "
            "before the engine leave answers as they are"
        )


def _start(response: requests.Response, limit: int) -> bytes:
    """Return the first `limit` bytes; if there are more, the connection is closed: what follows is never read."""
    body = bytearray()
    raw: Any = response.raw
    while len(body) < limit and (piece := raw.read(min(PIECE, limit - len(body)), decode_content=False)):
        body += piece
    if len(body) >= limit:
        response.close()
    return bytes(body)
