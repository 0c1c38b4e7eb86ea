"""Labels that say how to route a service and that nothing reads: of a vocabulary that is not read, of a service that
nothing enables, misspelt, or in a place where they count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lbgen.base.problem import printable
from lbgen.labels import beside
from lbgen.labels.context import LabelContext
from lbgen.labels.dialects import DIALECTS, dialect_of
from lbgen.labels.other_labels import meant
from lbgen.labels.suggestions import like
from lbgen.model.own_names import read_labels
from lbgen.snapshot import Note, Service, Snapshot

ALWAYS, STRICT, NEVER = "always", "strict", "never"
_SWITCHES = frozenset({"lbgen.enable", "traefik.enable", "com.df.notify"})
_LIKE = 0.75  # of two words, from 0 to 1: "enabled" and "enable" have 0.92


@dataclass(frozen=True, slots=True, order=True)
class Unread:
    """A label that is not read, although its author may have meant it to be."""

    service: str
    label: str
    message: str
    fails: str = NEVER  # whether it is a failure: "always", "strict" (with --strict), "never"

    def __str__(self) -> str:
        return f"service {self.service}, label {self.label}: {self.message}"

    def failing(self, *, strict: bool) -> bool:
        """Tell whether the label is a reason to fail."""
        return self.fails == ALWAYS or (strict and self.fails == STRICT)


def note_fails(note: Note, read: Sequence[str], *, strict: bool) -> bool:
    """Tell whether a note on a file is a reason to fail.

    Args:
        read: the dialects that are read: labels of others are nobody's mistake.
        strict: also count labels that stand where nothing reads them.
    """
    return note.refused or (strict and any(dialect_of(label) in read for label in note.unread))


def unread_labels(snapshot: Snapshot, context: LabelContext) -> Iterator[Unread]:
    """Yield the labels, by service; of a whole dialect of a service only one."""
    for service in sorted(snapshot.services.values(), key=lambda service: (service.name, service.id)):
        name = printable(service.name)
        for dialect in DIALECTS.values():
            if dialect.name in context.names:
                continue
            others = [label for label in sorted(service.labels) if dialect.owns(label)]
            if any(map(beside.holds, others)) and read_labels(service, context).enabled:
                others = [label for label in others if not beside.holds(label)]
            first = next(iter(others), None)
            if first is not None:
                message = f"is of dialect {dialect.name}, which setting discovery.dialects does not have"
                yield Unread(name, printable(first), message)
        forgotten = list(_forgotten(service, context))
        yield from forgotten
        told = {item.label for item in forgotten}
        for label in sorted(service.labels):
            if not dialect_of(label) and (other := meant(label, context.names)) and printable(label) not in told:
                yield Unread(name, printable(label), f"is not read; did you mean {other}?", STRICT)


def _forgotten(service: Service, context: LabelContext) -> Iterator[Unread]:
    """Yield one label of each dialect that is read, but not of this service, since nothing enables it there.

    If no dialect is enabled the service is not routed, which always is a failure.
    """
    spoken = {name: [label for label in sorted(service.labels) if _speaks(name, label)] for name in context.names}
    spoken = {name: labels for name, labels in spoken.items() if labels}
    read = {name: DIALECTS[name].parse(service.name, service.labels, context) for name in spoken}
    if not read or any(not own.enabled and not own.missing for own in read.values()):
        return  # said to be left out, or a problem
    enabled = any(own.enabled for own in read.values())
    name = printable(service.name)
    for dialect, own in read.items():
        labels = [label for label in spoken[dialect] if not (enabled and beside.holds(label))]
        if own.enabled or not labels:
            continue
        fails = STRICT if enabled else ALWAYS
        misspelt = next((label for label in labels if _is_meant(label, own.missing, dialect)), "")
        if misspelt:
            effect = "" if enabled else ", so nothing enables the service"
            message = f"is not read{effect}; did you mean {own.missing}?"
            yield Unread(name, printable(misspelt), message, fails)
        else:
            others = f", like {len(labels) - 1} more" if len(labels) > 1 else ""
            what = f"dialect {dialect} for the service" if enabled else "the service"
            message = f"is not read{others}: nothing enables {what}; add label {own.missing}=true, or =false"
            yield Unread(name, printable(labels[0]), message, fails)


def _speaks(dialect: str, label: str) -> bool:
    """Tell whether a label is of a dialect, or its misspelt switch."""
    return DIALECTS[dialect].owns(label) or (not dialect_of(label) and meant(label, (dialect,)) in _SWITCHES)


def _is_meant(label: str, switch: str, dialect: str) -> bool:
    """Tell whether a label looks like the one that enables a service in a dialect."""
    if not dialect_of(label):
        return meant(label, (dialect,)) == switch
    prefix = DIALECTS[dialect].prefix
    key, wanted = label.lower().removeprefix(prefix), switch.removeprefix(prefix)
    return like(key, wanted, _LIKE)
