"""Numbers for proxies that are told of each entry of a table how early to ask it, in place of an order.

A number is made of the entry's own priority and of the entries that may match the same requests, not of how many
there are: a route that comes or goes changes nothing of those that no request of its own could go to.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from lbgen.labels.match import Alternative
from lbgen.model.entries import Cell, Rule
from lbgen.model.routing import ANY_HOST, broader_hosts, is_one_host, prefixes_around
from lbgen.model.tables import in_order, tests_of
from lbgen.model.types import Listener

ROOM = 1000  # numbers of each priority
# Higher ones count as this one, in their order: twice the numbers are below 2**31 - 1000, where 32-bit Traefiks end.
HIGHEST_PRIORITY = 1_000_000


@dataclass(frozen=True, slots=True)
class Numbered:
    """An entry of a listener's table: of all that a request matches, the one with the highest number decides."""

    number: int  # 1 or more; where two of one number match, it does not matter which decides
    alternative: Alternative
    backend: str


def numbered(listener: Listener) -> list[Numbered]:
    """Return cells, rules and screens, each with a `number`: of what a request matches the highest decides.

    The highest comes first, and entries of one number and backend stand side by side. Entries of one backend have the
    same number as far as they can; those with tests of `client_ip` only where the listener trusts nobody, and those of
    different hosts only where no host of the listener needs a client certificate.
    """
    cells = {Rule(tests_of(cell), cell.backend, cell.priority): cell for cell in listener.cells}
    taken = _Taken(cells)
    by_host = any(host.client_ca for host in listener.hosts)
    entries = []
    for rule in reversed(in_order(listener)):
        told = bool(listener.trusted_proxies) and any(test.kind == "client_ip" for test in rule.alternative)
        owner = (rule.backend, _host(rule) if by_host else "", rule.alternative if told else ())
        entries.append(Numbered(taken.number(rule, owner), rule.alternative, rule.backend))
    return sorted(entries, key=lambda entry: (-entry.number, entry.backend))


@dataclass(slots=True)
class _Taken:
    """Gives the entries their numbers, the last to be asked first."""

    cells: Mapping[Rule, Cell]
    # Of what may match a request, by where it is: the highest number, its owner, and the highest of the other owners.
    highest: dict[Hashable, tuple[int, Hashable, int]] = field(default_factory=dict)
    own: dict[Hashable, list[int]] = field(default_factory=lambda: defaultdict(list))  # each owner's, ascending

    def number(self, rule: Rule, owner: Hashable) -> int:
        """Return a number above those of all entries of other owners so far that a request of this one may match."""
        cell, host = self.cells.get(rule), _host(rule)
        least = 1 + max(self._others(place, owner) for place in _overlapping(cell, host))
        own = self.own[owner]
        if not own or own[-1] < least:
            own.append(max(least, (min(rule.priority, HIGHEST_PRIORITY) + 1) * ROOM))
        number = own[bisect_left(own, least)]
        for place in _places(cell, host):
            self._take(place, number, owner)
        return number

    def _others(self, place: Hashable, owner: Hashable) -> int:
        first, whose, second = self.highest.get(place, (0, None, 0))
        return second if whose == owner else first

    def _take(self, place: Hashable, number: int, owner: Hashable) -> None:
        first, whose, second = self.highest.get(place, (0, owner, 0))
        if whose == owner:
            self.highest[place] = max(first, number), owner, second
        elif number > first:
            self.highest[place] = number, owner, first
        else:
            self.highest[place] = first, whose, max(second, number)


def _places(cell: Cell | None, host: str) -> Iterator[Hashable]:
    """Yield where an entry is found by those that are asked before it."""
    kind = "cells" if cell else "rules"
    yield kind, host
    for wild in broader_hosts(host):
        yield kind, _below(wild)
    if cell and not cell.exact:
        yield kind, host, cell.path


def _overlapping(cell: Cell | None, host: str) -> Iterator[Hashable]:
    """Yield the places of what a request of this entry may match as well.

    A cell is not asked about those of narrower hosts and longer paths: they have higher numbers by themselves, or one
    of their own leads to the same backend there (see `routing`).
    """
    broader = broader_hosts(host)
    around = [host, *broader, *([_below(host)] if host.startswith("*") else [])]
    yield from (("rules", place) for place in around)
    yield from (("cells", place) for place in (broader if cell else around))
    if cell:
        yield from (("cells", host, path) for path in prefixes_around(cell.path))


def _below(wild: str) -> str:
    """Return the place of all hosts below ``*.name`` or ``*``; no host has this name."""
    return wild.replace("*", "below ")


def _host(rule: Rule) -> str:
    """Return the narrowest host that all requests of a rule have."""
    hosts = [test.value for test in rule.alternative if test.kind == "host" and not test.negated]
    return next((test.value for test in rule.alternative if is_one_host(test)), min(hosts, default=ANY_HOST))
