"""Every message between hub and edge, and the one way in which it is written.

A message is a JSON object with `type`. What a reader does not know it passes over: unknown fields always, messages of
an unknown type unless they say `"needed": true`. So two versions of which one has more to say understand each other:
both name theirs at the beginning, and nobody sends what the older of them has not got. Another major version is
refused. Every text, list and message has a largest size. Pure.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, StringConstraints, TypeAdapter, ValidationError

from lbgen.base import json_text
from lbgen.base.errors import SourceError
from lbgen.base.problem import printable

MAJOR, MINOR = 1, 0  # of what is spoken; a new message or field is a minor version
PROTOCOL = f"{MAJOR}.{MINOR}"

MOST_UP = 256 << 10  # bytes of a message to a hub
MOST_DOWN = 64 << 20  # bytes of a message to an edge, once unpacked
PACKED_FROM = 4 << 10  # characters from which a message to an edge is packed: once, for all edges

Line = Annotated[str, StringConstraints(max_length=300)]
Text = Annotated[str, StringConstraints(max_length=4000)]
Lines = Annotated[tuple[Line, ...], Field(max_length=200)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[int, Field(ge=0, le=1 << 53)]
Counts = Annotated[dict[Line, Number], Field(max_length=20)]  # state -> number
Item = dict[str, Any]  # one object of the Engine API, as in a snapshot file
Items = dict[str, list[Item]]  # by kind: nodes, services, tasks, networks
Document = dict[str, Any]


def _plain_values(said: object) -> object:
    """Leave out all but texts and whole numbers: what is nested would be copied and written as deep as it is."""
    if not isinstance(said, dict):
        return said
    return {key: value for key, value in said.items() if isinstance(value, str | int)}


Plain = Annotated[dict[Line, Text | Number], BeforeValidator(_plain_values), Field(max_length=50)]


class BadMessage(SourceError):
    """The other side sent what cannot be read. What was known stays in force; the connection is made anew."""


class Message:
    """What all messages are."""

    type: ClassVar[str]


@dataclass(frozen=True)
class Hello(Message):
    """Edge to hub, the first message. Its name is in its certificate."""

    type: ClassVar[str] = "hello"

    protocol: Line
    lbgen: Line = ""  # version
    facts: bool = True  # whether it wants snapshots
    offers: bool = False  # whether it has facts to give: an agent
    accept: Lines = ()  # what it takes of settings that the hub hands out
    holds: Line = ""  # digest of the snapshot that it has; empty: none
    once: bool = False  # a command that asks for one snapshot, beside an edge that may run


@dataclass(frozen=True)
class Welcome(Message):
    """Hub to edge, the first message."""

    type: ClassVar[str] = "welcome"

    protocol: Line  # the version spoken from now on
    lbgen: Line = ""
    hub: Line = ""  # its name
    ready: bool = True  # whether it has a snapshot; if not, one comes once there is one
    heartbeat: Seconds = 1.0  # seconds between two pings that it asks the edge for
    failing: Text = ""  # why its own source fails


@dataclass(frozen=True)
class Whole(Message):
    """Hub to edge: everything. `sequence` counts what the hub has had to tell since it started."""

    type: ClassVar[str] = "snapshot"
    sequence: Number
    digest: Line
    facts: Document  # {"version": 2, "taken_at": time, "parts": {NAME: {"cluster": id, "nodes": [...], ...}}}


@dataclass(frozen=True)
class Same(Message):
    """Hub to edge: what the edge holds is what there is."""

    type: ClassVar[str] = "same"
    sequence: Number
    digest: Line


@dataclass(frozen=True)
class Changes(Message):
    """Hub to edge: what has become of it from one sequence number to another."""

    type: ClassVar[str] = "changes"

    since: Number
    sequence: Number
    put: dict[str, Items] = field(default_factory=dict)  # part -> kind -> objects that are new or have changed
    gone: dict[str, list[str]] = field(default_factory=dict)  # kind -> ids
    parts: dict[str, str] | None = None  # part -> cluster, of all there are; None: as before


@dataclass(frozen=True)
class Resend(Message):
    """Edge to hub: send everything."""

    type: ClassVar[str] = "resend"

    why: Line = ""


@dataclass(frozen=True)
class State(Message):
    """Hub to edge: how it goes with the hub's own source."""

    type: ClassVar[str] = "state"

    failing: Text = ""  # empty: nothing is wrong


@dataclass(frozen=True)
class TargetReport:
    """One proxy of an edge."""

    name: Line
    proxy: Line = ""  # haproxy, nginx, traefik, ...
    version: Line = ""  # of its program; empty: not known
    generation: Line = ""
    ready: bool = False
    failing: bool = False
    error: Text = ""  # the last one, while it is failing
    refused: Lines = ()  # services whose configuration it refuses
    servers: Counts = field(default_factory=dict)  # as the proxy sees them: state -> number; empty: not known


