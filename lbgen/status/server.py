"""Serves the status API from a thread of its own. The proxy matters more: without a port, lbgen goes on without it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from lbgen.base.address import host_port
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.proxies.traefik.feed import Feed
from lbgen.status.view import View

if TYPE_CHECKING:
    from lbgen.settings import StatusSettings
    from lbgen.status.connections import Patience
    from lbgen.status.uvicorn_server import Server


RETRY = 1.0  # seconds between two looks whether an address that is in use has become free
ENDING = 2.0  # seconds that unfinished answers may hold up the end
KEEP_ALIVE = 15  # seconds without a question; Traefik asks anew after 5 where pollInterval is not set


@contextlib.contextmanager
def serve_status(
    where: tuple[str, int] | None,
    view: View,
    feeds: Mapping[str, Feed] | None = None,
    patience: Patience | None = None,
    settings: StatusSettings | None = None,
) -> Iterator[int]:
    """Serve while the block runs; give the port, 0 if it is not served.

    Args:
        where: address ("*" for all of IPv4) and port (0 for any that is free); None for no status.
        feeds: dynamic configurations that Traefiks ask for, by target.
        patience: with clients; None: as usual.
        settings: who may ask; None: as by default, on loopback.
    """
    if not where:
        yield 0
        return
    listening = _listening(where)
    make = partial(StatusServer, view, feeds=feeds, patience=patience, settings=settings)
    server = make(listening) if listening else _WhenFree(where, make)
    thread = threading.Thread(target=server.run, name="status", daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1] if listening else 0
    finally:
        UNEXPECTED.guard(Part.END).tried(server.stop)
        thread.join(ENDING)


def _listening(where: tuple[str, int], *, quiet: bool = False) -> socket.socket | None:
    """Return a socket that listens; None: not now."""
    try:
        return _listening_socket(where, quiet=quiet)
    except Exception as error:
        UNEXPECTED.guard(Part.STATUS, "listening").failed(error)
        return None


def _listening_socket(where: tuple[str, int], *, quiet: bool = False) -> socket.socket | None:
    address, port = where
    shown = host_port(address, port)
    # With the protocol named, asyncio sets TCP_NODELAY: else the end of an answer may wait 40 ms for the client's ACK.
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("" if address == "*" else address, port))
        listening.listen()  # at once: only this tells of another process that listens there
    except OSError as error:
        listening.close()
        if quiet:
            return None
        log.error(
            "status_unavailable",
            address=shown,
            error=error.strerror,
            effect="no status and no metrics until it is free; all else goes on",
            remedy="free the port, or set status.bind (LBGEN_STATUS__BIND) to another address, or to nothing",
        )
        return None
    log.info("status", address=shown)
    return listening


class _WhenFree:
    """Serves as soon as another process lets go of the address: the lbgen that this one takes over from, say."""

    def __init__(self, where: tuple[str, int], make: Callable[[socket.socket], StatusServer]) -> None:
        self._where, self._make = where, make
        self._stopping = threading.Event()
        self._server: StatusServer | None = None

    def run(self) -> None:
        while not self._stopping.wait(RETRY):
            if listening := _listening(self._where, quiet=True):
                self._server = self._make(listening)
                if self._stopping.is_set():
                    self._server.stop()
                self._server.run()
                return

    def stop(self) -> None:
        self._stopping.set()
        if self._server:
            self._server.stop()


class StatusServer:
    def __init__(
        self,
        view: View,
        listening: socket.socket,
        feeds: Mapping[str, Feed] | None = None,
        patience: Patience | None = None,
        settings: StatusSettings | None = None,
    ) -> None:
        self._view, self._listening, self._feeds, self._patience = view, listening, feeds or {}, patience
        self._settings = settings
        self._server: Server | None = None
        self._stopping = threading.Event()
        effect = "no status and no metrics till it is started again; all else goes on"
        self._guard = UNEXPECTED.guard(Part.STATUS, "serving", event="status_ended", effect=effect)

    def run(self) -> None:
        self._guard.keep_up(self._serve, self._stopping.wait)
        self._listening.close()

    def _serve(self) -> None:
        # Here and not above: they take a quarter of a second, during which the proxy can be brought up.
        import uvicorn

        from lbgen.status.access import Access, guarded
        from lbgen.status.app import application
        from lbgen.status.connections import LARGEST_HEAD, Connection, Patience
        from lbgen.status.pace import Budget, paced
        from lbgen.status.uvicorn_server import Server

        patience = self._patience or Patience()
        settings = uvicorn.Config(
            paced(guarded(application(self._view, self._feeds), Access(self._settings)), Budget()),
            loop="asyncio",
            http=cast("Any", partial(Connection, patience=patience)),
            h11_max_incomplete_event_size=LARGEST_HEAD,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # a client's garbage is no news
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=patience.most,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=1,
        )
        self._server = Server(settings)
        if not self._stopping.is_set():
            with self._listening.dup() as listening:  # it closes what it is given
                self._server.run(sockets=[listening])
            if not self._stopping.is_set():
                raise RuntimeError("the server ended by itself")

    def stop(self) -> None:
        self._stopping.set()
        for feed in self._feeds.values():
            feed.close()
        if self._server:
            self._server.end()
