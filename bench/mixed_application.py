"""The application of the mixed load: a task of it answers in every way that web applications do, until it is stopped.

``/quick`` answers at once, ``/events`` streams events, ``/socket`` is a WebSocket that echoes, ``/upload`` counts what
it gets, ``/slow`` thinks for longer than its route lets it. gRPC has a port of its own, with a stream that echoes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import grpc
from aiohttp import WSMsgType, web

EVENTS = 10  # of one stream
BETWEEN = 0.3  # seconds between two of them
THINKS = 6.0  # seconds, of /slow
LONGEST = 60.0  # seconds that a task waits for its streams before it ends
TALK = "/mixed.Echo/Talk"
EVENT = b"data: %d\n\n"


class Task:
    """One task, on an address of its own."""

    def __init__(self, address: str, http_port: int, grpc_port: int) -> None:
        self.address = address
        self._ports = http_port, grpc_port
        self._runner: web.AppRunner | None = None
        self._grpc = grpc.aio.server()
        self._leaving, self._running = False, 0

    async def start(self) -> None:
        """Listen."""
        application = web.Application(client_max_size=64 << 20, middlewares=[self._counted])
        application.add_routes(
            [
                *(web.get(path, _quick) for path in ("/quick", "/private")),
                web.get("/events", _events),
                web.get("/socket", _socket),
                web.post("/upload", _upload),
                web.get("/slow", _slow),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, self._ports[0]).start()
        handlers = {"Talk": grpc.stream_stream_rpc_method_handler(_talk)}
        self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("mixed.Echo", handlers),))
        self._grpc.add_insecure_port(f"{self.address}:{self._ports[1]}")
        await self._grpc.start()

    async def stop(self) -> None:
        """End as good applications do on SIGTERM: take no new requests, finish what runs."""
        assert self._runner
        self._leaving = True
        await asyncio.gather(*(site.stop() for site in self._runner.sites), self._grpc.stop(LONGEST))
        for _ in range(int(LONGEST / BETWEEN)):  # aiohttp itself would let uploads hang that have not ended
            if not self._running:
                break
            await asyncio.sleep(BETWEEN)
        await self._runner.cleanup()

    @web.middleware
    async def _counted(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self._leaving:
            return web.Response(status=500, text="this task has been told to end")
        self._running += 1
        try:
            return await handler(request)
        finally:
            self._running -= 1


async def _quick(_: web.Request) -> web.Response:
    return web.Response(text="quick")


async def _slow(_: web.Request) -> web.Response:
    await asyncio.sleep(THINKS)
    return web.Response(text="slow")


async def _upload(request: web.Request) -> web.Response:
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
    return web.Response(text=str(size))


async def _events(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    for number in range(EVENTS):
        await answer.write(EVENT % number)
        await asyncio.sleep(BETWEEN)
    await answer.write_eof()
    return answer


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    with contextlib.suppress(ConnectionError):
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
    return socket


async def _talk(words: object, _: grpc.aio.ServicerContext) -> object:
    async for word in words:  # type: ignore[attr-defined]
        yield word
