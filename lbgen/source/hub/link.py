"""One connection to a hub: dialled, greeted, kept alive, and what comes over it handed on. Asyncio, in one thread.

A hub that is killed is noticed by its kernel's FIN or RST, one that is cut off by pings that are not answered: the hub
says how often an edge may ask, the way's own round trip adds to the patience.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from lbgen.base.errors import SourceError
from lbgen.base.problem import printable
from lbgen.source.hub.exchange import ROTATED, tls_failure
from lbgen.source.hub.messages import (
    MOST_DOWN,
    BadMessage,
    Bye,
    Hello,
    Message,
    Welcome,
    negotiated,
    read,
    written,
)
from lbgen.source.hub.reaching import reached

EDGE = "/v1/edge"
OPENED = 10.0  # seconds for address, TLS and greeting
PATIENCE = 0.6  # seconds for the answer to a ping, besides four round trips: TCP sends what is lost twice in that time
MOST_PATIENCE = 15.0
_QUIET = logging.getLogger("lbgen.source.hub.websockets")
_QUIET.setLevel(logging.CRITICAL + 1)


class Lost(SourceError):
    """A connection to a hub has ended, or was not made. What is known stays in force."""

    def __init__(self, url: str, why: str, code: str = "") -> None:
        super().__init__(f"hub {url}: {why}")
        self.code = code  # of the hub's `Bye`; empty: it said none


@dataclass
class Patience:
    """How long a hub may take to answer a ping; grows where it was too short, so that a slow machine does not flap."""

    base: float = PATIENCE
    round_trip: float = 0.0  # seconds, of the quickest answer

    def seconds(self) -> float:
        return min(MOST_PATIENCE, self.base + 4 * self.round_trip)

    def answered(self, seconds: float) -> None:
        self.round_trip = min(self.round_trip or seconds, seconds)

    def lost(self) -> None:
        self.base = min(MOST_PATIENCE, self.base * 2)

    def steady(self) -> None:
        """After minutes without a loss."""
        self.base = max(PATIENCE, self.base / 2)


@dataclass
class Link:
    """A connection that a hub has welcomed."""

    url: str
    welcome: Welcome
    connection: ClientConnection
    patience: Patience = field(default_factory=Patience)
    clock: Callable[[], float] = time.monotonic

    async def run(self, take: Callable[[Message], None]) -> None:
        """Hand on every message until the connection ends.

        Raises:
            Lost: it has.
        """
        keeping = asyncio.ensure_future(self._keep_alive())
        try:
            async for data in self.connection:
                message = read(data, MOST_DOWN)
                if isinstance(message, Bye):
                    raise Lost(self.url, message.why or message.code, message.code)
                if message:
                    take(message)
            raise Lost(self.url, "the connection has ended")
        except ConnectionClosed:
            why = "it does not answer any more" if keeping.done() else "the connection has ended"
            raise Lost(self.url, why) from None
        except BadMessage as error:
            raise Lost(self.url, f"sent {error}") from error
        finally:
            keeping.cancel()
            self.connection.transport.abort()

    async def send(self, message: Message) -> None:
        """Send a message; raise Lost."""
        try:
            await self.connection.send(written(message))
        except ConnectionClosed as error:
            raise Lost(self.url, "the connection has ended") from error

    def cut(self) -> None:
        """End it at once."""
        self.connection.transport.abort()

    async def _keep_alive(self) -> None:
        steady = self.clock() + 300
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(min(max(self.welcome.heartbeat, 0.1), 30.0))
                asked = self.clock()
                try:
                    async with asyncio.timeout(self.patience.seconds()):
                        await (await self.connection.ping())
                except TimeoutError:
                    self.patience.lost()
                    self.connection.transport.abort()
                    return
                self.patience.answered(self.clock() - asked)
                if self.clock() >= steady:
                    self.patience.steady()
                    steady = self.clock() + 300


async def dial(url: str, context: ssl.SSLContext, hello: Hello, patience: Patience | None = None) -> Link:
    """Connect to a hub and greet it.

    Raises:
        Lost: it does not answer, is no hub of this fleet, or refuses.
    """
    connection = None
    try:
        async with asyncio.timeout(OPENED):
            connection = await _connected(url, context)
            await connection.send(written(hello))
            answer = read(await connection.recv(), MOST_DOWN)
        if isinstance(answer, Bye):
            raise Lost(url, answer.why or answer.code, answer.code)
        if not isinstance(answer, Welcome):
            raise BadMessage("the first message is no welcome")
        negotiated(answer.protocol)
        return Link(url, answer, connection, patience or Patience())
    except BaseException as error:
        if connection:
            connection.transport.abort()
        if lost := _lost(url, error):
            raise lost from error
        raise


async def _connected(url: str, context: ssl.SSLContext) -> ClientConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 9443
    shown = f"[{host}]" if ":" in host else host
    return await connect(
        f"wss://{shown}:{port}{EDGE}",
        sock=await reached(host, port),
        ssl=context,
        compression=None,
        proxy=None,  # an edge dials hubs that are named: the environment's proxy is for others
        open_timeout=OPENED,
        close_timeout=0.5,
        ping_interval=None,
        max_size=MOST_DOWN,
        write_limit=32 << 10,
        user_agent_header=None,
        logger=_QUIET,
    )


def _lost(url: str, error: BaseException) -> Lost | None:
    """Return what it means that a connection was not made; None: something else."""
    if not isinstance(error, Lost) and (said := tls_failure(error)):
        code, why = said
        return Lost(url, why, code)
    match error:
        case Lost():
            return error
        case TimeoutError():
            return Lost(url, f"no answer within {OPENED:g} s")
        case OSError():
            return Lost(url, error.strerror or str(error) or type(error).__name__)
        case InvalidHandshake() | InvalidMessage() | ConnectionClosed() | EOFError():
            return Lost(url, f"it hangs up: no hub, or one that does not accept this edge's certificate; {ROTATED}")
        case SourceError() | ValueError():
            return Lost(url, printable(str(error)))
    return None
