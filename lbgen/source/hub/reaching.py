"""A TCP connection to a hub, also over a way that loses packets.

Where the first packet of a connection is lost, the kernel waits a second before it sends another one, since it knows
nothing of the way yet (RFC 6298): longer than going over to another hub should take. So a second connection is begun
well before that, and the one that stands first is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

AGAIN = 0.3  # seconds until a second connection is begun: more than the round trip of most ways

Place = tuple[Any, ...]  # what getaddrinfo says of an address
Begin = Callable[[Place], Awaitable[socket.socket]]


async def reached(host: str, port: int, begin: Begin | None = None, again: float = AGAIN) -> socket.socket:
    """Return a connection to one of the host's addresses; raise OSError.

    Args:
        begin: makes a connection to an address.
    """
    loop = asyncio.get_running_loop()
    places: list[Place] = list(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    waiting, under_way = [*places, *places], dict[asyncio.Future[socket.socket], Place]()
    failure: BaseException = OSError(f"{host} has no address")
    try:
        while waiting or under_way:
            if waiting:
                place = waiting.pop(0)
                under_way[asyncio.ensure_future((begin or _begun)(place))] = place
            pause = again if waiting else None
            done, _ = await asyncio.wait(under_way, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                place = under_way.pop(attempt)
                if not (error := attempt.exception()):
                    return attempt.result()
                failure = error
                waiting = [each for each in waiting if each != place]  # it has said no, and would again
        raise failure
    finally:
        for attempt in under_way:
            attempt.add_done_callback(_closed)
            attempt.cancel()


async def _begun(place: Place) -> socket.socket:
    family, kind, protocol, _, address = place
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


def _closed(attempt: asyncio.Future[socket.socket]) -> None:
    with contextlib.suppress(asyncio.CancelledError, OSError):
        attempt.result().close()
