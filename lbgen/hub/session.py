"""One edge's connection at the hub: what it is sent, and what it says. All in the hub's one asyncio thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed

import lbgen
from lbgen.hub.connection import Connection
from lbgen.hub.fanout import Fanout, Payload
from lbgen.hub.registrar import Peer
from lbgen.hub.silence import until_silent
from lbgen.source.hub.messages import (
    MOST_UP,
    PROTOCOL,
    BadMessage,
    Bye,
    Fleet,
    Hello,
    Message,
    Offer,
    Report,
    Resend,
    Welcome,
    negotiated,
    packed,
    read,
    written,
)

PIECE = 32 << 10  # bytes or characters sent at once; the next one waits until the edge has read enough of it
STALLED = 20.0  # seconds, and one more for each SLOWEST bytes, after which an edge that does not read is let go
SLOWEST = 16 << 10
HELLO = 5.0  # seconds in which an edge has to say hello
FACTS, OFFER, ONCE = "facts", "offer", "once"  # what an edge's connection is for: it may have one of each
MOST_REPORT = 64 << 10  # characters of what is kept of an edge
SEEN = 3600.0  # seconds after which it is noted again that an edge is there
PINGS = 500.0  # of all edges together in a second, about
QUICKEST, SLOWEST_PING = 0.3, 5.0  # seconds between two pings of an edge
RATE, BURST = 20.0, 100.0  # messages in a second that are read at once
WORTH = 0.01  # seconds of the hub's time that count as one message more: no edge takes more than a fifth of it for long


@dataclass
class EdgeRecord:
    """What is known of an edge since the hub started; written by the hub's thread, read by all."""

    name: str
    address: str = ""  # where it connects from
    since: float = 0.0  # seconds since 1970: when it connected, or else went away
    connected: bool = False
    lbgen: str = ""
    protocol: str = ""
    sequence: int = 0  # that it was sent
    report: Report | None = None
    reported_at: float = 0.0  # seconds since 1970
    offers: bool = False
    accept: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)  # of its certificate


@dataclass
class Shared:
    """What all connections have in common."""

    fanout: Fanout
    hub: str = ""  # its name
    failing: str = ""  # why the hub's own source fails
    sessions: dict[tuple[str, str], Session] = field(default_factory=dict)  # by name, and what it is for
    records: dict[str, EdgeRecord] = field(default_factory=dict)
    on_offer: Callable[[Peer, Offer | None], None] = lambda _peer, _offer: None  # None: it has gone
    on_fleet: Callable[[str, dict[str, Any]], None] = lambda _name, _body: None
    on_hello: Callable[[str, Hello], None] = lambda _name, _hello: None
    wall_clock: Callable[[], float] = time.time

    def heartbeat(self) -> float:
        """Return the seconds between two pings that an edge is asked for: so many edges, so few pings of each."""
        return min(SLOWEST_PING, max(QUICKEST, len(self.sessions) / PINGS))


