"""A fleet for a test: hubs on loopback, with real TLS and websockets, and edges that join them."""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.sync.server import ServerConnection, serve

from lbgen.hub.authority import Authority, Bundle
from lbgen.hub.ledger import Ledger
from lbgen.hub.registrar import Registrar
from lbgen.hub.tokens import new_token
from lbgen.source.hub.certificates import Refused
from lbgen.source.hub.exchange import JOIN, PEER, RENEW, Answer, Exchange, answer, exchange
from lbgen.source.hub.identity import Dial, Identity, join
from tests.support.clock import Clock

QUIET = logging.getLogger("tests.fleet")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


class Hub:
    """One hub: a registrar behind a port, as `lbgen/hub/server.py` has it, with nothing else."""

    def __init__(self, bundle: Bundle, name: str, state: Path, clock: Clock) -> None:
        self.bundle = bundle
        self.authority = Authority(bundle, name, clock)
        self.ledger = Ledger(state)
        self.clock = clock
        self.revoked: list[str] = []
        self.lose_answer = False  # the next one
        self._server = serve(self._serve, "127.0.0.1", 0, ssl=self.authority.server_context(), logger=QUIET)
        self.url = f"https://127.0.0.1:{self._server.socket.getsockname()[1]}"
        self.registrar = self.with_peers()

    def with_peers(self, *urls: str) -> Registrar:
        """Go on with these peers, which are known once all hubs listen."""
        self.registrar = Registrar(self.authority, self.ledger, urls, clock=self.clock)
        self.registrar.on_revoked = self.revoked.append
        return self.registrar

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()

    def token(self, name: str, life: float = 3600.0, **facts: Any) -> str:
        """Make a token for an edge."""
        return new_token(self.authority, name, self.clock(), life, **facts)

    def joined(self, name: str, state: Path, exchange: Exchange = exchange, **facts: Any) -> Identity:
        """Have an edge join."""
        join(exchange, self.url, self.token(name, **facts), state)
        return Identity(state, self.clock, lambda: 0.5)

    def dial(self) -> Dial:
        """Return what an edge renews with."""
        return lambda path, request, context: exchange(self.url, path, request, context)

    def at_any_time(self, _url: str, path: str, request: Mapping[str, Any], _context: ssl.SSLContext) -> Answer:
        """Answer as over a connection, but without TLS, whose clock cannot be moved."""
        self.authority.refresh()
        return answer(self.url, json.dumps(self._reply(path, request, None)), self.authority.certificate)

    def dial_at_any_time(self) -> Dial:
        return partial(self.at_any_time, self.url)

    def ask(self, path: str, request: Mapping[str, Any], identity: Identity) -> Answer:
        """Ask something with the edge's certificate."""
        return exchange(self.url, path, request, identity.client_context())

    def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        path, request = connection.request.path, json.loads(connection.recv())
        certificate = connection.socket.getpeercert(True)  # type: ignore[attr-defined]
        reply = self._reply(path, request, certificate)
        if self.lose_answer and request["type"] != "authorities":
            self.lose_answer = False
            return
        connection.send(json.dumps(reply))

    def _reply(self, path: str, request: Mapping[str, Any], certificate: bytes | None) -> Mapping[str, Any]:
        if path == JOIN:
            return self.registrar.join(request, "192.0.2.1")
        if path == RENEW:
            return self.registrar.renew(request, "192.0.2.1")
        try:
            peer = self.registrar.admitted(certificate or b"")
        except Refused as refused:
            return {"type": "refused", "code": refused.code, "message": str(refused)}
        if path == PEER:
            return self.registrar.peer_request(request, peer)
        return {"type": "admitted", "name": peer.name, "offer": peer.offer, "labels": dict(peer.labels)}