@dataclass(frozen=True)
class Report(Message):
    """Edge to hub: what it serves."""

    type: ClassVar[str] = "report"

    lbgen: Line = ""
    ready: bool = False
    not_ready: Lines = ()
    alive: bool = True
    sequence: Number = 0  # of the snapshot in force
    problems: Number = 0
    servers: Counts = field(default_factory=dict)  # of its model: state -> number
    targets: Annotated[tuple[TargetReport, ...], Field(max_length=50)] = ()
    fleet: Plain = field(default_factory=dict)  # on settings that were handed out: version, sequence, refused, error


@dataclass(frozen=True)
class Offer(Message):
    """Agent to hub: facts about its own host, in pieces; they count once the last one is there."""

    type: ClassVar[str] = "offer"

    first: bool = False  # forget what was said before
    last: bool = True
    put: Items = field(default_factory=dict)
    gone: dict[str, list[str]] = field(default_factory=dict)
    reachable: bool = True  # whether the agent reaches its engine


@dataclass(frozen=True)
class Fleet(Message):
    """Either way: settings that the hub hands out, and what became of them."""

    type: ClassVar[str] = "fleet"

    body: Document


@dataclass(frozen=True)
class Bye(Message):
    """Either way, the last message: why the connection ends."""

    type: ClassVar[str] = "bye"

    code: Line  # revoked, replaced, leaving, version, refused
    why: Text = ""


MESSAGES = (Hello, Welcome, Whole, Same, Changes, Resend, State, Report, Offer, Fleet, Bye)
_READERS: Mapping[str, TypeAdapter[Message]] = {each.type: TypeAdapter(each) for each in MESSAGES}


def written(message: Message) -> str:
    """Return the message's text: without what is as it is by default."""
    given: Any = message  # all are dataclasses
    plain = {each.name: (each.default, getattr(message, each.name)) for each in fields(given)}
    body = {
        name: _plain(value) for name, (default, value) in plain.items() if value != default and value not in ({}, ())
    }
    return json.dumps({"type": message.type, **body}, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    return (
        [asdict(each) if isinstance(each, TargetReport) else each for each in value]
        if isinstance(value, tuple)
        else value
    )


def packed(text: str) -> str | bytes:
    """Return a message's text as it is sent to edges: a long one deflated, as a binary message."""
    return text if len(text) < PACKED_FROM else zlib.compress(text.encode(), 6)


def read(data: str | bytes, most: int) -> Message | None:
    """Return a message; None: one that need not be understood.

    Args:
        data: a text, or a deflated one.
        most: bytes of the text.
    Raises:
        BadMessage: it is none, or one that has to be understood and is not.
    """
    try:
        text = _unpacked(data, most)
        if len(text) > most:
            raise ValueError(f"larger than {most >> 10} KiB")
        body = json_text.data_in(text)
        if not isinstance(body, Mapping) or not isinstance(body.get("type"), str):
            raise ValueError("not an object with a type")
        reader = _READERS.get(body["type"])
        if reader is None:
            if body.get("needed") is True:
                raise ValueError(f"{printable(body['type'])}: this lbgen is too old for it: update it")
            return None
        return reader.validate_python({key: value for key, value in body.items() if key != "type"})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadMessage(f"a message {printable(body['type'])} with {printable(place)}: {first['msg']}") from None
    except ValueError as error:
        raise BadMessage(f"a message that cannot be read: {error}") from None


def _unpacked(data: str | bytes, most: int) -> str | bytes:
    if isinstance(data, str):
        return data
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(data, most)
    except zlib.error as error:
        raise ValueError(f"not deflated: {error}") from None
    if not unpacker.eof:
        raise ValueError(f"cut short, or larger than {most >> 10} KiB")
    return text


def negotiated(theirs: str, minor: int = MINOR) -> int:
    """Return the minor version that both speak.

    Args:
        theirs: what the other side says, such as ``1.3``.
        minor: our own.
    Raises:
        BadMessage: it is another major version, or no version.
    """
    major, _, rest = theirs.partition(".")
    if not (major.isdecimal() and rest.isdecimal() and len(theirs) < 20):
        raise BadMessage(f"{printable(theirs)!r} is no version of the protocol")
    if int(major) != MAJOR:
        raise BadMessage(
            f"the other side speaks version {printable(theirs)}, this one {MAJOR}.{minor}: update the older one"
        )
    return min(minor, int(rest))
