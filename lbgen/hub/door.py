"""Who gets in at a hub's port.

Without a certificate there are two paths, to join and to renew one, each with one question and one answer; everything
else ends without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from lbgen.base import json_text
from lbgen.base.errors import SourceError
from lbgen.hub.connection import Connection
from lbgen.hub.registrar import Peer, Registrar
from lbgen.hub.session import Session, Shared
from lbgen.hub.strangers import Strangers
from lbgen.source.hub.certificates import HUB, Refused, certificate_in, holder_of
from lbgen.source.hub.exchange import JOIN, LARGEST_OF_PEERS, PEER, RENEW, refusal
from lbgen.source.hub.messages import Bye, written

EDGE = "/v1/edge"
OPENED = 5.0  # seconds for each of TLS, the request and what comes first
JOINED = 60.0  # seconds for the answer to one who joins: all other hubs are asked
MOST_EDGES = 5000
JOINING = 8  # at once; each waits for all other hubs

Answer = Callable[[dict[str, Any]], Mapping[str, Any]]


class Door:
    """Admits connections; all in the hub's one asyncio thread."""

    def __init__(
        self, registrar: Registrar, shared: Shared, strangers: Strangers | None = None, opened: float = OPENED
    ) -> None:
        """
        Args:
            strangers: counts who is not admitted yet.
            opened: seconds, as for `OPENED`.
        """
        self._opened = opened
        self._registrar, self._shared, self._strangers = registrar, shared, strangers or Strangers()
        # In threads of their own: two hubs whose threads all wait for the other one would answer nobody.
        self._joining = ThreadPoolExecutor(JOINING, "hub-join")

    def let_in(self, connection: socket.socket, address: tuple[Any, ...]) -> bool:
        """Tell whether there is room for a connection that has just been accepted, before TLS."""
        return len(self._shared.sessions) < MOST_EDGES and self._strangers.let_in(connection, address)

    def look(self, connection: ServerConnection, request: Request) -> Response | None:
        """Hang up on who has no business there, once it has said where."""
        certificate = _certificate(connection)
        if not certificate and request.path not in (JOIN, RENEW):
            connection.transport.abort()
        if certificate and request.path == PEER and _is_hub(certificate):
            # Before anything comes: ledgers are larger than anything that an edge may send.
            connection.protocol.max_message_size = LARGEST_OF_PEERS
            assert isinstance(connection, Connection)
            connection.heard_at_most = None
        return None

    async def handle(self, connection: ServerConnection) -> None:
        """Serve a connection until it ends."""
        try:
            work = await self._admitted(connection)
        except (ConnectionClosed, TimeoutError):
            return
        finally:
            self._strangers.admitted(connection.remote_address)
        if work:
            assert isinstance(connection, Connection)
            connection.heard_at_most = None
            await work

    async def _admitted(self, connection: ServerConnection) -> Coroutine[Any, Any, None] | None:
        """Return what is to be done for who is admitted; without a certificate it is done already."""
        path = connection.request.path if connection.request else ""
        address = str(connection.remote_address[0])
        certificate = _certificate(connection)
        if path in (JOIN, RENEW):
            answer = self._registrar.join if path == JOIN else self._registrar.renew
            threads = self._joining if path == JOIN else None
            await self._answer(connection, lambda request: answer(request, address), threads)
        elif certificate:
            try:
                peer = await asyncio.to_thread(self._registrar.admitted, certificate)
            except SourceError as error:
                await connection.send(written(Bye(code_of(error), str(error)[:4000])))
                return None
            if path == EDGE and peer.role != HUB:
                seen = partial(asyncio.to_thread, self._registrar.seen, peer)
                assert isinstance(connection, Connection)
                return Session(connection, peer, certificate, self._shared, seen).run()
            if path == PEER and peer.role == HUB:
                return self._peer(connection, peer)
        return None

    async def _peer(self, connection: ServerConnection, peer: Peer) -> None:
        with contextlib.suppress(ConnectionClosed, TimeoutError):
            await self._answer(connection, lambda request: self._registrar.peer_request(request, peer))

    async def _answer(
        self, connection: ServerConnection, answer: Answer, threads: ThreadPoolExecutor | None = None
    ) -> None:
        """Answer one question."""
        async with asyncio.timeout(self._opened):
            asked = await connection.recv()
        async with asyncio.timeout(JOINED):
            reply = await asyncio.get_running_loop().run_in_executor(threads, _answered, asked, answer)
            await connection.send(json.dumps(reply, ensure_ascii=False))


def code_of(error: Exception) -> str:
    """Return what a refusal is called in a `Bye`."""
    return error.code if isinstance(error, Refused) else "refused"


def _answered(asked: str | bytes, answer: Answer) -> Mapping[str, Any]:
    try:
        request = json_text.data_in(asked)
        if not isinstance(request, dict):
            raise ValueError("not an object")
        return answer(request)
    except ValueError:
        return refusal(Refused("request", "that is no request of lbgen's"))


def _is_hub(certificate: bytes) -> bool:
    try:
        return holder_of(certificate_in(certificate)).role == HUB
    except Refused:
        return False


def _certificate(connection: ServerConnection) -> bytes | None:
    tls = connection.transport.get_extra_info("ssl_object")
    found: bytes | None = tls.getpeercert(binary_form=True) if tls else None
    return found
