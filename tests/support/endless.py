"""Replies of an engine, head and all, that are meant to exhaust their reader: each is written to a file.

They end when the reader hangs up, and by themselves after `MOST` bytes, or `LONGEST` seconds.
"""

from __future__ import annotations

import gzip
import io
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

MOST = 1 << 30
LONGEST = 600.0
Reply = Callable[[BinaryIO], None]


def endless(status: int = 200, piece: bytes = b"a" * (1 << 16)) -> Reply:
    """A chunked body without end."""
    return _chunked(status, "", lambda: (piece for _ in range(MOST // len(piece))))


def one_chunk(piece: bytes = b"a" * (1 << 16)) -> Reply:
    """One chunk that says it has a TiB."""

    def write(file: BinaryIO) -> None:
        file.write(_head(200, "") + b"10000000000\r\n")
        for _ in range(MOST // len(piece)):
            file.write(piece)

    return write


def long_chunk_head() -> Reply:
    """A chunk whose length has no end."""

    def write(file: BinaryIO) -> None:
        file.write(_head(200, "") + b"1;")
        for _ in range(MOST >> 16):
            file.write(b"x" * (1 << 16))

    return write


def bomb() -> Reply:
    """2 GiB of one letter, as 2 MiB of gzip that nobody asked for."""
    return _chunked(200, "Content-Encoding: gzip\r\n", _packed)


def dripping(gone: threading.Event) -> Reply:
    """A byte each 50 ms, for ever; `gone` is set once the reader has hung up."""
    return _drip(gone, _head(200, ""), b"1\r\n \r\n")


def dripping_head(gone: threading.Event) -> Reply:
    """The same before the head is whole."""
    return _drip(gone, b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a")


def deep(levels: int = 200_000) -> bytes:
    """JSON that is nested so deeply."""
    return b"[" * levels + b"]" * levels


def _drip(gone: threading.Event, first: bytes, drop: bytes) -> Reply:
    def write(file: BinaryIO) -> None:
        try:
            file.write(first)
            ends = time.monotonic() + LONGEST
            while time.monotonic() < ends:
                file.write(drop)
                time.sleep(0.05)
        except OSError:
            gone.set()

    return write


def _chunked(status: int, headers: str, pieces: Callable[[], Iterator[bytes]]) -> Reply:
    def write(file: BinaryIO) -> None:
        file.write(_head(status, headers))
        for piece in pieces():
            file.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        file.write(b"0\r\n\r\n")

    return write


def _head(status: int, headers: str) -> bytes:
    return f"HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n{headers}\r\n".encode()


def _packed() -> Iterator[bytes]:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb") as file:
        for _ in range(2048):
            file.write(b"a" * (1 << 20))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
