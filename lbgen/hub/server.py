"""The hub's port, and the thread in which everything happens that edges ask for.

An edge that is slow or hostile costs bounded memory (`session`), and what has not been admitted is limited in number
and time (`door`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from asyncio import sslproto
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.server import serve

from lbgen.base.address import host_port
from lbgen.base.errors import SourceError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.hub.authority import Authority
from lbgen.hub.connection import Connection
from lbgen.hub.door import OPENED, Door, code_of
from lbgen.hub.fanout import Fanout
from lbgen.hub.listening import listening_on
from lbgen.hub.registrar import Registrar
from lbgen.hub.session import EdgeRecord, Session, Shared
from lbgen.hub.strangers import MOST_STRANGERS, Strangers
from lbgen.snapshot import Snapshot
from lbgen.source.hub.messages import MOST_UP, Message, State

READ_BUFFER = 16 << 10  # bytes: as much as one record of TLS holds
_QUIET = logging.getLogger("lbgen.hub.websockets")
_QUIET.setLevel(logging.CRITICAL + 1)  # a stranger's garbage is no news


class HubServer:
    """Serves edges until `stop`. All methods may be called from any thread."""

    def __init__(
        self,
        bind: tuple[str, int],
        authority: Authority,
        registrar: Registrar,
        *,
        most_strangers: int = MOST_STRANGERS,
        opened: float = OPENED,
    ) -> None:
        """
        Args:
            bind: address ("*" for all of IPv4) and port (0 for any that is free).
            most_strangers, opened: limits on those who are not admitted yet.
        """
        self._bind, self._authority, self.registrar = bind, authority, registrar
        self.shared = Shared(Fanout(), authority.name)
        self._opened = opened
        self._door = Door(registrar, self.shared, Strangers(most_strangers), opened)
        registrar.on_revoked = self._try_again
        self.port = 0  # once it listens
        self.listening = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._newest: Snapshot | None = None  # not published yet
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        effect = "edges go on with what they have, or ask another hub"
        self._guard = UNEXPECTED.guard(Part.HUB, "serving edges", event="hub_failed", effect=effect)
        self._publishing = UNEXPECTED.guard(Part.HUB, "telling edges", event="hub_failed", effect=effect)

    def start(self) -> None:
        """Begin to listen, now or as soon as the address is free."""
        self._thread.start()

    def stop(self) -> None:
        """Say goodbye and end, even while requests wait for other hubs."""
        self.registrar.peers.end()
        self._stopping.set()
        self._soon(self._wake)
        self._thread.join(5.0)

    def publish(self, facts: Snapshot) -> None:
        """Hand facts to the edges; of those not taken up yet the newest count."""
        with self._lock:
            waiting, self._newest = self._newest is not None, facts
        if not waiting:
            self._soon(self._take)

    def set_failing(self, why: str) -> None:
        """Tell the edges why the hub's own source fails; empty: nothing is wrong."""

        def tell() -> None:
            if why != self.shared.failing:
                self.shared.failing = why
                self._say_to_all(State(why[:4000]))

        self._soon(tell)

    def send(self, name: str, message: Message) -> None:
        """Send an edge a message, if it is connected."""
        self._soon(lambda: self._say(name, message))

    def disconnect(self, name: str, code: str, why: str) -> None:
        """Hang up on an edge."""

        def hang_up() -> None:
            for session in self._sessions_of(name):
                self._spawn(session.end(code, why))

        self._soon(hang_up)

    def edges(self) -> list[EdgeRecord]:
        """Return what is known of each edge that has ever connected to this process, by name."""
        return [record for _, record in sorted(self.shared.records.copy().items())]

    def _say(self, name: str, message: Message) -> None:
        for session in self._sessions_of(name):
            session.say(message)

    def _try_again(self, name: str) -> None:
        """Hang up on those of a name that are not admitted any more."""

        def hang_up() -> None:
            for session in self._sessions_of(name):
                try:
                    self.registrar.admitted(session.certificate)
                except SourceError as error:
                    self._spawn(session.end(code_of(error), str(error)))

        self._soon(hang_up)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(task := asyncio.ensure_future(work))
        task.add_done_callback(self._tasks.discard)

    def _sessions_of(self, name: str) -> list[Session]:
        return [session for (whose, _), session in self.shared.sessions.items() if whose == name]

    def _say_to_all(self, message: Message) -> None:
        for session in self.shared.sessions.values():
            session.say(message)

    def _take(self) -> None:
        with self._lock:
            facts, self._newest = self._newest, None
        if facts is not None:
            self._publishing.tried(lambda: self._fan_out(facts))

    def _fan_out(self, facts: Snapshot) -> None:
        if self.shared.fanout.publish(facts):
            for session in self.shared.sessions.values():
                session.tell()

    def _soon(self, call: Callable[[], None]) -> None:
        loop = self._loop
        if loop:
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(call)

    def _run(self) -> None:
        self._guard.keep_up(lambda: asyncio.run(self._serve()), self._stopping.wait)

    async def _serve(self) -> None:
        listening = await listening_on(self._bind, self._stopping, self._door.let_in)
        if listening is None:
            return
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[asyncio.Future[None]] = set()
        # Each TLS connection has a buffer of this size for what it reads: 256 KiB, of which edges need little.
        sslproto.SSLProtocol.max_size = READ_BUFFER
        async with serve(
            self._door.handle,
            sock=listening,
            ssl=self._authority.server_context(),
            process_request=self._door.look,
            create_connection=Connection,
            compression=None,  # what is large is packed once, for all
            max_size=MOST_UP,
            max_queue=4,
            write_limit=32 << 10,
            open_timeout=self._opened,
            close_timeout=1.0,
            ping_interval=None,  # see `silence`; what is no edge's connection has one question, and a time for it
            server_header=None,
            logger=_QUIET,
        ):
            self.port = listening.getsockname()[1]
            told = {"address": host_port(self._bind[0], self.port), "name": self._authority.name}
            log.info("hub_listening", **told, authority=self._authority.fingerprint[:16])
            self.listening.set()
            self._guard.worked()
            self._take()
            if not self._stopping.is_set():
                await self._ended.wait()
            ends = [session.end("leaving", "the hub ends") for session in list(self.shared.sessions.values())]
            await asyncio.gather(*ends, return_exceptions=True)

    def _wake(self) -> None:
        self._ended.set()
