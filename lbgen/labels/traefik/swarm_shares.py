"""The servers of a Traefik service that several Swarm services define, or another one than the router's.

Source: traefik 3.7 pkg/config/dynamic/http_config.go (ServersLoadBalancer.Merge): each server counts alike.
"""

from __future__ import annotations

from lbgen.labels.definitions import Definition
from lbgen.labels.foreign_options import read
from lbgen.labels.route_spec import Share
from lbgen.labels.traefik.options import TABLES

_WHERE = ("port", "scheme", "weight")  # what each says of its own servers


def swarm_shares(definition: Definition, weight: int = 1) -> tuple[Share, ...]:
    """Return the shares of a service of Swarm services' labels: one for each that defines it."""
    return tuple(_share(each, definition.element.name, weight) for each in (definition, *definition.also))


def _share(definition: Definition, pool: str, weight: int) -> Share:
    element = definition.element
    said = read(definition.service, "", element, TABLES[element.protocol, "services"]).fields
    fields = {name: said[name] for name in _WHERE if name in said}
    return Share(definition.service, {**fields, **definition.general}, weight, pool=pool)
