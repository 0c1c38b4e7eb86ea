"""Which vocabularies of labels are read, and one answer out of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lbgen.base.problem import Problem
from lbgen.labels import native
from lbgen.labels.context import Dialects
from lbgen.labels.dockerflow import dialect as dockerflow
from lbgen.labels.dockerflow import options
from lbgen.labels.keys.table import PREFIX
from lbgen.labels.route_spec import LabelledRoute, ServiceLabels
from lbgen.labels.traefik import dialect as traefik
from lbgen.labels.traefik import elements
from lbgen.labels.values import regex_cost

# The dialects, and what their labels begin with.
PREFIXES = {"lbgen": PREFIX, "traefik": elements.PREFIX, "dockerflow": options.PREFIX}
# Of one service, whatever the dialects: a hostile one is not to keep the others waiting.
MAX_LABELS = 1000
MAX_TEXT = 65536  # characters


def parse(service: str, labels: Mapping[str, str], dialects: Dialects) -> ServiceLabels:
    """Read one service's labels in every dialect; a service takes part if it does in one of them.

    ``expose_by_default`` holds for the dialects that a service has labels of, and if it has none for the first: one
    service is not routed twice for having said nothing.
    """
    own = [len(label + value) for label, value in labels.items() if label.lower().startswith(tuple(PREFIXES.values()))]
    if len(own) > MAX_LABELS or sum(own) > MAX_TEXT:
        message = f"has {len(own)} labels of {sum(own)} characters that say how to route it"
        remedy = f"keep them below {MAX_LABELS} and {MAX_TEXT} characters, or split the service"
        return ServiceLabels(True, problems=(Problem(service, message, remedy),))
    spoken = [name for name in dialects.names if speaks(name, labels)] or dialects.names[:1]
    with regex_cost.together():
        found = [
            _read(name, service, labels, dialects, expose=dialects.expose_by_default and name in spoken)
            for name in dialects.names
        ]
    return found[0] if len(found) == 1 else _joined(dialects.names, found)


def _read(name: str, service: str, labels: Mapping[str, str], dialects: Dialects, *, expose: bool) -> ServiceLabels:
    """Read one service's labels in one dialect."""
    if name == "lbgen":
        return native.parse(service, labels, expose_by_default=expose)
    if name == "dockerflow":
        return dockerflow.parse(service, labels, expose_by_default=expose, ports=dialects.ports)
    provider, listeners = dialects.provider, dialects.listeners
    return traefik.parse(service, labels, expose_by_default=expose, provider=provider, listeners=listeners)


def speaks(name: str, labels: Iterable[str]) -> bool:
    """Tell whether some of the labels are of this dialect."""
    return any(label.lower().startswith(PREFIXES[name]) for label in labels)


def _joined(names: Sequence[str], found: Sequence[ServiceLabels]) -> ServiceLabels:
    """Join what the dialects say; a route whose name an earlier one has is called after its dialect too."""
    routes: dict[tuple[str, str], LabelledRoute] = {}
    for name, own in zip(names, found, strict=True):
        for route in own.routes:
            free = route.name
            number = 1
            while (route.protocol, free) in routes:
                # Short enough for every name to stay a route's name, and to stay its own.
                suffix = name if number == 1 else f"{name}{number}"
                free = f"{route.name[: 62 - len(suffix)]}-{suffix}" if route.name else suffix
                number += 1
            routes[route.protocol, free] = replace(route, name=free)
    enabled = any(own.enabled for own in found)
    return ServiceLabels(
        enabled,
        tuple(routes[key] for key in sorted(routes)),
        tuple(sorted({problem for own in found for problem in own.problems})),
        "" if enabled else "; ".join(own.unless for own in found),
    )
