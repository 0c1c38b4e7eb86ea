"""An edge that is cut off: it sends no FIN, and nothing else. Asyncio.

Edges ping their hub more often than it would ask them, however many there are, so a hub asks only those that it has
not heard for a while. It asks before it judges: a hub that stood still itself has yet to read what has come meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

QUIET = 6.0  # seconds without a byte after which an edge is asked; its own pings are closer together
ANSWER = 3.0  # seconds for any answer


async def until_silent(
    heard_at: Callable[[], float],
    ping: Callable[[], Awaitable[Awaitable[object]]],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return once an edge says nothing any more, not even when it is asked.

    Args:
        heard_at: when anything came of it last, by the clock.
        ping: sends a ping; returns what is done when it is answered.
    """
    while True:
        while (left := heard_at() + QUIET - clock()) > 0:
            await asyncio.sleep(left)
        asked = clock()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER):
                await (await ping())
        if heard_at() < asked:
            return
