"""Where a Traefik router leads: the service that it names or that is the only one, and whose servers that has.

Source: traefik 3.7 pkg/provider/configuration.go (BuildRouterConfiguration), pkg/provider/merge.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lbgen.labels.context import Provider
from lbgen.labels.definitions import Definition
from lbgen.labels.foreign_options import Element, Options, read
from lbgen.labels.route_spec import Share
from lbgen.labels.suggestions import alike
from lbgen.labels.traefik import PREFIX
from lbgen.labels.traefik.definitions import normal
from lbgen.labels.traefik.elements import Labels
from lbgen.labels.traefik.file_services import FileServices
from lbgen.labels.traefik.lookup import Names, of_another
from lbgen.labels.traefik.names import local
from lbgen.labels.traefik.options import TABLES
from lbgen.labels.traefik.services import note_transport, service_fields
from lbgen.labels.traefik.swarm_shares import swarm_shares
from lbgen.labels.values.value_type import BadValue

NOOP = "noop@internal"


@dataclass(frozen=True, slots=True)
class Led:
    """What a router leads to."""

    options: Options  # of the service, for what is wrong with them
    fields: dict[str, Any] = field(default_factory=dict)  # of `RouteKeys`
    shares: tuple[Share, ...] = ()  # its servers; none: they are the tasks of the router's own Swarm service


@dataclass(frozen=True, slots=True)
class Leading:
    """Finds the services that the routers of one Swarm service lead to."""

    names: Names
    labels: Labels
    provider: Provider

    def service(self, protocol: str, options: Options) -> Led:
        """Read the service of a router; what is wrong with the choice, or with another's labels, is its own."""
        nothing = Options(self.names.service, options.route)
        if "_service" in options.broken:
            self.names.count(protocol, "services", self.labels.of(protocol, "services"))
            return Led(nothing)
        try:
            definition = self._chosen(protocol, options.fields.get("_service"))
            if definition and not definition.service:
                shares = self._of_setting(protocol, definition, nothing)
                return Led(nothing, dict(nothing.fields), shares)
        except BadValue as bad:
            if "_service" in options.fields or not split(self.labels, self.provider, protocol, options.route):
                options.lose("_service", bad)
            options.broken.add("_service")
            self.names.count(protocol, "services", self.labels.of(protocol, "services"))
            return Led(nothing)
        return self._of_labels(protocol, definition, options)

    def _of_labels(self, protocol: str, definition: Definition | None, options: Options) -> Led:
        element = definition.element if definition else None
        own = read(self.names.service, options.route, element, TABLES[protocol, "services"])
        own.missing(
            port=f"{PREFIX}{protocol}.services.{element.name if element else '<name>'}.loadbalancer.server.port"
        )
        note_transport(own, self.provider)
        fields = service_fields(protocol, own)
        if definition is None or definition.service == self.names.service:
            return Led(own, fields, swarm_shares(definition) if definition and definition.also else ())
        for problem in own.lost:
            options.lose("_service", of_another(definition, problem))
        own.lost, own.left = [], []
        own.written = dict.fromkeys(own.written, options.written["_service"])
        return Led(own, fields, swarm_shares(definition))

    def _of_setting(self, protocol: str, definition: Definition, options: Options) -> tuple[Share, ...]:
        reader = FileServices(self.names.definitions, self.names.service, protocol, options, self.provider)
        shares = reader.shares(definition)
        self.names.uses.update(dict.fromkeys(reader.uses))
        self.names.count(protocol, "services", (local(use.reference) for use in reader.uses))
        return shares

    def _chosen(self, protocol: str, reference: str | None) -> Definition | None:
        """Return the service of a reference, or the only one; None: one that Traefik makes, or that answers nothing."""
        known = self.labels.of(protocol, "services")
        if reference is None:
            if len(known) > 1:
                raise BadValue(f"is missing, and there are several services ({', '.join(known)})", "name one of them")
            return self.names.find(protocol, "services", next(iter(known))) if known else None
        if reference.lower() == NOOP and protocol == "http":
            return None
        if not known and local(reference) == normal(self.names.service).lower():
            return None  # the one that Traefik makes where no label does
        return self.names.find(protocol, "services", reference)

    def older(self, protocol: str, router: Element, options: Options) -> str:
        """Return the older Swarm service that defines a router alike, with all that it names; empty: none does."""
        if not router.name:
            return ""
        first = self.names.find(protocol, "routers", router.name)
        if first.service == self.names.service:
            return ""
        named = [("middlewares", name) for name in options.fields.get("_middlewares", ())]
        named += [("services", first.element.options["service"].value)] if "service" in first.element.options else []
        same = all(self.names.means_the_same(protocol, kind, name, first.service) for kind, name in named)
        return first.service if same else ""


def split(labels: Labels, provider: Provider, protocol: str, route: str) -> str:
    """Return a router without a rule, or with one, whose name looks like that of one that has none, or has one.

    Then the labels of the two were probably meant to be of one router.
    """
    if provider.default_rule and protocol == "http":
        return ""  # none is needed
    routers = labels.of(protocol, "routers")
    has = route in routers and "rule" in routers[route].options
    return alike(route, [name for name, router in routers.items() if ("rule" in router.options) != has])
