"""How it goes with each of an edge's hubs: for status and log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lbgen.base.logs import log
from lbgen.source import PartState
from lbgen.source.hub.messages import Welcome


@dataclass(slots=True)
class Member:
    """How it goes with one hub; written by the asyncio thread, read by all."""

    url: str
    hub: str = ""  # its name, once it has said it
    connected: bool = False
    failing: str = ""  # why it does not answer, or what fails at the hub itself
    since: float | None = None  # seconds since 1970, of either

    @property
    def state(self) -> PartState:
        """The same, as of any source."""
        mode = "push" if self.connected else "none"
        since = self.since if self.failing else None
        return PartState("hub", self.hub, mode, self.url, failing=self.failing, failing_since=since)


class Hubs:
    """All of them."""

    def __init__(self, urls: Sequence[str], wall_clock: Callable[[], float] = time.time) -> None:
        self._members, self._wall_clock = {url: Member(url) for url in urls}, wall_clock

    def all(self) -> list[Member]:
        """Return them in the order of the settings."""
        return list(self._members.values())

    def of(self, url: str) -> Member:
        return self._members[url]

    def connected(self, url: str, welcome: Welcome) -> None:
        member = self._members[url]
        member.hub, member.connected, member.since = welcome.hub, True, self._wall_clock()
        self.failing(url, welcome.failing)

    def disconnected(self, url: str) -> None:
        self._members[url].connected = False

    def failing(self, url: str, why: str) -> None:
        """Note what fails there, or that nothing does."""
        member = self._members[url]
        if bool(why) != bool(member.failing):
            member.since = self._wall_clock()
        member.failing = why

    def failed(self, url: str, error: Exception) -> None:
        """Note why it cannot be reached; log what is new about that."""
        if self._members[url].failing != str(error):
            log.warning("hub_failed", error=str(error), effect="what was known last stays in force")
        self.failing(url, str(error))

    def why(self) -> str:
        """Return all that fails."""
        return "; ".join(each.failing for each in self.all() if each.failing)
