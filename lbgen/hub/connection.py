"""A connection at the hub's port, and the limits that hold for every client."""

from __future__ import annotations

import time
from typing import Any

from websockets.asyncio.server import ServerConnection

from lbgen.source.hub.exchange import LARGEST

MOST_HEARD = LARGEST + (16 << 10)  # bytes from one who is not admitted: a request, and HTTP around it
MOST_FRAMES = 100  # a second, pings included; who sends more is let go


class Connection(ServerConnection):
    """One that is let go if it says more than anybody needs to: frames, pings among them, or before it is admitted."""

    heard_at_most: int | None = MOST_HEARD  # bytes; None: no limit
    heard_at = 0.0  # when anything came last, by the monotonic clock
    _heard, _frames, _second = 0, 0, 0

    def data_received(self, data: bytes) -> None:
        self._heard += len(data)
        self.heard_at = time.monotonic()
        if self.heard_at_most is not None and self._heard > self.heard_at_most:
            self.transport.abort()
        else:
            super().data_received(data)

    def process_event(self, event: Any) -> None:
        if (second := int(time.monotonic())) != self._second:
            self._frames, self._second = 0, second
        self._frames += 1
        if self._frames > MOST_FRAMES:
            self.transport.abort()
        else:
            super().process_event(event)
