"""The clients of the mixed load: each kind does one thing again and again, and counts what did not go as it should.

A client may only feel what it did itself: one that asks for what is slow gets 504, one that guesses passwords 401 or
429. Idempotent requests whose kept-alive connection turns out to be closed are sent once more, as browsers do, and
counted: Nginx before 1.27.4 closes some at each reload.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import grpc

from bench.mixed_application import BETWEEN, EVENT, EVENTS, TALK

USER, PASSWORD = "anna", "secret"
GUESSER = "127.0.0.9"  # the address of who guesses passwords
UPLOAD, CHUNKS = 128 * 1024, 16  # bytes of a part of an upload, and how many parts
WORDS = 10  # of a conversation
RESENT = ("quick, kept alive", "right passwords")  # idempotent, on kept-alive connections
SHOWN = 5  # failures of a kind that are told in full


@dataclass(slots=True)
class Account:
    """What became of one kind of request."""

    done: int = 0
    failed: int = 0
    resent: int = 0  # requests that found their kept-alive connection closed
    shown: list[str] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)


class Failure(Exception):
    """An exchange did not go as it should."""


class Clients:
    """All of them, against one proxy."""

    def __init__(self, port: int, *, with_grpc: bool) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._target, self._with_grpc = f"127.0.0.1:{port}", with_grpc
        self.accounts: dict[str, Account] = {}
        self._ends = 0.0

    async def run(self, seconds: float) -> None:
        """Go on for so long; what has begun then ends by itself."""
        self._ends = asyncio.get_running_loop().time() + seconds
        limit = aiohttp.ClientTimeout(total=60)
        guesser = aiohttp.TCPConnector(local_addr=(GUESSER, 0))
        once = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(timeout=limit) as kept,
            aiohttp.ClientSession(timeout=limit, connector=once) as fresh,
            aiohttp.ClientSession(timeout=limit, connector=guesser) as stranger,
        ):
            kinds: list[tuple[str, int, float, Callable[[], Awaitable[int]]]] = [
                ("quick, kept alive", 4, 0.02, lambda: self._get(kept, "/quick", 200)),
                ("quick, a connection each", 2, 0.02, lambda: self._get(fresh, "/quick", 200)),
                ("events", 6, 0.1, lambda: self._events(fresh)),
                ("websockets", 6, 0.1, lambda: self._socket(fresh)),
                ("uploads", 2, 0.5, lambda: self._upload(fresh)),
                ("slow URLs", 4, 0.0, lambda: self._get(fresh, "/slow", 504)),
                ("wrong passwords", 2, 0.05, lambda: self._get(stranger, "/private", 401, 429, word="wrong")),
                ("right passwords", 1, 0.05, lambda: self._get(kept, "/private", 200, word=PASSWORD)),
            ]
            if self._with_grpc:
                kinds.append(("gRPC streams", 3, 0.1, self._talk))
            await asyncio.gather(*(self._again(*kind[:1], *kind[2:]) for kind in kinds for _ in range(kind[1])))

    async def _again(self, kind: str, pause: float, exchange: Callable[[], Awaitable[int]]) -> None:
        account = self.accounts.setdefault(kind, Account())
        clock = asyncio.get_running_loop().time
        while clock() < self._ends:
            account.done += 1
            began = clock()
            try:
                try:
                    status = await exchange()
                except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                    if kind not in RESENT:
                        raise
                    account.resent += 1
                    status = await exchange()
                account.statuses[status] = account.statuses.get(status, 0) + 1
            except (Failure, aiohttp.ClientError, grpc.aio.AioRpcError, OSError, TimeoutError) as error:
                account.failed += 1
                if len(account.shown) < SHOWN:
                    account.shown.append(f"after {clock() - began:.2f} s: {str(error)[:300] or type(error).__name__}")
            await asyncio.sleep(pause)

    async def _get(self, session: aiohttp.ClientSession, path: str, *good: int, word: str = "") -> int:
        auth = aiohttp.BasicAuth(USER, word) if word else None
        async with session.get(self.url + path, auth=auth) as answer:
            text = await answer.text()
        if answer.status not in good:
            raise Failure(f"{path}: {answer.status} {text[:100]!r}")
        return answer.status

    async def _events(self, session: aiohttp.ClientSession) -> int:
        async with session.get(f"{self.url}/events") as answer:
            body = await answer.read()
        if body != b"".join(EVENT % number for number in range(EVENTS)):
            raise Failure(f"/events: {answer.status} {body[:100]!r}")
        return answer.status

    async def _socket(self, session: aiohttp.ClientSession) -> int:
        async with session.ws_connect(f"{self.url}/socket") as socket:
            for number in range(WORDS):
                await socket.send_str(str(number))
                back = await socket.receive(timeout=30)
                if back.data != str(number):
                    raise Failure(f"/socket: {back.type.name} {back.data!r} in place of {number}")
                await asyncio.sleep(BETWEEN)
        return 101

    async def _upload(self, session: aiohttp.ClientSession) -> int:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(CHUNKS):
                yield bytes(UPLOAD)
                await asyncio.sleep(BETWEEN)

        async with session.post(f"{self.url}/upload", data=parts()) as answer:
            text = await answer.text()
        if text != str(UPLOAD * CHUNKS):
            raise Failure(f"/upload: {answer.status} {text[:100]!r}")
        return answer.status

    async def _talk(self) -> int:
        options = [("grpc.default_authority", "talk.test"), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self._target, options) as channel:
            call = channel.stream_stream(TALK)(timeout=60)
            for number in range(WORDS):
                await call.write(b"%d" % number)
                if (back := await call.read()) != b"%d" % number:
                    raise Failure(f"gRPC: {back!r} in place of {number}")
                await asyncio.sleep(BETWEEN)
            await call.done_writing()
            if (rest := await call.read()) is not grpc.aio.EOF:
                raise Failure(f"gRPC: {rest!r} in place of the end")
        return 200
