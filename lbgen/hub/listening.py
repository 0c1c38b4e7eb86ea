"""The socket that edges dial: bound as soon as its address is free."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import threading

from lbgen.base.address import host_port
from lbgen.base.logs import log

RETRY = 1.0  # seconds between two looks whether the address is free
FILES = 65536  # open files: each edge needs one


async def listening_on(bind: tuple[str, int], stopping: threading.Event) -> socket.socket | None:
    """Return a socket that listens, once it can; None: it is to stop."""
    told = False
    while not stopping.is_set():
        try:
            return _listening(bind)
        except OSError as error:
            if not told:
                remedy = "free the port, or set hub.bind to another address"
                log.error("hub_unavailable", address=host_port(*bind), error=error.strerror, remedy=remedy)
            told = True
            await asyncio.to_thread(stopping.wait, RETRY)
    return None


def _listening(bind: tuple[str, int]) -> socket.socket:
    address, port = bind
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("" if address == "*" else address, port))
        listening.listen(1024)
    except OSError:
        listening.close()
        raise
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return listening
