"""The status port's connections: no client keeps another one out, whatever it does, and whatever it leaves undone.

A new connection is never refused. Where there are too many, the address that has the most of them loses one: what waits
there idle goes before what is being answered, so a held question of Traefik stays while others pile up connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from lbgen.base.address import owner

LARGEST_HEAD = 16 << 10  # bytes of a request without its body, which is never read


@dataclass(frozen=True, slots=True)
class Patience:
    """How much of a connection is waited for. Times are seconds."""

    most: int = 64  # connections at a time: they must not take the descriptors that proxies need
    request: float = 10.0  # until a request is whole, from its first byte, the first one from the connection's begin
    unsent: int = 64 << 20  # bytes of answers that are not taken yet, of all connections
    answer: float = 60.0  # until an answer is made and taken; one to Traefik is held for some seconds


class Connection(H11Protocol):
    """One client's connection. Not for several threads."""

    def __init__(self, *arguments: Any, patience: Patience, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._patience = patience
        self._asking_since: float | None = None  # a request is under way, or awaited as the first one
        self._answering_since: float | None = None  # it is being answered, or the answer is not taken yet
        self.used_at = 0.0  # when it was opened, or answered last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.used_at = self._asking_since = self.loop.time()
        others = [other for other in self.connections if isinstance(other, Connection) and other is not self]
        open_ = [other for other in others if not other.transport.is_closing()]
        if len(open_) >= self._patience.most:
            _dispensable(open_).transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._asking_since is None:
            self._asking_since = self.loop.time()
        super().data_received(data)
        if self.answering and self._answering_since is None:
            self._answering_since = self.loop.time()

    def on_response_complete(self) -> None:
        self.used_at = self.loop.time()
        self._bound_unsent()
        begun = bool(self.conn.trailing_data[0])  # of the next request
        self._asking_since = self.used_at if begun else None
        if not self.transport.get_write_buffer_size():
            self._answering_since = None
        super().on_response_complete()  # begins to answer the next request, if that is there

    def _bound_unsent(self) -> None:
        """Hang up on the client that has been slowest to take an answer, where too much waits to be taken."""
        waiting = [other for other in self.connections if isinstance(other, Connection) and other.unsent]
        if sum(other.unsent for other in waiting) > self._patience.unsent and len(waiting) > 1:
            min(waiting, key=lambda other: other.used_at).transport.abort()

    @property
    def unsent(self) -> int:
        """Bytes of an answer that the client has not taken yet."""
        return 0 if self.transport.is_closing() else self.transport.get_write_buffer_size()

    @property
    def address(self) -> str:
        """Whose it is."""
        return owner(self.client[0] if self.client else "")

    @property
    def answering(self) -> bool:
        """Whether a request is whole, and not answered yet."""
        return self.cycle is not None and not self.cycle.response_complete

    def tend(self) -> None:
        """Hang up if a request, or the taking of an answer, takes too long; to be called now and then."""
        now = self.loop.time()
        if self.answering or self.transport.get_write_buffer_size():
            self._answering_since = self._answering_since or now
            if now - self._answering_since > self._patience.answer:
                self.transport.abort()
            return
        self._answering_since = None
        if self._asking_since is not None and now - self._asking_since > self._patience.request:
            self.transport.abort()


def _dispensable(connections: Collection[Connection]) -> Connection:
    """Return the connection that is missed least."""
    numbers = Counter(connection.address for connection in connections)
    most = max(numbers.values())
    return min(
        (connection for connection in connections if numbers[connection.address] == most),
        key=lambda connection: (connection.answering, connection.used_at),
    )
