"""One listener's routing table in the two other shapes that proxies take it in: a list in order, and a table by host.

Both decide every request as the look-up does that `entries.Cell` and `entries.Rule` describe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lbgen.labels.match import Alternative, Test, to_ask
from lbgen.model.entries import Cell, Rule
from lbgen.model.routing import ANY_HOST, broader_hosts, is_one_host
from lbgen.model.types import Listener

_LEVELS = ("exact", "domain", "any")


@dataclass(frozen=True, slots=True)
class Site:
    """What a listener does with the requests for one host: all that has to be looked at once the host is known.

    The longest cell that fits decides, an exact path before a prefix; but before it goes the first rule that holds, if
    its priority is not lower than the cell's.
    """

    host: str  # "shop.example.org", "*.example.org", or "*" for every host without a site of its own
    cells: tuple[Cell, ...]  # by path; those of broader hosts that can be reached from here are among them
    rules: tuple[Rule, ...]  # in the order to ask; those that only other hosts can fulfil are left out


def in_order(listener: Listener) -> list[Rule]:
    """Return cells, rules and screens as one list: the first that holds decides.

    Where two cells overlap, the narrower never has the lower priority (see `routing`), so sorting by priority keeps the
    narrower one first.
    """
    cells = sorted(
        listener.cells,
        key=lambda cell: (
            -cell.priority,
            _LEVELS.index(cell.level),
            not cell.exact,
            -len(cell.path),
            cell.host,
            cell.path,
        ),
    )
    rules = [*listener.rules, *(Rule(tests_of(cell), cell.backend, cell.priority) for cell in cells)]
    rules.sort(key=lambda rule: -rule.priority)  # stable: at the same priority rules go first
    return [each for rule in rules for each in (*_screened(rule, listener), rule)]


def _screened(rule: Rule, listener: Listener) -> Iterator[Rule]:
    """Yield what goes before one rule, as rules of its priority."""
    for screen in listener.screens:
        if rule.backend in screen.backends:
            both = to_ask({*rule.alternative, *screen.alternative})
            if len({test.value for test in both if is_one_host(test)}) < 2:
                yield Rule(both, screen.backend, rule.priority)


def by_host(listener: Listener, hosts: Iterable[str] = ()) -> list[Site]:
    """Return a site for each host that some cell names, sorted, and last the one for every other host.

    Args:
        hosts: others that are to have a site of their own.
    """
    own: dict[str, list[Cell]] = {ANY_HOST: [], **{host: [] for host in hosts}}
    for cell in listener.cells:
        own.setdefault(cell.host, []).append(cell)
    # A rule for one host only must not be asked after a broader site was chosen, so such a host needs a site as well.
    for rule in listener.rules:
        for test in rule.alternative:
            if test.kind == "host" and not test.negated:
                own.setdefault(test.value, [])
    sites = []
    for host in sorted(own, key=lambda host: (host == ANY_HOST, host)):
        cells = list(own[host])
        for parent in broader_hosts(host):
            cells += [cell for cell in own.get(parent, []) if not any(_hides(mine, cell) for mine in cells)]
        rules = tuple(rule for rule in listener.rules if _possible(rule, host))
        sites.append(Site(host, tuple(sorted(cells, key=lambda cell: (cell.path, not cell.exact))), rules))
    return sites


def tests_of(cell: Cell) -> Alternative:
    """Return the tests that describe the requests of a cell."""
    host = () if cell.level == "any" else (Test("host", cell.host),)
    if cell.exact:
        return (*host, Test("path", cell.path))
    return host if cell.path == "/" else (*host, Test("path_prefix", cell.path))


def _hides(narrow: Cell, broad: Cell) -> bool:
    """Tell whether a request for the broad cell's place finds the narrow one first."""
    if narrow.exact:
        return broad.exact and narrow.path == broad.path
    return narrow.path in ("/", broad.path) or broad.path.startswith(narrow.path + "/")


def _possible(rule: Rule, host: str) -> bool:
    """Tell whether a request that was given this site can fulfil the rule."""
    for test in rule.alternative:
        if test.kind == "host" and not test.negated and test.value not in (host, *broader_hosts(host)[:-1]):
            return False
    return True
