"""What the labels of all services define for each other, gathered from one snapshot after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lbgen.base.problem import Problem
from lbgen.base.records import dataclass
from lbgen.labels import dialects
from lbgen.labels.definitions import Defined, Definitions
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


def definitions_of(snapshot: Snapshot, rules: Rules) -> Definitions:
    """Return the definitions of one snapshot."""
    return Gatherer(rules).gathered(snapshot)


class Gatherer:
    """Gathers definitions; while none of them changes the result is the same object as before."""

    def __init__(self, rules: Rules, defined: Callable[[Service], Defined] | None = None) -> None:
        """
        Args:
            defined: what one service's labels define; None: what its labels say.
        """
        self._rules, self._context = rules, rules.label_context()
        self._defined = defined or self._read
        self._known: dict[str, _Known] = {}  # by the service's id
        self._gathered: Definitions | None = None

    def gathered(self, snapshot: Snapshot) -> Definitions:
        """Return the definitions of a snapshot."""
        before = self._known
        self._known = {service.id: self._of(service, before.get(service.id)) for service in in_order(snapshot)}
        same = list(before) == list(self._known) and all(_alike(self._known[id_], was) for id_, was in before.items())
        if self._gathered is None or not same:
            entries = {known.service.name: known.entries for known in self._known.values()}
            self._gathered = Definitions.of(
                (known.defined for known in self._known.values()),
                self._rules.provider.elements,
                entries if self._rules.claims else None,
            )
        return self._gathered

    def _of(self, service: Service, was: _Known | None) -> _Known:
        if was and was.service is service:
            return was
        if was and (was.service.name, was.service.labels) == (service.name, service.labels):
            return _Known(service, was.defined, was.entries)
        defined = self._defined(service)
        if was and was.defined == defined:
            defined = was.defined
        entries = (
            number for number, claim in enumerate(self._rules.claims) if claims.services(claim.services)(service)
        )
        return _Known(service, defined, frozenset(entries))

    def _read(self, service: Service) -> Defined:
        return dialects.define(service.name, service.labels, self._context)


def _alike(one: _Known, other: _Known) -> bool:
    return one is other or (one.defined is other.defined and one.entries == other.entries)


def unused(offered: Iterable[Offer], uses: Iterable[Use]) -> Iterator[Problem]:
    """Yield what is to be said of definitions that their own services do not use.

    Args:
        uses: of all services.
    """
    used = {(use.protocol, use.kind, use.reference.partition("@")[0]) for use in uses}
    for offer in offered:
        yield from offer.used if (offer.protocol, offer.kind, offer.name) in used else offer.unused
