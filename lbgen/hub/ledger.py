"""The ledger of a fleet: who has joined, which tokens are used, who is revoked. Each hub has all of it.

Hubs exchange ledgers, or parts of them, in any order and as often as they like, and come to the same (a join
semilattice, as CRDTs are): of an edge the latest join counts, of a token the first key, of a revocation the latest.
A revocation is of a name, and voids what was joined, and every token that was made, until then; so it wins over
what another hub has not heard of yet, and the name can be joined anew afterwards.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lbgen.base import bounded_file, json_text
from lbgen.base.errors import SettingsError
from lbgen.base.fleet_names import NAME
from lbgen.base.private_file import write_private
from lbgen.source.hub.certificates import EDGE, LONGEST_LABEL, MOST_LABELS, Holder

FILE = "ledger.json"
VERSION = 1
LARGEST = 64 << 20  # bytes
FORGOTTEN = 24 * 3600.0  # seconds after its end until a used token is forgotten
GRACE = 30 * 24 * 3600.0  # seconds after its end for which a certificate may be renewed
EDGE_FORGOTTEN = GRACE + 7 * 24 * 3600.0  # the same for an edge's certificate: hubs that were apart have met by then


@dataclass(frozen=True, slots=True)
class Edge:
    """One that has joined."""

    key: str  # SHA-256 of its public key
    joined: float  # seconds since 1970
    offer: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    until: float = 0.0  # when its newest certificate ends; seconds since 1970
    authorities: str = ""  # beginnings of fingerprints: the authority of that, and the others that the edge trusts
    seen: float = 0.0  # when it was last connected; seconds since 1970
    hub: str = ""  # to this hub

    def holder(self, name: str) -> Holder:
        """Return who its certificates are for."""
        return Holder(EDGE, name, self.joined, self.offer, self.labels)


@dataclass(frozen=True, slots=True)
class Used:
    """A token that somebody has joined with."""

    key: str  # SHA-256 of his public key
    until: float  # when the token ends


@dataclass(frozen=True)
class Entries:
    """All or a part of a ledger."""

    edges: Mapping[str, Edge] = field(default_factory=dict)  # by name
    tokens: Mapping[str, Used] = field(default_factory=dict)  # by id
    revoked: Mapping[str, float] = field(default_factory=dict)  # seconds since 1970, by name

    def document(self) -> dict[str, Any]:
        """Return them as plain data."""
        # Not by `asdict`, which copies all of it deeply: a thousand edges would take a fifth of a second.
        edges = {name: {word: getattr(edge, word) for word in _EDGE} for name, edge in self.edges.items()}
        tokens = {id_: {word: getattr(used, word) for word in _USED} for id_, used in self.tokens.items()}
        return {"version": VERSION, "edges": edges, "tokens": tokens, "revoked": dict(self.revoked)}


_EDGE, _USED = (tuple(each.name for each in fields(kind)) for kind in (Edge, Used))


def entries_in(document: Any) -> Entries:
    """Return the entries in plain data; raise ValueError, KeyError, TypeError or AttributeError."""
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']!r}, not {VERSION}")
    edges = {_name(name): _edge(each) for name, each in document["edges"].items()}
    tokens = {_word(id_): Used(_word(each["key"]), _time(each["until"])) for id_, each in document["tokens"].items()}
    return Entries(edges, tokens, {_name(name): _time(at) for name, at in document["revoked"].items()})


def merged(one: Entries, other: Entries) -> Entries:
    """Return the union. Neither the order nor repetition changes it."""
    edges = {**one.edges, **{name: _later(one.edges.get(name), each) for name, each in other.edges.items()}}
    tokens = {**one.tokens, **{id_: _first(one.tokens.get(id_), each) for id_, each in other.tokens.items()}}
    revoked = {**one.revoked, **{name: max(at, one.revoked.get(name, at)) for name, at in other.revoked.items()}}
    return Entries(edges, tokens, revoked)


class Ledger:
    """The ledger in a hub's state; safe in several threads."""

    def __init__(self, state: Path) -> None:
        """
        Args:
            state: the hub's directory; made if it is not there.
        Raises:
            SettingsError: the ledger is there and cannot be used. Without it revoked edges would be admitted.
        """
        self.state, self._lock = state, threading.RLock()
        self.entries = read(state)
        self._unwritten = False

    def merge(self, news: Entries, later: bool = False) -> frozenset[str]:
        """Take entries in, on disk first; return the names of which certificates have become void.

        Args:
            later: what is new need not be on disk before `flush`: it is learnt again if it is lost.
        Raises:
            OSError: they could not be written; nothing was taken in.
        """
        with self._lock:
            before, after = self.entries, merged(self.entries, news)
            if after == before:
                if not later:
                    self.flush()
                return frozenset()
            if not later:
                write(self.state, after)
            self.entries, self._unwritten = after, later
        return frozenset(
            name
            for name in {*news.edges, *news.revoked}
            if (name in before.edges and _identity(before.edges[name]) != _identity(after.edges.get(name)))
            or before.revoked.get(name) != after.revoked.get(name)
        )

    def flush(self) -> None:
        """Have all of it on disk; raise OSError."""
        with self._lock:
            if self._unwritten:
                write(self.state, self.entries)
                self._unwritten = False

    def forget(self, now: float) -> None:
        """Drop tokens that could not be used any more, and edges that could not renew any more.

        An agent stays until it is revoked: its servers are in force, and may well answer. Revocations stay, and need no
        edge: they are of a name and a time. A hub that was cut off may have renewed what they void long afterwards, and
        the clock of one that is set back would admit it.
        """
        with self._lock:
            tokens = {id_: each for id_, each in self.entries.tokens.items() if each.until + FORGOTTEN > now}
            edges = {name: each for name, each in self.entries.edges.items() if not _is_long_gone(each, now)}
            if len(tokens) < len(self.entries.tokens) or len(edges) < len(self.entries.edges):
                self.entries, self._unwritten = replace(self.entries, tokens=tokens, edges=edges), True

    def digest(self) -> str:
        """Return what differs if two ledgers do."""
        text = json.dumps(self.entries.document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def read(state: Path) -> Entries:
    """Read the ledger in a hub's state, empty if there is none; raise SettingsError."""
    path = state / FILE
    try:
        return entries_in(json_text.data_in(bounded_file.read(path, LARGEST)))
    except FileNotFoundError:
        return Entries()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "restore it, or remove it and have it from this hub's peers; without any, revocations are lost"
        raise SettingsError(f"{path}: it is damaged ({error}): {remedy}") from error


def write(state: Path, entries: Entries) -> None:
    """Put the ledger in place, whole, for this account alone; raise OSError with the file as it was."""
    write_private(state / FILE, json.dumps(entries.document(), sort_keys=True) + "\n")


def _is_long_gone(edge: Edge, now: float) -> bool:
    """Tell whether no certificate of an edge could be renewed any more, nor can one be in force."""
    return not edge.offer and max(edge.until, edge.joined, edge.seen) + EDGE_FORGOTTEN <= now


def _identity(edge: Edge | None) -> tuple[str, float] | None:
    return (edge.key, edge.joined) if edge else None


def _later(one: Edge | None, other: Edge) -> Edge:
    """Return the later join, with the newest of what has been seen of it since."""
    if one is None or _identity(one) == _identity(other):
        one = one or other
        newest = max(
            one, other, key=lambda each: (each.until, each.authorities, each.offer, sorted(each.labels.items()))
        )
        last = max(one, other, key=lambda each: (each.seen, each.hub))
        return replace(newest, seen=last.seen, hub=last.hub)
    return max(one, other, key=lambda each: (each.joined, each.key))


def _first(one: Used | None, other: Used) -> Used:
    return min(one or other, other, key=lambda each: (each.until, each.key))


def _edge(said: Any) -> Edge:
    labels = {_word(key): _word(value) for key, value in said["labels"].items()}
    if len(labels) > MOST_LABELS:
        raise ValueError("too many labels")
    key, offer, authorities, hub = (_word(said[word]) for word in ("key", "offer", "authorities", "hub"))
    joined, until, seen = (_time(said[word]) for word in ("joined", "until", "seen"))
    return Edge(key, joined, offer, labels, until, authorities, seen, hub)


def _name(value: object) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError("not a name")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_LABEL:
        raise ValueError("not a text")
    return value


def _time(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("not a time")
    return float(value)
