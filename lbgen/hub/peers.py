"""The other hubs of a fleet: they agree before a token is used, and exchange ledgers.

Nothing that is joined or revoked needs all hubs for long: what one has not heard of it gets with the next exchange.
Only the use of a token does, as two hubs that cannot talk would both take it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lbgen.base.errors import LbgenError, SourceError
from lbgen.base.logs import log
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.hub.authority import Authority
from lbgen.hub.ledger import Entries, Ledger, entries_in
from lbgen.source.hub.certificates import Refused
from lbgen.source.hub.exchange import PEER, Exchange, check_hub

INTERVAL = 30.0  # seconds between exchanges of ledgers, with what every hub may have missed
AGAIN = 2.0  # seconds after which a hub that did not answer is asked again
_MOST_AT_ONCE = 8  # hubs


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
        self._news, self._ended = threading.Event(), False
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

        if self._urls:
            with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
                list(pool.map(ask, self._urls))

    def tell(self) -> None:
        """Have the peers hear at once of what is new in the ledger."""
        self._news.set()

    def sync(self) -> None:
        """Exchange ledgers with every peer; what fails is told once and tried again."""
        if self._urls:
            with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
                list(pool.map(self._sync_with, self._urls))

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

        if not self._urls:
            return {}
        with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
            answers = dict(zip(self._urls, pool.map(ask, self._urls), strict=True))
        return {url: answer for url, answer in answers.items() if answer is not None}

    def run(self) -> None:
        """Exchange ledgers, now and then and whenever there is something to tell, until `end`."""
        while not self._ended:
            self._news.clear()
            self._guard.tried(self.sync)
            pause = AGAIN if self._failing else INTERVAL
            self._news.wait(pause * random.uniform(0.8, 1.2))

    def end(self) -> None:
        """Have `run` return."""
        self._ended = True
        self._news.set()

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
