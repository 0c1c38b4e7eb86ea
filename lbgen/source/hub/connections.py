"""All connections of an edge: one to a hub that tells it the facts, and one to each hub for what it offers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

import lbgen
from lbgen.base.backoff import Backoff
from lbgen.base.errors import LbgenError, SourceError
from lbgen.base.logs import log
from lbgen.source.hub.dialling import first_good, is_good
from lbgen.source.hub.hubs import Hubs
from lbgen.source.hub.link import Link, Lost, Patience, dial
from lbgen.source.hub.messages import PROTOCOL, Hello, Message, Report, Resend, Same, State, Whole
from lbgen.source.hub.offering import Offering
from lbgen.source.hub.renewing import Renewable, Renewing
from lbgen.source.hub.replica import Gap, Replica

FIRST, LONGEST = 0.5, 30.0  # seconds until all hubs are tried again
AT_ONCE = ("", "expired", "leaving")  # codes of what ends that is no reason to wait; other hubs may serve this edge
REPORTS, REPEATED = 1.0, 30.0  # seconds between two looks whether there is something to report, and at most without one
FAILS = 5.0  # seconds between two looks for another hub, while the own source of this one fails


class Pass(Renewable, Protocol):
    """Proves who this edge is: `identity.Identity`, in short."""

    def client_context(self) -> ssl.SSLContext:
        """Return TLS for a connection."""


class Connections:
    """Makes connections and keeps them, in the thread that calls `run`."""

    def __init__(
        self,
        urls: Sequence[str],
        identity: Pass,
        replica: Replica,
        learnt: Callable[..., None],
        said: Callable[[Message], None],
        report: Callable[[], Report],
        offering: Offering | None = None,
        *,
        facts: bool = True,
        accept: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        """
        Args:
            learnt: told when other facts are in force, and with ``listing`` whether they were told as a whole.
            said: gets what is about no facts.
        """
        self._identity, self._replica, self._learnt, self._said, self._report = identity, replica, learnt, said, report
        self._offering, self._facts, self._accept = offering, facts, tuple(accept)
        self._clock, self._wall_clock, self._rng = clock, wall_clock, rng or random.Random()
        self.hubs, self._renewing = Hubs(urls, wall_clock), Renewing(identity)
        self._order = list(urls)
        self._patience = {url: Patience() for url in urls}
        self._link: Link | None = None
        self._better: Link | None = None  # connected, to be followed next
        self._links: list[Link] = []
        self._told = 0.0  # when a hub said anything last, by the clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.once = False  # for a command, which wants one snapshot and neither offers nor renews anything
        self.made = 0  # connections for facts, ever
        self.lost_at: float | None = wall_clock()  # since when there is none; seconds since 1970

    def run(self) -> None:
        """Keep the connections until `close`."""
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._main())

    def close(self) -> None:
        """End `run`."""
        self._closed = True
        self._soon(lambda: self._task.cancel() if self._task else None)

    def resend(self) -> None:
        """Have the hub tell everything; if there is none now, the next one does in any case."""
        self._soon(self._ask_again)

    def send(self, message: Message) -> None:
        """Send a message over every connection that there is."""

        def send() -> None:
            for link in self._links:
                self._spawn(self._sent(link, message))

        self._soon(send)

    def age(self) -> float | None:
        """Return the seconds since the hub said anything; None: there is none."""
        return self._clock() - self._told if self._link else None

    def _soon(self, call: Callable[[], object]) -> None:
        if self._loop:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(call)

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._spawned: set[asyncio.Task[Any]] = set()
        if self._closed:
            return
        async with asyncio.TaskGroup() as tasks:
            if self._facts or self.once:
                tasks.create_task(self._follow())
            if self.once:
                return
            tasks.create_task(self._renewing.keep(self._order.copy()))
            if self._offering:
                self._offering.attach(self._loop)
                for url in self._order.copy():
                    tasks.create_task(self._offer(url))

    async def _follow(self) -> None:
        backoff = Backoff(FIRST, LONGEST, self._clock, lambda: self._rng.uniform(0.5, 1.5))
        while True:
            link, self._better = self._better or await self._any_hub(self._order), None
            if link is None:
                await self._renewing.pause(backoff.pause())
                continue
            began = self._clock()
            lost = await self._told_by(link)
            self._order.remove(link.url)
            self._order.append(link.url)
            if self._clock() - began > LONGEST:
                backoff.reset()
            elif (
                lost.code not in AT_ONCE or len(self._order) == 1
            ):  # it says no: neither it nor others are to be asked on end
                await self._renewing.pause(backoff.pause())

    async def _told_by(self, link: Link) -> Lost:
        """Take over what a hub tells until the connection ends; return why."""
        self._connected(link)
        self._link, self._told = link, self._clock()
        self._replica.connected(self._clock())
        self.made += 1
        helpers = [
            asyncio.ensure_future(work) for work in (self._reports(link), self._settle(), self._look_for_better(link))
        ]
        try:
            await link.run(partial(self._take, link))
            raise AssertionError("it returns by Lost alone")
        except Lost as lost:
            log.warning("hub_lost", error=str(lost), effect="what was known last stays in force")
            self.hubs.failing(link.url, str(lost))
            return lost
        finally:
            self._link = None
            self.lost_at = self._wall_clock()
            self._disconnected(link, helpers)

    def _take(self, link: Link, message: Message) -> None:
        self._told = self._clock()
        if isinstance(message, State):
            self.hubs.failing(link.url, message.failing)
            return
        try:
            if self._replica.take(message, self._clock()):
                self._learnt(listing=isinstance(message, Whole | Same))
        except Gap:
            self._ask_again()
        except SourceError as error:
            raise Lost(link.url, f"sent {error}") from error
        self._said(message)

    def _ask_again(self) -> None:
        if self._link:
            self._replica.sequence = -1  # changes until then are of no use
            self._spawn(self._sent(self._link, Resend()))

    async def _settle(self) -> None:
        """Put in force what is held, when its time has come."""
        while True:
            await asyncio.sleep(0.2)
            if self._replica.settle(self._clock()):
                self._learnt(listing=True)

    async def _look_for_better(self, link: Link) -> None:
        """Go over to a hub whose own source works, if that of this one fails for some time."""
        while True:
            await asyncio.sleep(FAILS)
            if self.hubs.of(link.url).failing:
                found = await self._any_hub([url for url in self._order if url != link.url])
                if found and is_good(found):
                    self._better = found
                    link.cut()
                    return
                if found:
                    found.cut()

    async def _any_hub(self, urls: Sequence[str]) -> Link | None:
        held = self._replica.digest()
        hello = Hello(PROTOCOL, lbgen.__version__, True, False, self._accept, held, once=self.once)
        return await first_good([partial(self._dial, url, hello) for url in urls])

    async def _dial(self, url: str, hello: Hello) -> Link:
        try:
            if not self.once:
                await self._renewing.before(url)
            context = await asyncio.to_thread(self._identity.client_context)
            return await dial(url, context, hello, self._patience[url])
        except LbgenError as error:
            self.hubs.failed(url, error)
            raise

    async def _offer(self, url: str) -> None:
        """Offer facts to one hub, for good."""
        assert self._offering
        backoff = Backoff(FIRST, LONGEST, self._clock, lambda: self._rng.uniform(0.5, 1.5))
        hello = Hello(PROTOCOL, lbgen.__version__, facts=False, offers=True, accept=self._accept)
        while True:
            with contextlib.suppress(LbgenError):
                link = await self._dial(url, hello)
                self._connected(link)
                began = self._clock()
                reports = [] if self._facts else [asyncio.ensure_future(self._reports(link))]
                sending = asyncio.ensure_future(self._offering.send_all(link))
                try:
                    await link.run(self._said)
                except Lost as lost:
                    self.hubs.failed(url, lost)
                finally:
                    self._disconnected(link, [sending, *reports])
                if self._clock() - began > LONGEST:
                    backoff.reset()
            await self._renewing.pause(backoff.pause())

    async def _reports(self, link: Link) -> None:
        last, at = None, 0.0
        with contextlib.suppress(Lost):
            while True:
                with contextlib.suppress(Exception):  # what is told of this lbgen is no reason to lose the hub
                    report = await asyncio.to_thread(self._report)
                    if report != last or self._clock() - at > REPEATED:
                        last, at = report, self._clock()
                        await link.send(report)
                await asyncio.sleep(REPORTS)

    def _connected(self, link: Link) -> None:
        gone = None if self.lost_at is None else round(self._wall_clock() - self.lost_at, 1)
        self.hubs.connected(link.url, link.welcome)
        self._links.append(link)
        self.lost_at = None
        log.info("hub_connected", hub=link.url, name=link.welcome.hub, protocol=link.welcome.protocol, gone_s=gone)

    def _disconnected(self, link: Link, helpers: Sequence[asyncio.Future[None]]) -> None:
        for helper in helpers:
            helper.cancel()
        self._links.remove(link)
        if not any(each.url == link.url for each in self._links):
            self.hubs.disconnected(link.url)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._spawned.add(task := asyncio.ensure_future(work))
        task.add_done_callback(self._spawned.discard)

    async def _sent(self, link: Link, message: Message) -> None:
        with contextlib.suppress(Lost):
            await link.send(message)
