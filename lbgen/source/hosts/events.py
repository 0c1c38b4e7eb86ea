"""What an engine without Swarm tells of its containers, as it happens.

``GET /events`` with a filter: health checks would fill the stream, since each run of one is three events. An event only
says which container to look at again; what it tells is in the list by then (seen, engine 20.10; read in moby).
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from lbgen.base import json_text
from lbgen.base.errors import SourceError
from lbgen.source.decode_fields import get
from lbgen.source.engine.api import Engine
from lbgen.source.engine.events import StreamKind, ThreadedStream
from lbgen.source.mailbox import Change, Mailbox

CONTAINERS = "tasks"  # the kind of a `Change` that says: look at this container again
# "create" besides what changes how a container is: without it, one that was made and not started would be found by
# listing only. "kill" says that Docker is about to stop it.
ACTIONS = ("create", "start", "die", "kill", "health_status", "pause", "unpause", "rename", "destroy")
NETWORK_ACTIONS = ("connect", "disconnect")
_OVERLAP = 2.0  # seconds of the past to ask for: the engine's clock is only known to the second


@dataclass(frozen=True, slots=True)
class Happening:
    """One event."""

    container: str  # id
    action: str  # one of `ACTIONS`; "health_status" without what it became; "connect", "disconnect"
    at: int  # nanoseconds since 1970, by the engine's clock
    signal: str = ""  # of "kill": "15"


class ContainerEvents(ThreadedStream):
    """``GET /events`` of containers; each becomes a `Change` of kind `CONTAINERS`."""

    covers = frozenset({CONTAINERS})
    ready = True

    def __init__(self, engine: Engine, mailbox: Mailbox) -> None:
        """Subscribe; raise SourceError if the engine refuses."""
        filters = {"type": ["container", "network"], "event": [*ACTIONS, *NETWORK_ACTIONS]}
        # The engine sends its headers just before it subscribes us; asking for the last moments closes that gap.
        since = f"{engine.now() - _OVERLAP:.0f}"
        stream = engine.stream("/events", {"filters": json.dumps(filters), "since": since})
        super().__init__("events", stream.lines(), stream.end, mailbox)

    def received(self, message: bytes) -> None:
        if found := happening(message):
            self._mailbox.tell(changes=[Change(CONTAINERS, found.container, found, found.at)])


EVENTS = StreamKind("events", ContainerEvents)


def happening(line: bytes) -> Happening | None:
    """Return what one line of the stream says, None if it is about no container; SourceError if it is not an event.

    Shape: ``{"Type": "container", "Action": "health_status: healthy", "Actor": {"ID": ..., "Attributes": {"signal":
    "15"}}, "timeNano": ...}``; of type network the container's id is an attribute.
    """
    try:
        event = json_text.data_in(line)
        kind, action = get(event, "Type", str), get(event, "Action", str).partition(":")[0]
        own = get(event, "Actor.Attributes", dict, {})
        container = get(event, "Actor.ID", str) if kind == "container" else str(own.get("container", ""))
        known = ACTIONS if kind == "container" else NETWORK_ACTIONS
        if action not in known or not container:
            return None
        return Happening(container, action, get(event, "timeNano", int, 0), str(own.get("signal", "")))
    except (ValueError, AttributeError, SourceError) as error:
        raise SourceError(f"not an event: {line[:80]!r}") from error
