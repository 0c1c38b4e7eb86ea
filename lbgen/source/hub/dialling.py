"""Which of several hubs an edge takes: the first good one to answer, none of them waiting long for the one before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from lbgen.source.hub.link import Link

STAGGER = 0.3  # seconds after which the next hub is dialled as well

Dial = Callable[[], Coroutine[Any, Any, Link]]


async def first_good(dials: Sequence[Dial], stagger: float = STAGGER) -> Link | None:
    """Dial hubs in this order, one more after each failure or pause; return the connection, None: there is none.

    One that has no facts yet, or whose own source fails, is taken only if there is no better one. The others'
    connections are ended. What a dial raises counts as no answer.
    """
    waiting, under_way = list(dials), set[asyncio.Task[Link]]()
    best: Link | None = None
    try:
        while waiting or under_way:
            if waiting:
                under_way.add(asyncio.ensure_future(waiting.pop(0)()))
            pause = stagger if waiting else None
            done, under_way = await asyncio.wait(under_way, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for link in [task.result() for task in done if not task.exception()]:
                best = _better(best, link)
            if best and is_good(best):
                break
        return best
    except BaseException:
        if best:
            best.cut()
        raise
    finally:
        for task in under_way:
            task.add_done_callback(_discard)
            task.cancel()


def _better(one: Link | None, other: Link) -> Link:
    """Return the better connection, after ending the other."""
    if one is None:
        return other
    better, worse = (other, one) if is_good(other) and not is_good(one) else (one, other)
    worse.cut()
    return better


def is_good(link: Link) -> bool:
    """Tell whether a hub knows what there is now."""
    return link.welcome.ready and not link.welcome.failing


def _discard(task: asyncio.Task[Link]) -> None:
    if not task.cancelled() and not task.exception():
        task.result().cut()
