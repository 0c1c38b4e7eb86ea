"""How much of the processor one client may take with its questions: beyond that, its answers wait.

Traefik's and a health check's are not held up by somebody else's: each address has a budget of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from lbgen.base.address import owner

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

SHARE = 0.25  # of one processor, for one address
CREDIT = 2.0  # seconds of the processor that it may take at once
LONGEST = 5.0  # seconds that an answer is held up
COST = 0.001  # seconds of the processor for a question, and ...
SPEED = 50e6  # ... bytes of answers in a second
MOST_ADDRESSES = 1024
SPEND = "lbgen.spend"  # in the scope of a request: counts seconds of the processor that its answer costs besides


class Budget:
    """What each address has taken of late."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._debts: OrderedDict[str, tuple[float, float]] = OrderedDict()  # owner -> seconds owed, when

    def wait(self, address: str) -> float:
        """Return for how many seconds the next answer to the address has to wait."""
        return min(LONGEST, max(0.0, (self._owed(owner(address)) - CREDIT) / SHARE))

    def spend(self, address: str, seconds: float) -> None:
        """Count what an answer has cost."""
        who = owner(address)
        self._debts[who] = self._owed(who) + seconds, self._clock()
        self._debts.move_to_end(who)
        while len(self._debts) > MOST_ADDRESSES:
            self._debts.popitem(last=False)

    def _owed(self, who: str) -> float:
        debt, at = self._debts.get(who, (0.0, 0.0))
        return max(0.0, debt - (self._clock() - at) * SHARE)


def paced(application: Application, budget: Budget) -> Application:
    """Return the ASGI application, with its answers within the budget."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        address = (scope.get("client") or ("",))[0]

        async def counted(message: Message) -> None:
            budget.spend(address, len(message.get("body", b"")) / SPEED)
            await send(message)

        if wait := budget.wait(address):
            await asyncio.sleep(wait)
        budget.spend(address, COST)
        scope[SPEND] = partial(budget.spend, address)
        await application(scope, receive, counted)

    return answer
