"""When an edge renews its certificate: in good time, and at the latest when a hub is to be dialled with it. Asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from lbgen.base.daemon_thread import started
from lbgen.base.errors import LbgenError
from lbgen.base.logs import log
from lbgen.source import Validity
from lbgen.source.hub.exchange import exchange
from lbgen.source.hub.expiry import Reminder
from lbgen.source.hub.identity import Dial

LOOKS = 60.0  # seconds between two looks whether the certificate is to be renewed
STEP = 1.0  # seconds between two looks whether this machine has joined anew


class Renewable(Protocol):
    """A certificate that ends, and may be replaced: `identity.Identity`, in short."""

    unwritten: str  # why the newest one is not on disk; empty: it is

    def validities(self) -> tuple[Validity, ...]:
        """Return how long it is good for, and what has signed it."""

    @property
    def ended(self) -> bool:
        """Whether it is in force no more."""

    def look(self) -> bool:
        """Take over another one that is there; return whether one was."""

    def renew_if_due(self, dial: Dial) -> bool:
        """Renew it if that is due, which may take seconds; return whether it was; raise SourceError."""


class Renewing:
    """Keeps a certificate in force."""

    def __init__(self, certificate: Renewable) -> None:
        self._certificate = certificate
        self._complaints: dict[str, str] = {}  # URL of a hub -> why it did not renew; told once
        self._reminder = Reminder()
        self._unwritten = ""  # why the newest one is not on disk, as was told

    async def keep(self, urls: Sequence[str]) -> None:
        """Look now and then whether it is due, and have the first hub renew it that does."""
        while True:
            for url in urls:
                try:
                    await self.renewed(url)
                    break
                except LbgenError as error:
                    if self._complaints.get(url) != str(error):
                        log.warning("certificate_not_renewed", error=str(error), effect="it is tried again")
                    self._complaints[url] = str(error)
            self._reminder.look(self._certificate.validities())
            await asyncio.sleep(LOOKS)

    async def before(self, url: str) -> None:
        """Have a hub that is to be dialled renew a certificate that has ended; raise what that raises.

        So an edge is back as soon as a hub is: a hub admits nobody whose certificate has ended. Several hubs may be
        asked at the same time, and each certificate is good.
        """
        if self._certificate.ended:
            await self.renewed(url)

    async def pause(self, seconds: float) -> None:
        """Wait before hubs are tried again, but only until this machine has joined anew: then it may be welcome."""
        while seconds > 0 and not self._certificate.look():
            await asyncio.sleep(min(STEP, seconds))
            seconds -= STEP

    async def renewed(self, url: str) -> None:
        """Have a hub renew it if that is due, and what could not be written written; raise what the first raises."""
        renewal = started(partial(self._certificate.renew_if_due, partial(exchange, url)), "renewal")
        if await asyncio.wrap_future(renewal):
            log.info("certificate_renewed", hub=url)
        self._complaints.pop(url, None)
        if (why := self._certificate.unwritten) != self._unwritten:
            self._unwritten = why
            if why:
                effect = "it is in force, and tried again; a restart would begin with the one before"
                log.error("certificate_unwritten", error=why, effect=effect)
            else:
                log.info("certificate_written")
