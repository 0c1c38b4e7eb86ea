"""What an agent offers: the facts of its own host, followed here and told to every hub that it is connected to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from lbgen.base.unexpected import Part, UnexpectedErrors
from lbgen.snapshot import Snapshot
from lbgen.source import Source, encode
from lbgen.source.facts import KINDS
from lbgen.source.hub.change_log import ChangeLog
from lbgen.source.hub.facts import Key
from lbgen.source.hub.link import Link, Lost
from lbgen.source.hub.messages import Items, Offer

PIECE = 100_000  # characters of objects in one message
LOOKS = 1.0  # seconds between two looks whether the engine can be reached


class Offering:
    """Follows a source in a thread of its own, and sends what it says in the asyncio thread."""

    def __init__(self, source: Source, unexpected: UnexpectedErrors) -> None:
        self._source, self._log = source, ChangeLog()
        self._reachable = True
        self._guard = unexpected.guard(Part.SOURCE, "the facts that are offered")
        self._ended = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._newest: Snapshot | None = None
        self._news: set[asyncio.Event] = set()  # one for each connection

    def start(self) -> None:
        """Begin to follow."""
        threading.Thread(target=self._run, name="offer", daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._source.close()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send from this loop's thread from now on."""
        self._loop = loop
        self._publish()

    @property
    def source(self) -> Source:
        return self._source

    def _run(self) -> None:
        self._guard.keep_up(self._follow, self._ended.wait)

    def _follow(self) -> None:
        for facts in self._source.follow():
            self._newest = facts
            self._guard.worked()
            self._soon(self._publish)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(call)

    def _publish(self) -> None:
        if self._newest and self._log.publish(self._newest):
            for news in self._news:
                news.set()

    async def send_all(self, link: Link) -> None:
        """Tell a hub the facts, and what becomes of them, until the connection ends."""
        news = asyncio.Event()
        self._news.add(news)
        at, reachable = 0, True
        try:
            while True:
                news.clear()
                now = not self._source.states()[0].failing
                if self._log.facts is not None and (at != self._log.sequence or now != reachable):
                    sequence = self._log.sequence
                    for offer in self._pieces(at):
                        await link.send(replace(offer, reachable=now))
                    at, reachable = sequence, now
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOKS):
                        await news.wait()
        except Lost:
            return
        finally:
            self._news.discard(news)

    def _pieces(self, at: int) -> list[Offer]:
        facts = self._log.facts
        assert facts is not None
        missed = self._log.missed(at)
        keys = sorted(missed[0] if missed else ((kind, id_) for kind in KINDS for id_ in getattr(facts, kind)))
        pieces = [*_pieces(facts, keys)] or [Offer()]
        pieces = [replace(each, last=False) for each in pieces[:-1]] + [replace(pieces[-1], last=True)]
        return [replace(pieces[0], first=missed is None), *pieces[1:]]


def _pieces(facts: Snapshot, keys: list[Key]) -> Iterator[Offer]:
    put: Items = {}
    gone: dict[str, list[str]] = {}
    size = 0
    for kind, id_ in keys:
        item = getattr(facts, kind).get(id_)
        if item is None:
            gone.setdefault(kind, []).append(id_)
            size += len(id_) + 4
        else:
            written = encode.item(kind, item)
            put.setdefault(kind, []).append(written)
            size += len(json.dumps(written))
        if size > PIECE:
            yield Offer(put=put, gone=gone)
            put, gone, size = {}, {}, 0
    if put or gone:
        yield Offer(put=put, gone=gone)
