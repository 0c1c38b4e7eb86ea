"""Traefik's vocabulary: ``traefik.enable`` and ``traefik.http|tcp|udp.routers|services|middlewares.<name>.<option>``.

A router becomes a route of the same name. Nothing is ignored: a label takes part in a route, or a problem names it.
What cannot be honoured closes the router; what only tunes or observes is reported, and the message says that it is
left.

Source: traefik 3.7 pkg/provider/docker/config.go, pswarm.go and shared_labels.go, pkg/provider/configuration.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from lbgen.labels.context import PLAIN, LabelContext
from lbgen.labels.definitions import Defined
from lbgen.labels.foreign_options import flag
from lbgen.labels.keys.table import RouteKeys
from lbgen.labels.match import ALWAYS
from lbgen.labels.route_spec import ClosedSpec, ServiceLabels, problem_of, sound
from lbgen.labels.traefik.constraints import constrained_labels, meets_constraints
from lbgen.labels.traefik.definitions import defined_by
from lbgen.labels.traefik.elements import Labels, sort, unread
from lbgen.labels.traefik.entrypoints import EntryPoints
from lbgen.labels.traefik.first import guards, is_first
from lbgen.labels.traefik.offers import offers
from lbgen.labels.traefik.refused import whole_service
from lbgen.labels.traefik.routers import Routers
from lbgen.labels.traefik.services import VERIFIED_BY
from lbgen.labels.values.value_type import BadValue


def parse(service: str, labels: Mapping[str, str], context: LabelContext = PLAIN) -> ServiceLabels:
    """Read one service's labels. A pure function of its arguments."""
    reader = _reader(service, labels, context)
    if isinstance(reader, ServiceLabels):
        return reader
    own = reader.labels
    if _only_first(own, context):
        return ServiceLabels(True, problems=tuple(unread(service, each) for each in own.unread), closed=_of_first(own))
    reader.names.definitions = context.definitions.including(_defined(reader))
    routes = reader.routes()
    asked = constrained_labels(context.provider.constraints)
    notes = [unread(service, written) for written in own.unread if written.label not in asked]
    return ServiceLabels(
        True,
        routes,
        tuple(sorted({*reader.problems, *notes})),
        closed=tuple(reader.closed),
        uses=tuple(reader.names.uses),
        offers=tuple(offers(own, reader.names, context.provider, defines_only=reader.defines_only)),
        joined=tuple(reader.joined),
    )


def define(service: str, labels: Mapping[str, str], context: LabelContext = PLAIN) -> Defined:
    """Return what one service's labels define for all services."""
    reader = _reader(service, labels, context)
    if isinstance(reader, Routers):
        return _defined(reader)
    why = reader.unless or "one of its labels names no option"
    return replace(defined_by(service, sort(service, labels), {}, ""), absent=why, broken=not reader.unless)


def _defined(reader: Routers) -> Defined:
    return defined_by(reader.service, reader.labels, reader.general, reader.provider.default_rule)


def _reader(service: str, labels: Mapping[str, str], context: LabelContext) -> Routers | ServiceLabels:
    """Return what reads the labels of a service that takes part, else why it does not."""
    own = sort(service, labels)
    enable, enabled = own.general.get("enable"), context.expose_by_default
    if enable:
        try:
            enabled = flag(sound(enable.value))
        except BadValue as bad:
            unless = f"label {enable.label} is neither true nor false"
            return ServiceLabels(False, problems=(problem_of(service, enable.label, enable.value, bad),), unless=unless)
    if not enabled and enable:
        return ServiceLabels(False, unless=f"label {enable.label} says no")
    if not enabled:
        return ServiceLabels(False, unless="label traefik.enable=true is missing", missing="traefik.enable")
    if not meets_constraints(context.provider.constraints, labels):
        return ServiceLabels(False, unless="its labels do not satisfy setting discovery.traefik.constraints")
    entry_points = EntryPoints.of(context.provider.entry_points, context.listeners, context.ports)
    provider = replace(context.provider, verified=VERIFIED_BY in labels)
    reader = Routers(
        *(service, own, provider, context.listeners, context.tcp_listeners, entry_points, context.definitions)
    )
    if not own.broken:
        reader.read_general()
    if own.broken:  # Traefik takes nothing of such a service either
        return ServiceLabels(True, problems=tuple(sorted(own.broken)), closed=tuple(whole_service(labels)))
    return reader


def _only_first(own: Labels, context: LabelContext) -> bool:
    """Tell whether nothing but labels of Traefik 1 says how to route a service, and no default rule may do."""
    words = [written.label for written in own.unread if is_first(written.label)]
    return bool(words) and not own.elements and (any(map(guards, words)) or not context.provider.default_rule)


def _of_first(own: Labels) -> tuple[ClosedSpec, ...]:
    """Return what is closed of such a service: all of it, if one of the labels was to guard."""
    if not any(guards(written.label) for written in own.unread):
        return ()
    broken, lost = frozenset({"rule"}), frozenset({"middlewares"})
    return (ClosedSpec("http", "", RouteKeys(), ALWAYS, broken, "traefik", "", lost, whole=True),)
