"""The socket that edges dial: bound as soon as its address is free, and what it accepts is counted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import threading
from collections.abc import Callable
from typing import Any

from lbgen.base.address import host_port
from lbgen.base.logs import log

RETRY = 1.0  # seconds between two looks whether the address is free
FILES = 65536  # open files: each edge needs one


LetIn = Callable[[socket.socket, tuple[Any, ...]], bool]  # (connection, the other end's address) -> there is room


async def listening_on(bind: tuple[str, int], stopping: threading.Event, let_in: LetIn) -> socket.socket | None:
    """Return a socket that listens, once it can; None: it is to stop.

    Args:
        let_in: is asked about each connection as soon as it is accepted; the others are closed.
    """
    told = False
    while not stopping.is_set():
        try:
            return _listening(bind, let_in)
        except OSError as error:
            if not told:
                remedy = "free the port, or set hub.bind to another address"
                log.error("hub_unavailable", address=host_port(*bind), error=error.strerror, remedy=remedy)
            told = True
            await asyncio.to_thread(stopping.wait, RETRY)
    return None


class _Listening(socket.socket):
    let_in: LetIn

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        if self.let_in(connection, address):
            return connection, address
        connection.close()
        raise ConnectionAbortedError(errno.ECONNABORTED, "too many connections")  # asyncio goes on with the next


def _listening(bind: tuple[str, int], let_in: LetIn) -> socket.socket:
    address, port = bind
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = _Listening(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.let_in = let_in
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("" if address == "*" else address, port))
        listening.listen(1024)
    except OSError:
        listening.close()
        raise
    _raise_limit()
    return listening


def _raise_limit() -> None:
    """Have as many files open as may be; where that is forbidden, as under a strict systemd, as many as now."""
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