class Session:
    """One edge's connection, from hello to its end."""

    def __init__(
        self,
        connection: Connection,
        peer: Peer,
        certificate: bytes,
        shared: Shared,
        seen: Callable[[], Awaitable[None]],
    ) -> None:
        """
        Args:
            certificate: the peer's, DER.
            seen: called once it is connected, and now and then while it is.
        """
        self.peer, self.certificate, self._connection, self._shared, self._seen = (
            peer,
            certificate,
            connection,
            shared,
            seen,
        )
        self._news = asyncio.Event()
        self._at = 0  # sequence number that it was sent last
        self._holds = ""
        self._more: list[Message] = []  # besides facts; few: each kind replaces its predecessor
        self._allowance = Allowance()

    async def run(self) -> None:
        """Serve the edge until it goes, says something unreadable, or is let go."""
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            try:
                async with asyncio.timeout(HELLO):
                    hello = self._read(await self._connection.recv())
                if not isinstance(hello, Hello):
                    raise BadMessage("the first message is no hello")
                minor = negotiated(hello.protocol)
            except BadMessage as error:
                await self.end("version", str(error))
                return
            await self._serve(hello, minor)

    async def _serve(self, hello: Hello, minor: int) -> None:
        sessions, key = self._shared.sessions, (self.peer.name, _purpose(hello))
        earlier, sessions[key] = sessions.get(key), self
        if earlier:
            await earlier.end("replaced", "another connection has been made under its name")
        record = self._recorded(hello, minor)
        try:
            self._shared.on_hello(self.peer.name, hello)
            await self._connection.send(written(self._welcome(minor)))
            self._holds, record.connected = hello.holds, True
            async with asyncio.TaskGroup() as tasks:
                works = self._send_all(record, hello.facts), self._expire(), self._let_go()
                helpers = [tasks.create_task(work) for work in works]
                await self._listen(record)
                for helper in helpers:
                    helper.cancel()
        except* (ConnectionClosed, TimeoutError, OSError):
            pass
        except* BadMessage as errors:
            await self.end("refused", str(errors.exceptions[0]))
        finally:
            if sessions.get(key) is self:
                del sessions[key]
                if not any(name == self.peer.name for name, _ in sessions):
                    record.connected, record.since = False, self._shared.wall_clock()
                if record.offers and hello.offers:
                    self._shared.on_offer(self.peer, None)

    def tell(self) -> None:
        """Have it sent what is new."""
        self._news.set()

    def say(self, message: Message) -> None:
        """Send a message besides the facts; one that waits to be sent is replaced by a newer one of its kind."""
        self._more = [each for each in self._more if each.type != message.type] + [message]
        self._news.set()

    async def end(self, code: str, why: str) -> None:
        """Say why, if it listens, and hang up."""
        with contextlib.suppress(ConnectionClosed, TimeoutError, OSError):
            async with asyncio.timeout(1.0):
                await self._connection.send(written(Bye(code, why[:4000])))
                await self._connection.close()
        self._connection.transport.abort()

    def _welcome(self, minor: int) -> Welcome:
        shared = self._shared
        protocol = f"{PROTOCOL.partition('.')[0]}.{minor}"
        ready = shared.fanout.facts is not None
        return Welcome(protocol, lbgen.__version__, shared.hub, ready, shared.heartbeat(), shared.failing)

    def _recorded(self, hello: Hello, minor: int) -> EdgeRecord:
        record = self._shared.records.setdefault(self.peer.name, EdgeRecord(self.peer.name))
        record.address = str(self._connection.remote_address[0])
        record.labels = self.peer.labels
        record.lbgen, record.protocol = hello.lbgen, f"{PROTOCOL.partition('.')[0]}.{minor}"
        if not record.connected:
            record.since = self._shared.wall_clock()
        record.offers |= hello.offers and bool(self.peer.offer)
        if hello.facts:
            record.sequence, record.accept = 0, hello.accept
        return record

    async def _send_all(self, record: EdgeRecord, facts: bool) -> None:
        while True:
            self._news.clear()
            while self._more:
                data = packed(written(self._more.pop(0)))
                await self._send(data)
            payload = self._payload() if facts else None
            if payload:
                await self._send(payload.data)
                self._at = record.sequence = payload.sequence
            else:
                await self._news.wait()

    def _payload(self) -> Payload | None:
        fanout = self._shared.fanout
        if self._at:
            return fanout.payload(self._at)
        holds, self._holds = self._holds, ""
        return fanout.greeting(holds)

    async def _expire(self) -> None:
        """Hang up when the certificate has ended: the edge has another one by then, and dials again."""
        while (left := self.peer.until - self._shared.wall_clock()) > 0:
            await self._seen()
            await asyncio.sleep(min(left, SEEN))
        await self.end("expired", "its certificate has ended")

    async def _let_go(self) -> None:
        """Hang up when the edge is cut off: nobody is to take it for connected."""
        await until_silent(lambda: self._connection.heard_at, self._connection.ping)
        self._connection.transport.abort()

    async def _send(self, data: str | bytes) -> None:
        async with asyncio.timeout(STALLED + len(data) / SLOWEST):
            await self._connection.send(data if len(data) <= PIECE else _pieces(data))

    async def _listen(self, record: EdgeRecord) -> None:
        async for data in self._connection:
            await self._allowance.spend()
            with self._allowance.charged():
                message = self._read(data)
                if isinstance(message, Report) and len(data) > MOST_REPORT:
                    raise BadMessage(f"a report of more than {MOST_REPORT >> 10} KiB")
                self._take(message, record)
            if isinstance(message, Bye):
                return

    def _take(self, message: Message | None, record: EdgeRecord) -> None:
        match message:
            case Report():
                record.report, record.reported_at = message, self._shared.wall_clock()
            case Resend():
                self._at = 0
                self._news.set()
            case Offer() if record.offers:
                self._shared.on_offer(self.peer, message)
            case Offer():
                raise BadMessage("an offer of facts, and its certificate has no address for that: join it anew")
            case Fleet():
                self._shared.on_fleet(self.peer.name, message.body)

    def _read(self, data: str | bytes) -> Message | None:
        if isinstance(data, bytes):  # what is packed may be any size once it is unpacked
            raise BadMessage("a binary message")
        return read(data, MOST_UP)


class Allowance:
    """How much an edge may say at once: one that says more, or what costs more, is read more slowly."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._left, self._seen = BURST, clock()

    async def spend(self) -> None:
        """Wait until one more message may be read."""
        now = self._clock()
        self._left, self._seen = min(BURST, self._left + (now - self._seen) * RATE) - 1, now
        if self._left < 0:
            await self._sleep(-self._left / RATE)

    @contextlib.contextmanager
    def charged(self) -> Iterator[None]:
        """Count the time that a message takes."""
        began = self._clock()
        yield
        self._left -= (self._clock() - began) / WORTH


def _purpose(hello: Hello) -> str:
    return ONCE if hello.once else FACTS if hello.facts else OFFER


def _pieces(data: str | bytes) -> Iterator[str] | Iterator[bytes]:
    return (data[start : start + PIECE] for start in range(0, len(data), PIECE))  # type: ignore[return-value]
