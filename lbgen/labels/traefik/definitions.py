"""What the Traefik labels of one service define, as the labels of all services find it.

Source: traefik 3.7 pkg/provider/docker/config.go (build), pkg/provider/configuration.go (BuildRouterConfiguration).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from lbgen.labels.definitions import FILE, SWARM, Defined, Definition, Definitions, Key, Undefined
from lbgen.labels.foreign_options import Element, Written
from lbgen.labels.traefik.elements import Labels

__all__ = ["FILE", "SWARM", "Defined", "Definition", "Definitions", "Key", "Undefined", "defined_by", "normal"]


def defined_by(service: str, labels: Labels, general: Mapping[str, Any], default_rule: str) -> Defined:
    """Return what the labels of a service define.

    Args:
        general: fields of `RouteKeys` that hold for all its tasks.
    """
    elements = [*labels.elements.values(), *_made_by_traefik(service, labels)]
    complete = (_complete(service, labels, each, default_rule) if each.kind == "routers" else each for each in elements)
    return Defined(service, tuple(Definition(each, service, general) for each in complete))


def normal(service: str) -> str:
    """Return a Swarm service's name as Traefik writes it: letters and digits, with dashes between."""
    return "-".join(re.findall(r"[^\W_]+", service))


def _made_by_traefik(service: str, labels: Labels) -> Iterator[Element]:
    """Yield the services that Traefik makes of a Swarm service where no label does."""
    streams = [protocol for protocol in ("tcp", "udp") if labels.of(protocol, "routers")]
    web = labels.of("http", "routers") or labels.of("http", "middlewares") or not streams
    for protocol in (*streams, *(["http"] if web else [])):
        if not labels.of(protocol, "services"):
            yield Element(protocol, "services", normal(service).lower())


def _complete(service: str, labels: Labels, router: Element, default_rule: str) -> Element:
    """Return a router with what holds where its labels do not say it, so that two can be compared."""
    services = labels.of(router.protocol, "services")
    usual = {"service": next(iter(services), normal(service).lower())} if len(services) < 2 else {}
    if router.protocol == "http":
        usual["rule"] = default_rule.replace(".Name", service)
    said = {option: Written("", value) for option, value in usual.items() if option not in router.options}
    return replace(router, options={**router.options, **said})
