"""Hands a target's dynamic configuration to Traefik's HTTP provider by long poll, the moment it changes.

Traefik only ever asks, and says nothing about what it has: no ETag, no time. So a question is answered at once on a
new connection; on one that was already sent the current document it is held until there is another, or for HOLD
seconds. Traefik compares what it gets with what it had, so getting the same again does nothing.

Before there is a document there is no answer but 503: an empty one would be an empty configuration (seen on 3.7).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

HOLD = 4.0  # seconds; Traefik gives up after 5 where pollTimeout is not set
FORGET = 60.0  # seconds without a question after which a connection counts as new: its port may be another's now
MOST_CLIENTS = 1024


@dataclass(frozen=True, slots=True)
class Document:
    """A dynamic configuration, as Traefik gets it."""

    generation: str
    body: bytes


class Feed:
    """The document that is handed out now. Set in a target's thread, waited for in the server's."""

    def __init__(self, hold: float = HOLD, forget: float = FORGET, clock: Callable[[], float] = time.monotonic) -> None:
        self.hold, self.forget, self._clock = hold, forget, clock
        self.taken = ""  # generation with which some Traefik went away and came back for more
        self.asked = 0.0  # when the last question came, by the clock
        self._document: Document | None = None
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._sent: OrderedDict[str, tuple[str, float]] = OrderedDict()  # connection -> generation, when
        self._closing = False

    @property
    def document(self) -> Document | None:
        """What is handed out now; None: nothing yet."""
        return self._document

    @property
    def waiting(self) -> int:
        """How many questions are held now."""
        return len(self._waiting)

    @property
    def known(self) -> int:
        """How many connections were sent a document, the oldest forgotten beyond MOST_CLIENTS."""
        return len(self._sent)

    def publish(self, document: Document) -> None:
        """Hand this out from now on, at once to clients that wait."""
        with self._lock:
            if self._document and self._document.generation == document.generation:
                return
            self._document = document
            self._wake()

    def close(self) -> None:
        """Stop holding questions: the server ends."""
        with self._lock:
            self._closing = True
            self._wake()

    async def answer(self, client: str) -> Document | None:
        """Return the answer to a question, in its own time; None: there is nothing to answer with.

        Args:
            client: what tells one connection from another, ADDRESS:PORT say.
        """
        import asyncio  # here: only a server that runs needs it, and commands know all proxies

        news = asyncio.Event()
        with self._lock:
            held = not self._closing and not self._is_new_to(client)
            if held:
                self._waiting[news] = asyncio.get_running_loop()
        if held:
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.hold):
                        await news.wait()
            finally:
                with self._lock:
                    del self._waiting[news]
        with self._lock:
            if self._document:
                self._sent[client] = self._document.generation, self._clock()
                self._sent.move_to_end(client)
                while len(self._sent) > MOST_CLIENTS:
                    self._sent.popitem(last=False)
            return self._document

    def _is_new_to(self, client: str) -> bool:
        """Tell whether there is a document that was not the last one sent on this connection."""
        self.asked = self._clock()
        sent, at = self._sent.get(client, ("", 0.0))
        if self.asked - at > self.forget:
            sent = ""
        self.taken = sent or self.taken
        return self._document is not None and self._document.generation != sent

    def _wake(self) -> None:
        for news, loop in self._waiting.items():
            with contextlib.suppress(RuntimeError):  # that server has ended
                loop.call_soon_threadsafe(news.set)
