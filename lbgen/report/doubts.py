"""Where labels are probably not what their author means, although they can be read: notes, which fail with --strict.

A published port where the application's own is wanted, a star in a path, a label of another program's, containers of
one service on hosts that do not say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lbgen.base.problem import Problem, printable
from lbgen.labels.context import LabelContext
from lbgen.labels.dialects import dialect_of
from lbgen.labels.match import tests_of
from lbgen.labels.other_labels import PROGRAMS, program_of
from lbgen.labels.route_spec import RouteSpec, problem_of
from lbgen.labels.values.value_type import BadValue
from lbgen.model.own_names import read_labels
from lbgen.snapshot import Service, Snapshot

_PATHS = ("path", "path_prefix", "path_start")
# The fields that a path is written in, in the order in which they are asked; the last two are of other dialects.
_WRITTEN = ("path", "path_exact", "rule", "_paths")


def doubts(snapshot: Snapshot, context: LabelContext) -> Iterator[Problem]:
    """Yield what should be looked at, by service."""
    for service in sorted(snapshot.services.values(), key=lambda service: (service.name, service.id)):
        yield from doubts_of(service, read_labels(service, context).routes)


def doubts_of(service: Service, routes: Iterable[RouteSpec]) -> Iterator[Problem]:
    """Yield what should be looked at of one service.

    Args:
        routes: what its labels ask for.
    """
    yield from sorted({doubt for route in routes for doubt in (*_port(service, route), *_star(service, route))})
    yield from _of_others(service)
    yield from _unlike(service)


def _port(service: Service, route: RouteSpec) -> Iterator[Problem]:
    """Tell of a port that is the published one of another that the application listens on.

    Of routes alone that go to the tasks: of others it is a problem, which `lbgen.model.destination` tells.
    """
    port, (label, value) = route.keys.port, route.written.get("port", ("", ""))
    targets = {each.target for each in service.ports}
    published = [each for each in service.ports if each.published == port and each.target != port]
    if port is None or not value or port in targets or not published or route.keys.via not in ("task", "vip"):
        return
    target = published[0].target
    message = f"is a published port, which leads to port {target} of the application"
    bad = BadValue(message, f"write {target}, unless it listens on {port} as well")
    yield problem_of(service.name, label, value, bad)


def _star(service: Service, route: RouteSpec) -> Iterator[Problem]:
    """Tell of paths that end in a star, which is a character like others there."""
    for test in tests_of(route.match):
        if test.kind in _PATHS and test.value.endswith("*") and len(test.value) > 1:
            label, value = next((route.written[key] for key in _WRITTEN if key in route.written), ("", ""))
            shorter = test.value.rstrip("*").rstrip("/") or "/"
            bad = BadValue(
                f"has a star in path {printable(test.value)}, which stands for itself alone",
                f"write {printable(shorter)}, which is for all below it, too",
            )
            yield problem_of(service.name, label, value, bad)


def _of_others(service: Service) -> Iterator[Problem]:
    """Tell once for each program which labels of its the service has."""
    labels: dict[str, list[str]] = {}
    for label in sorted(service.labels):
        if program := program_of(label):
            labels.setdefault(program, []).append(label)
    for program, own in labels.items():
        more = f", like {len(own) - 1} more" if own[1:] else ""
        message = f"is a label of {program}{more}, which lbgen does not read"
        remedy = f"docs/migration.md#{PROGRAMS[program][1]} has the keys to write"
        yield Problem(service.name, message, remedy, printable(own[0]))


def _unlike(service: Service) -> Iterator[Problem]:
    """Tell once that containers of a service on hosts differ in labels that say how to route it."""
    if own := [label for label in sorted(service.unlike) if dialect_of(label)]:
        more = f", like {len(own) - 1} more," if own[1:] else ""
        message = f"is not the same{more} at container {printable(service.unlike[own[0]])}; those of the newest count"
        remedy = "have all its containers made anew from one file, or give that one a service of its own"
        yield Problem(service.name, message, remedy, printable(own[0]))
