"""What the labels of all services define for each other, gathered from one snapshot after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from lbgen.base.problem import Problem
from lbgen.labels import dialects
from lbgen.labels.definitions import Defined, Definitions, DefinitionsByPart
from lbgen.labels.route_spec import Offer, Use
from lbgen.model import claims
from lbgen.model.types import Rules
from lbgen.snapshot import Service, Snapshot, moment


@dataclass(frozen=True, slots=True)
class _Known:
    service: Service
    defined: Defined
    entries: frozenset[int]  # of setting claims, that are for it


def in_order(snapshot: Snapshot) -> Iterator[Service]:
    """Yield the services, the oldest first; of two of one name, which only a file can have, the older alone."""
    names: set[str] = set()
    for service in sorted(snapshot.services.values(), key=lambda service: (moment(service.created_at), service.id)):
        if service.name not in names:
            names.add(service.name)
            yield service


class Gatherer:
    """Gathers definitions; while none of a part's changes, they are the same object as before."""

    def __init__(self, rules: Rules, defined: Callable[[Service], Defined] | None = None) -> None:
        """
        Args:
            defined: what one service's labels define; None: what its labels say.
        """
        self._rules, self._context = rules, rules.label_context()
        self._defined = defined or self._read
        self._known: dict[str, _Known] = {}  # by the service's id
        self._gathered: dict[str, tuple[list[_Known], Definitions]] = {}  # by part
        self._result = DefinitionsByPart()

    def gathered(self, snapshot: Snapshot) -> DefinitionsByPart:
        """Return the definitions of a snapshot."""
        before = self._known
        self._known = {service.id: self._of(service, before.get(service.id)) for service in in_order(snapshot)}
        parts: dict[str, list[_Known]] = {part: [] for part in snapshot.parts or ("",)}
        for known in self._known.values():
            parts.setdefault(known.service.part, []).append(known)
        self._gathered = {part: self._of_part(own, self._gathered.get(part)) for part, own in parts.items()}
        found = {part: definitions for part, (_, definitions) in self._gathered.items()}
        known_before = self._result.parts
        if found.keys() != known_before.keys() or any(each is not known_before[part] for part, each in found.items()):
            self._result = DefinitionsByPart(found)
        return self._result

    def _of_part(
        self, own: list[_Known], before: tuple[list[_Known], Definitions] | None
    ) -> tuple[list[_Known], Definitions]:
        if before and len(before[0]) == len(own) and all(map(_alike, before[0], own)):
            return own, before[1]
        entries = {known.service.own_name: known.entries for known in own}
        defined = (known.defined for known in own)
        return own, Definitions.of(defined, self._rules.provider.elements, entries if self._rules.claims else None)

    def _of(self, service: Service, was: _Known | None) -> _Known:
        if was and was.service is service:
            return was
        if was and _named(was.service) == _named(service) and was.service.labels == service.labels:
            return _Known(service, was.defined, was.entries)
        defined = self._defined(service)
        if was and was.defined == defined:
            defined = was.defined
        entries = (
            number for number, claim in enumerate(self._rules.claims) if claims.services(claim.services)(service)
        )
        return _Known(service, defined, frozenset(entries))

    def _read(self, service: Service) -> Defined:
        return dialects.define(service.own_name, service.labels, self._context)


def _alike(one: _Known, other: _Known) -> bool:
    same = one.defined is other.defined and one.entries == other.entries
    return one is other or (same and one.service.id == other.service.id)


def _named(service: Service) -> tuple[str, str]:
    return service.part, service.own_name


def unused(offered: Iterable[Offer], uses: Iterable[Use]) -> Iterator[Problem]:
    """Yield what is to be said of definitions that their own services do not use.

    Args:
        uses: of all services.
    """
    used = {(use.protocol, use.kind, use.reference.partition("@")[0]) for use in uses}
    for offer in offered:
        yield from offer.used if (offer.protocol, offer.kind, offer.name) in used else offer.unused
