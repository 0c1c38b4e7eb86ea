"""The other hubs of a fleet: they agree before a token is used, and exchange ledgers.

Nothing that is joined or revoked needs all hubs for long: what one has not heard of it gets with the next exchange.
Only the use of a token does, as two hubs that cannot talk would both take it.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from functools import partial
from typing import Any, TypeVar

from lbgen.base.daemon_thread import started
from lbgen.base.errors import LbgenError, SourceError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.hub.authority import Authority
from lbgen.hub.ledger import Entries, Ledger, entries_in
from lbgen.source.hub.certificates import Refused
from lbgen.source.hub.exchange import PEER, Exchange, check_hub

INTERVAL = 30.0  # seconds between exchanges of ledgers, with what every hub may have missed
AGAIN = 2.0  # seconds after which a hub that did not answer is asked again
T = TypeVar("T")


class Ending(Exception):
    """This hub ends before its peers have answered. Never leaves this module."""


class Peers:
    """The hubs of setting `hub.peers`; this one may be among them: it agrees with itself."""

    def __init__(
        self,
        urls: Sequence[str],
        authority: Authority,
        ledger: Ledger,
        exchange: Exchange,
        merged: Callable[[Entries], None],
    ) -> None:
        """
        Args:
            merged: takes entries that a peer has; called from a thread of this.
        """
        self._urls, self._authority, self._ledger = tuple(urls), authority, ledger
        self._exchange, self._merged = exchange, merged
        self._failing: dict[str, str] = {}  # URL -> why
        self._news, self._ended = threading.Event(), Future[None]()
        effect = "hubs hear of one another later"
        self._guard = UNEXPECTED.guard(Part.HUB, "exchanging ledgers", event="hub_failed", effect=effect)

    @property
    def failing(self) -> Mapping[str, str]:
        """Why those that do not answer do not, by URL."""
        return dict(self._failing)

    def reserve(self, token: str, key: str) -> None:
        """Have every peer keep a token for one key for a minute.

        Raises:
            Refused: one has given it to another key, or cannot be asked; then it must not be used.
        """
        request = {"type": "reserve", "token": token, "key": key}

        def ask(url: str) -> None:
            try:
                self._ask(url, request)
            except Refused as refused:
                if refused.code == "used":
                    raise
                raise _unasked(url, refused) from refused
            except SourceError as error:
                raise _unasked(url, error) from error

        try:
            self._of_all(ask)
        except Ending:
            raise Refused("peer", "this hub is about to end; try again, or at another hub") from None

    def tell(self) -> None:
        """Have the peers hear at once of what is new in the ledger."""
        self._news.set()

    def sync(self) -> None:
        """Exchange ledgers with every peer; what fails is told once and tried again."""
        with contextlib.suppress(Ending):
            self._of_all(self._sync_with)

    def ask(self, url: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a peer's answer; raise SourceError if there is none."""
        return self._ask(url, request)

    def ask_all(self, request: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Return the answers of all peers that answer, by URL."""

        def ask(url: str) -> Mapping[str, Any] | None:
            try:
                return self._ask(url, request)
            except (LbgenError, OSError):
                return None  # what fails is told where ledgers are exchanged

        try:
            answers = zip(self._urls, self._of_all(ask), strict=True)
        except Ending:
            return {}
        return {url: answer for url, answer in answers if answer is not None}

    def run(self) -> None:
        """Exchange ledgers, now and then and whenever there is something to tell, until `end`."""
        while not self._ended.done():
            self._news.clear()
            self._guard.tried(self.sync)
            pause = AGAIN if self._failing else INTERVAL
            self._news.wait(pause * random.uniform(0.8, 1.2))

    def end(self) -> None:
        """Have `run` return, and nobody wait for a peer any more."""
        with contextlib.suppress(InvalidStateError):  # it has ended already
            self._ended.set_result(None)
        self._news.set()

    def _of_all(self, ask: Callable[[str], T]) -> list[T]:
        """Ask all peers at the same time; return what each answers, or raise what the first of them raises, or Ending.

        A peer may take a while to fail, so this hub does not wait for them when it ends.
        """
        asked = [started(partial(ask, url), "hub-peer") for url in self._urls]
        for each in asked:
            either: list[Future[Any]] = [each, self._ended]
            wait(either, return_when=FIRST_COMPLETED)
            if not each.done():
                raise Ending
        return [each.result() for each in asked]

    def _sync_with(self, url: str) -> None:
        try:
            digest = self._ledger.digest()
            answer = self._ask(url, {"type": "sync", "digest": digest})
            if answer["digest"] != digest:
                self._merged(entries_in(answer["ledger"]))
                if self._ledger.digest() != answer["digest"]:
                    self._ask(url, {"type": "entries", "ledger": self._ledger.entries.document()})
        except (LbgenError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if self._failing.get(url) != str(error):
                log.warning("hub_peer_failing", peer=url, error=str(error), effect="no edge can join until it answers")
            self._failing[url] = str(error)
        else:
            if self._failing.pop(url, None):
                log.info("hub_peer_back", peer=url)

    def _ask(self, url: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = self._exchange(url, PEER, request, self._authority.client_context())
        check_hub(answer.certificate)
        return answer.document


def _unasked(url: str, error: Exception) -> Refused:
    why = f"its peer {url} cannot be asked whether the token was used before ({error})"
    return Refused("peer", f"this hub joins nobody for now: {why}; edges that have joined are served and renewed")
