"""Which vocabularies of labels are read, and one answer out of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from operator import itemgetter

from lbgen.base.problem import Problem
from lbgen.labels import beside, dockerflow, traefik
from lbgen.labels.context import PLAIN, LabelContext
from lbgen.labels.definitions import Defined
from lbgen.labels.keys.table import PREFIX
from lbgen.labels.route_spec import ClosedSpec, RouteSpec, ServiceLabels
from lbgen.labels.values import regex_cost


@dataclass(frozen=True, slots=True)
class Dialect:
    """A vocabulary of labels. What reads them is imported with the first service that is asked about."""

    name: str  # as setting discovery.dialects has it
    prefix: str  # of its labels, in lower case
    module: str  # has `parse` and, if one service's labels may define something for those of all, `define`
    defines: bool = False

    def parse(self, service: str, labels: Mapping[str, str], context: LabelContext = PLAIN) -> ServiceLabels:
        """Parse a service's labels; `expose_by_default` applies to this dialect."""
        said: ServiceLabels = import_module(self.module).parse(service, labels, context)
        return said

    def define(self, service: str, labels: Mapping[str, str], context: LabelContext = PLAIN) -> Defined:
        """Return the definitions in a service's labels that all services can use; only for a dialect that `defines`."""
        defined: Defined = import_module(self.module).define(service, labels, context)
        return defined

    def owns(self, label: str) -> bool:
        """Tell whether a label is of this dialect."""
        return label.lower().startswith(self.prefix)


NATIVE = Dialect("lbgen", PREFIX, "lbgen.labels.native")
TRAEFIK = Dialect("traefik", traefik.PREFIX, "lbgen.labels.traefik.dialect", defines=True)
DOCKERFLOW = Dialect("dockerflow", dockerflow.PREFIX, "lbgen.labels.dockerflow.dialect")
DIALECTS = {dialect.name: dialect for dialect in (NATIVE, TRAEFIK, DOCKERFLOW)}
_PREFIXES = tuple(dialect.prefix for dialect in DIALECTS.values())
# Of one service, whatever the dialects: a hostile one is not to keep the others waiting.
MAX_LABELS = 1000
MAX_TEXT = 65536  # characters


def parse(service: str, labels: Mapping[str, str], context: LabelContext) -> ServiceLabels:
    """Read one service's labels in every dialect; a service takes part if it does in one of them.

    ``expose_by_default`` holds for the dialects that a service has labels of, and if it has none for the first: one
    service is not routed twice for having said nothing. lbgen's short keys hold for the routes of all dialects.
    """
    own = _sizes(labels)
    if _too_many(own):
        message = f"has {len(own)} labels of {sum(own)} characters that say how to route it"
        remedy = f"keep them below {MAX_LABELS} and {MAX_TEXT} characters, or split the service"
        return ServiceLabels(True, problems=(Problem(service, message, remedy),))
    spoken = _spoken(labels, context)
    unspoken = replace(context, expose_by_default=False)
    with regex_cost.together():
        by_dialect = {
            name: DIALECTS[name].parse(service, labels, context if name in spoken else unspoken)
            for name in context.names
        }
        by_dialect |= {
            name: beside.laid_over(service, labels, own) for name, own in by_dialect.items() if name != NATIVE.name
        }
    by_dialect = {name: directed(own, context.ways.of(name)) for name, own in by_dialect.items()}
    return next(iter(by_dialect.values())) if len(by_dialect) == 1 else _join(by_dialect)


def define(service: str, labels: Mapping[str, str], context: LabelContext) -> Defined:
    """Return what one service's labels define for those of all services."""
    if not _too_many(_sizes(labels)):
        for name in _spoken(labels, context):
            if DIALECTS[name].defines:
                return DIALECTS[name].define(service, labels, context)
    return Defined(service)


def _sizes(labels: Mapping[str, str]) -> list[int]:
    return [len(label + value) for label, value in labels.items() if label.lower().startswith(_PREFIXES)]


def _too_many(sizes: Sequence[int]) -> bool:
    return len(sizes) > MAX_LABELS or sum(sizes) > MAX_TEXT


def _spoken(labels: Mapping[str, str], context: LabelContext) -> tuple[str, ...]:
    return tuple(name for name in context.names if speaks(name, labels)) or context.names[:1]


def speaks(name: str, labels: Iterable[str]) -> bool:
    """Tell whether some of the labels are of this dialect."""
    return any(map(DIALECTS[name].owns, labels))


def dialect_of(label: str) -> str:
    """Return the name of the dialect that a label is of; empty: it is another program's."""
    return next((name for name, dialect in DIALECTS.items() if dialect.owns(label)), "")


def directed(own: ServiceLabels, way: str) -> ServiceLabels:
    """Return what a dialect's labels say, with the way of all routes of which they do not say it."""
    directed = [spec if spec.keys.via else replace(spec, keys=replace(spec.keys, via=way)) for spec in own.routes]
    return replace(own, routes=tuple(directed))


def _join(by_dialect: Mapping[str, ServiceLabels]) -> ServiceLabels:
    """Join what the dialects say; a route whose name an earlier one has is called after its dialect too.

    One that cannot be honoured keeps its name from the others: which is which does not depend on a mistake.
    """
    named: dict[tuple[str, str], RouteSpec | ClosedSpec] = {}
    for name, own in by_dialect.items():
        specs: list[RouteSpec | ClosedSpec] = [*own.routes, *own.closed]
        for route in specs:
            free = route.name
            number = 1
            while (route.protocol, free) in named:
                # Short enough for every name to stay a route's name, and to stay its own.
                suffix = name if number == 1 else f"{name}{number}"
                free = f"{route.name[: 62 - len(suffix)]}-{suffix}" if route.name else suffix
                number += 1
            named[route.protocol, free] = replace(route, name=free)
    enabled = any(own.enabled for own in by_dialect.values())
    return ServiceLabels(
        enabled,
        tuple(route for _, route in sorted(named.items(), key=itemgetter(0)) if isinstance(route, RouteSpec)),
        tuple(sorted({problem for own in by_dialect.values() for problem in own.problems})),
        "" if enabled else "; ".join(own.unless for own in by_dialect.values()),
        tuple(route for route in named.values() if isinstance(route, ClosedSpec)),
        uses=tuple(use for own in by_dialect.values() for use in own.uses),
        offers=tuple(offer for own in by_dialect.values() for offer in own.offers),
        joined=tuple(each for own in by_dialect.values() for each in own.joined),
    )
