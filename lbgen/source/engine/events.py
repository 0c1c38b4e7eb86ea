"""Learning that something changed: what a stream of changes is, and the engine's own event stream.

The event stream tells of services, nodes, networks, secrets and configs, never of tasks (seen, engine 20.10, and read
in moby). It can end, break or go silent, and it loses events when read slowly: it only says when to list, never what.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lbgen.base import json_text
from lbgen.base.errors import SourceError
from lbgen.base.unexpected import UNEXPECTED, Part
from lbgen.source.mailbox import Mailbox

if TYPE_CHECKING:  # it loads Docker's client
    from lbgen.source.engine.api import Engine

# What to list again after an event. Tasks follow from services and nodes, though no event says so.
KINDS = {
    "service": frozenset({"services", "tasks"}),
    "node": frozenset({"nodes", "tasks"}),
    "network": frozenset({"networks", "tasks"}),
    "secret": frozenset[str](),
    "config": frozenset[str](),
}
_OVERLAP = 2.0  # seconds of the past to ask for: the engine's clock is only known to the second


class ChangeStream(Protocol):
    """One stream of changes: subscribed from the moment it is `ready` until it is closed.

    It tells a `Mailbox` which kinds to list again, or what objects have become. When it gets ready, or ends by itself
    and sets `ended`, it wakes the follower.
    """

    covers: frozenset[str]  # kinds of whose every change it should tell

    @property
    def ready(self) -> bool:
        """Whether whatever changes from now on will be told: the moment to list."""

    @property
    def ended(self) -> str:
        """Why it ended; empty while it goes on."""

    @property
    def last(self) -> float:
        """When it last said anything, else when it began (monotonic seconds)."""

    def close(self) -> None:
        """Stop telling; returns at once, also while the stream hangs."""


@dataclass(frozen=True, slots=True)
class StreamKind:
    """One way of learning of changes."""

    mode: str  # a name for metrics and log: "push", "events"
    subscribe: Callable[[Engine, Mailbox], ChangeStream]  # raises SourceError where there is no such stream


class NotOffered(SourceError):
    """There is no such stream, and the settings did not promise one: the next best kind is used without a warning."""


class ThreadedStream(ABC):
    """A `ChangeStream` whose messages are read by a thread of its own."""

    ready = False

    def __init__(
        self, mode: str, messages: Generator[bytes, None, None], end: Callable[[], None], mailbox: Mailbox
    ) -> None:
        """Begin to read.

        Args:
            messages: raise SourceError where they break.
            end: makes `messages` end soon, also while they wait.
        """
        self._messages, self._end, self._mailbox = messages, end, mailbox
        self.ended, self.last = "", mailbox.clock()
        self._guard = UNEXPECTED.guard(Part.STREAM, mode)
        threading.Thread(target=self._read, name=f"lbgen-source-{mode}", daemon=True).start()

    def close(self) -> None:
        self.ended = self.ended or "closed"
        self._end()

    @abstractmethod
    def received(self, message: bytes) -> None:
        """Pass a message on; raise SourceError if it is not one."""

    def explained(self, why: str) -> str:
        """Return why it ended, with what to do about it."""
        return why

    def _read(self) -> None:
        try:
            why = self._end_of_messages()
        except SourceError as error:
            why = str(error)
        except Exception as error:  # whatever it is, the next best stream carries on
            why = repr(error)
            if not self.ended:  # what breaks when it is closed is no news
                self._guard.failed(error)
        try:
            why = self.explained(why)
        finally:
            self.ended = self.ended or why
            self._mailbox.tell()

    def _end_of_messages(self) -> str:
        with closing(self._messages) as messages:
            for message in messages:
                self.last = self._mailbox.clock()
                self.received(message)
                self._guard.worked()
        return "the engine ended the stream"


class EventStream(ThreadedStream):
    """``GET /events``."""

    covers = frozenset({"services", "nodes", "networks"})
    ready = True

    def __init__(self, engine: Engine, mailbox: Mailbox) -> None:
        """Subscribe; raise SourceError if the engine refuses."""
        filters = {"type": sorted(KINDS), "scope": ["swarm"]}
        # The engine sends its headers just before it subscribes us; asking for the last moments closes that gap.
        since = f"{engine.now() - _OVERLAP:.0f}"
        stream = engine.stream("/events", {"filters": json.dumps(filters), "since": since})
        super().__init__("events", stream.lines(), stream.end, mailbox)

    def received(self, message: bytes) -> None:
        self._mailbox.tell(kinds_of(message))


EVENTS = StreamKind("events", EventStream)


def kinds_of(line: bytes) -> frozenset[str]:
    """Return the kinds that one line of the stream says have changed; SourceError if it is not an event.

    Shape: ``{"Type": "service", "Action": "update", "Actor": {"ID": ..., "Attributes": {...}}, "scope": "swarm",
    "time": ..., "timeNano": ...}``.
    """
    try:
        return KINDS.get(json_text.data_in(line)["Type"], frozenset())
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"not an event: {line[:80]!r}") from error
