"""uvicorn's server, woken once a second instead of ten times: idle, that was most of what lbgen did."""

from __future__ import annotations

import asyncio
import contextlib

import uvicorn

from lbgen.status.connections import Connection

TICK = 1.0  # seconds between two looks at the clock, for the header Date and connections that take too long


class Server(uvicorn.Server):
    """Ends by `end`, from any thread."""

    _loop: asyncio.AbstractEventLoop | None = None
    _ended: asyncio.Event

    async def main_loop(self) -> None:
        """Serve until the end."""
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while not self.should_exit:
            await self.on_tick(0)  # renews the date
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.tend()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), TICK)

    def end(self) -> None:
        """Have it end."""
        self.should_exit = True
        if self._loop:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._ended.set)
