"""Which route a request takes, decided the slow and obvious way: ask every route, in the order of priority.

Written from docs/labels.md and the docstrings of `lbgen.model`, sharing no code with `lbgen/model/routing.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lbgen.labels.match import Alternative, Test
from lbgen.model import Listener, Route


@dataclass(frozen=True)
class Request:
    """What a client asks for, as it sends it."""

    host: str = "a.org"
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def matched(self) -> Request:
        """It, with its path in the form that routes are matched with: without the query, its slashes merged."""
        return replace(self, path=re.sub("/+", "/", self.path.partition("?")[0]))

    @property
    def name(self) -> str:
        """The host that routes are matched with: without port, in lower case."""
        return self.host.partition(":")[0].lower()


def holds(test: Test, request: Request) -> bool:
    """Evaluate one test."""
    match test.kind:
        case "host" if test.value.startswith("*."):
            label, dot, rest = request.name.partition(".")
            result = bool(label and dot) and rest == test.value[2:]
        case "host":
            result = request.name == test.value
        case "path":
            result = request.path == test.value
        case "path_prefix":
            result = test.value == "/" or request.path == test.value or request.path.startswith(test.value + "/")
        case "path_start":
            result = request.path.startswith(test.value)
        case "host_regex":
            result = re.search(test.value, request.name) is not None
        case "method":
            result = request.method == test.value
        case "header":
            result = request.headers.get(test.name) == test.value
        case _:
            raise AssertionError(test)
    return result ^ test.negated


def is_place(alternative: Alternative) -> bool:
    """Tell whether at most one host and one path are tested, and nothing else."""
    kinds = ["path" if test.kind == "path_prefix" else test.kind for test in alternative]
    negated = any(test.negated for test in alternative)
    return not negated and set(kinds) <= {"host", "path"} and len(kinds) == len(set(kinds))


def decide(routes: Iterable[Route], request: Request) -> str:
    """Return the backend of the first route, in order, that the request matches; empty if none does."""
    matching = [
        (_order(route, alternative), route.backend)
        for route in routes
        for alternative in route.alternatives
        if all(holds(test, request) for test in alternative)
    ]
    return min(matching)[1] if matching else ""


def as_rule(test: Test) -> str:
    """Return what a test is in a Traefik rule."""
    matcher = {"host": "Host", "path": "Path", "path_prefix": "PathPrefix", "method": "Method"}
    arguments = [test.name] * bool(test.name) + [test.value] * bool(test.value)
    return "!" * test.negated + f"{matcher.get(test.kind, 'Header')}({', '.join(f'`{text}`' for text in arguments)})"


def _order(route: Route, alternative: Alternative) -> tuple[object, ...]:
    priority = len(" && ".join(map(as_rule, alternative))) if route.priority is None else route.priority
    if not is_place(alternative):  # "goes before a cell of the same or a lower priority"
        return -priority, 0, route.age, route.name, alternative
    hosts = [test.value for test in alternative if test.kind == "host"]
    exact_host = bool(hosts) and not hosts[0].startswith("*")
    exact_path = any(test.kind == "path" for test in alternative)
    return -priority, 1, not exact_host, not exact_path, route.age, route.name


def look_up(listener: Listener, request: Request) -> str:
    """Look the request up in a listener's table, just as the docstrings of Cell and Rule say."""
    found = None
    rest = request.name.partition(".")[2]
    cells = {(cell.host, cell.path, cell.exact): cell for cell in listener.cells}
    for host in (request.name, f"*.{rest}", "*"):
        segments = request.path.split("/")
        prefixes = ["/".join(segments[:length]) or "/" for length in range(len(segments), 0, -1)]
        for key in [(host, request.path, True), *((host, prefix, False) for prefix in prefixes)]:
            found = found or cells.get(key)
    for rule in listener.rules:
        if all(holds(test, request) for test in rule.alternative):
            return rule.backend if not found or rule.priority >= found.priority else found.backend
    return found.backend if found else ""
