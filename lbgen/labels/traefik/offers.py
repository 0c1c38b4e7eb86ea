"""What a service's Traefik labels define and none of its own routers uses: others' may, or nobody does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lbgen.base.problem import Problem
from lbgen.labels.context import Provider
from lbgen.labels.foreign_options import Element, Written, read
from lbgen.labels.route_spec import Offer, problem_of
from lbgen.labels.traefik import PREFIX
from lbgen.labels.traefik.elements import Labels
from lbgen.labels.traefik.lookup import Names
from lbgen.labels.traefik.middlewares import Middlewares
from lbgen.labels.traefik.names import local
from lbgen.labels.traefik.options import TABLES
from lbgen.labels.values.value_type import BadValue


def offers(own: Labels, names: Names, provider: Provider, *, defines_only: bool) -> Iterator[Offer]:
    """Yield the services and middlewares that no router of the service uses, with what to say of them.

    Args:
        names: was asked for all that its routers name.
        defines_only: it has no routers, and there is no rule that one could have.
    """
    idle = {key: element for key, element in own.elements.items() if key[1] != "routers" and key not in names.found}
    below = {(key[0], "middlewares", name) for key, element in idle.items() for name in _chained(element)}
    for key, element in idle.items():
        unused = () if key in below else (_unused(names.service, element),)
        if defines_only and key[:2] == ("http", "services"):
            # Traefik takes nothing of a service without a port, so one that defines middlewares may well have it.
            unused = () if own.of("http", "middlewares") else (_no_rule(names.service),)
        yield Offer(*key, unused, tuple(_mistakes(element, names, provider)))


def _no_rule(service: str) -> Problem:
    bad = BadValue("is missing, and setting discovery.traefik.default_rule is empty", "add the label, or set it")
    return problem_of(service, f"{PREFIX}http.routers.<name>.rule", "", bad)


def _chained(element: Element) -> Iterator[str]:
    """Yield the names of the middlewares that another one leads to."""
    written = element.options.get("chain.middlewares")
    yield from (name for name in map(local, written.value.split(",") if written else ()) if name != element.name)


def _unused(service: str, element: Element) -> Problem:
    first, *others = element.options.values()
    more = f", like {len(others)} more" if others else ""
    message = f"belongs to {element.kind[:-1]} {element.name}, which no router uses{more}"
    shown = first.value if element.kind == "services" else ""
    return replace(problem_of(service, first.label, shown, BadValue(message, "remove it")), note=True)


def _mistakes(element: Element, names: Names, provider: Provider) -> list[Problem]:
    """Return what is wrong with a definition, and notes on it."""
    if element.kind == "services":
        options = read(names.service, "", element, TABLES[element.protocol, "services"])
    else:
        source = Written(next(iter(element.options.values())).label, "")
        chain = Middlewares(Names(names.service, names.definitions), provider, element.protocol)
        options = chain.of("", [(element.name, source)], ()).options
    return [*options.lost, *options.left]
