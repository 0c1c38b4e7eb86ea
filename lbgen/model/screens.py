"""What goes before a service's backends: requests that a closed route of its wants, and those of guarded paths that
are spelt in another way.

Source of the spellings: an application that decodes a path before it takes it apart sees ``/admin`` in
``/static/..%2fadmin``, ``/admin;x`` and ``/admin%2Fx``, which the proxies do not; so whatever may be a guarded path
there is judged by its guard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from lbgen.labels.match import Alternative, Test, to_ask
from lbgen.model.closed import backend_name, backend_of
from lbgen.model.entries import Refusal, Screen
from lbgen.model.routing import is_one_host, priority_of
from lbgen.model.types import Closed, Route

MOST = 128  # of one service on one listener
ODD = Test("path_odd", "")
_SIMPLE = re.compile(r"[A-Za-z0-9/._~-]*")
_PATHS = frozenset({"path", "path_prefix", "path_start", "path_regex"})
_DECODED = frozenset({"path", "path_prefix"})  # what can be asked of a path that is decoded in full


def screens(
    routes: Sequence[Route], closed: Sequence[Closed], *, tls: bool = False, told: bool = False
) -> tuple[Screen, ...]:
    """Return the screens of one service on one listener, in the order to ask.

    Args:
        routes, closed: the service's own ones that this listener carries.
        tls: whether that has TLS.
        told: load balancers that are trusted may say otherwise of a request.
    """
    routes = [replace(route, refusals=tuple(_on(route, tls, told))) if route.refusals else route for route in routes]
    listed = [*_closing(routes, closed), *_refusing(routes), *_spellings(routes)]
    if len(listed) > MOST:
        listed = _strict(routes, closed)
    return tuple(dict.fromkeys(listed))


def _on(route: Route, tls: bool, told: bool) -> Iterator[Refusal]:
    for refusal in route.refusals:
        if refusal.tls is not None and told:
            scheme = Test("scheme", "https" if refusal.tls else "http")
            yield replace(refusal, alternative=to_ask((*refusal.alternative, scheme)))
        elif refusal.tls in (None, tls):
            yield refusal


def _refusing(routes: Iterable[Route]) -> Iterator[Screen]:
    for route in routes:
        for refusal in route.refusals:
            yield Screen((route.backend,), refusal.alternative, backend_name(refusal.status))


def _closing(routes: Sequence[Route], closed: Sequence[Closed]) -> Iterator[Screen]:
    for item in sorted(closed, key=lambda item: (item.status, item.name)):
        for alternative in item.alternatives:
            backends = _backends(route for route in routes if _meet(route, alternative))
            if not backends:
                continue
            target = backend_of(item, item.status)
            yield Screen(backends, alternative, target)
            if item.guarded and _paths(alternative):
                yield Screen(backends, to_ask(_read_otherwise(alternative)), target)


def _spellings(routes: Sequence[Route]) -> Iterator[Screen]:
    """Lead odd spellings of a guarded route's paths to that route, if plain ones go there."""
    wanted = [(route, each) for route in routes if route.guarded for each in route.alternatives]
    wanted.sort(key=lambda item: (-priority_of(*item), item[0].name, item[1]))
    for route in routes:
        for guard, each in wanted:
            tests = None if guard.backend == route.backend else _elsewhere(route, guard, each)
            if tests is not None:
                for refusal in guard.refusals:  # nothing is asked about a backend that a screen leads to
                    denied = to_ask((*tests, *refusal.alternative))
                    yield Screen((route.backend,), denied, backend_name(refusal.status))
                yield Screen((route.backend,), tests, guard.backend)


def _elsewhere(route: Route, guard: Route, wanted: Alternative) -> Alternative | None:
    """Return which of a route's requests may be the guarded route's, seen by an application; None: none."""
    priority = priority_of(guard, wanted)
    alternatives = [each for each in route.alternatives if not exclude(each, wanted) and not _never_odd(each)]
    first = [each for each in alternatives if priority_of(route, each) > priority]
    if not (_paths(wanted) and len(first) < len(alternatives)) and not any(map(_paths, first)):
        return None
    # What goes before the guarded route as it is spelt, and still does when it is decoded, stays.
    kept = [paths[0].value for paths in map(_paths, first) if len(paths) == 1 and _is_prefix(paths[0])]
    stays = [Test("path_decoded", value, negated=True) for value in sorted(set(kept))]
    return to_ask((*_read_otherwise(wanted), *stays))


def _strict(routes: Sequence[Route], closed: Sequence[Closed]) -> list[Screen]:
    """Return screens for a service that would have too many: fewer, which refuse more."""
    backends = _backends(routes)
    refused = [Screen(backends, (), backend_name(min(item.status for item in closed)))] if closed else []
    denied = list(_refusing(routes))
    if len(denied) > MOST // 2:
        refusing = _backends(route for route in routes if route.refusals)
        denied = [
            Screen(refusing, (), backend_name(min(refusal.status for route in routes for refusal in route.refusals)))
        ]
    return [*refused, *denied, Screen(backends, (ODD,), backend_name(403))] if backends else []


def _read_otherwise(alternative: Alternative) -> list[Test]:
    """Return the tests of requests whose path an application may read as one that is wanted.

    What can be asked only of the path as it is, an expression say, is left out.
    """
    others = [test for test in alternative if test.kind not in _PATHS]
    paths = [Test("path_decoded", test.value, negated=test.negated) for test in alternative if test.kind in _DECODED]
    # Only a path with other characters than these has two spellings that are both in normal form, and mean no other.
    simple = all(_SIMPLE.fullmatch(test.value) for test in paths)
    return [*others, *paths, *([ODD] if simple else [])]


def _paths(alternative: Alternative) -> list[Test]:
    return [test for test in alternative if test.kind in _PATHS]


def _is_prefix(test: Test) -> bool:
    return test.kind == "path_prefix" and not test.negated


def _never_odd(alternative: Alternative) -> bool:
    """Tell whether all its requests have one path that can be read in one way only."""
    exact = (test.value for test in alternative if test.kind == "path" and not test.negated)
    return any(not set("%;\\") & set(value) for value in exact)


def _meet(route: Route, alternative: Alternative) -> bool:
    return any(not exclude(each, alternative) for each in route.alternatives)


def exclude(one: Alternative, other: Alternative) -> bool:
    """Tell whether no request can be like both: they name two hosts."""
    mine, theirs = _hosts(one), _hosts(other)
    return bool(mine and theirs and not mine & theirs)


def _hosts(alternative: Alternative) -> set[str]:
    """Return the exact host that is named; none where a name with ``*.`` is."""
    return {test.value for test in alternative if is_one_host(test)}


def _backends(routes: Iterable[Route]) -> tuple[str, ...]:
    return tuple(sorted({route.backend for route in routes}))
