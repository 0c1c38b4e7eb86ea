"""The middlewares that a Traefik router names, followed through chains; what cannot be honoured drops the router.

A missing basicauth must never expose a service, so an unknown middleware counts as one that guards.

Source: traefik 3.7 pkg/server/middleware/middlewares.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbgen.base.problem import Problem, printable
from lbgen.labels.context import Provider
from lbgen.labels.foreign_options import Element, Read, Written, read
from lbgen.labels.match import Alternative
from lbgen.labels.route_spec import problem_of
from lbgen.labels.traefik import headers
from lbgen.labels.traefik.middleware_effects import EFFECTS, Effects
from lbgen.labels.traefik.middleware_options import GUARD, KINDS, TCP_KINDS
from lbgen.labels.values.value_type import BadValue

_MAX_DEPTH = 16


def local(reference: str) -> str:
    """Return the name that a reference to the same service's elements has; empty for another provider's."""
    name, at, provider = reference.strip().lower().partition("@")
    return name if not at or provider in ("docker", "swarm") else ""


@dataclass(slots=True)
class Middlewares:
    """The middlewares that a service's labels define."""

    service: str
    known: Mapping[str, Element]
    provider: Provider = field(default_factory=Provider)
    protocol: str = "http"

    def of(self, route: str, names: tuple[str, ...], source: Written, alternatives: tuple[Alternative, ...]) -> Effects:
        """Return what these middlewares do to a route.

        Args:
            source: the label that names them.
            alternatives: what the route matches.
        """
        effects = Effects(self.provider, alternatives)
        for name in names:
            self._add(effects, route, name, source, ())
        return effects

    def _add(self, effects: Effects, route: str, reference: str, source: Written, inside: tuple[str, ...]) -> None:
        try:
            name = self._found(reference, inside)
        except BadValue as bad:
            effects.read.lost.append(problem_of(self.service, source.label, source.value, bad, route))
            return
        if name in effects.seen:
            return
        effects.seen.add(name)
        kinds: dict[str, Element] = {}
        for option, written in self.known[name].options.items():
            kind, _, rest = option.partition(".")
            kinds.setdefault(kind, Element(self.protocol, kind, name)).options[rest] = written
        for element in kinds.values():
            tables = KINDS if self.protocol == "http" else TCP_KINDS
            found = read(self.service, route, element, tables.get(element.kind, {"<>": GUARD}), secret=True)
            effects.read.written.update({key: value for key, value in found.written.items() if key == value[0]})
            effects.read.lost += found.lost
            effects.read.left += found.left
            try:
                if len(kinds) > 1:
                    raise BadValue(f"is of several kinds ({', '.join(kinds)}), which Traefik refuses", "make it two")
                if not found.lost:
                    self._apply(effects, route, element, found, (*inside, name))
            except BadValue as bad:
                effects.read.lost.append(self._problem(element, found, bad, route))

    def _found(self, reference: str, inside: tuple[str, ...]) -> str:
        """Return the name of a middleware of this service's."""
        name = local(reference)
        if name in inside:
            raise BadValue(f"leads to middleware {name} again", "take it out of the chain")
        if len(inside) > _MAX_DEPTH:
            raise BadValue(f"nests chains more than {_MAX_DEPTH} deep", "name the middlewares themselves")
        if name not in self.known:
            raise BadValue(
                f"names middleware {printable(reference)}, which is not among this service's labels",
                "define it among the labels of this service",
            )
        return name

    def _apply(self, effects: Effects, route: str, element: Element, found: Read, inside: tuple[str, ...]) -> None:
        """Add what one middleware does; all its options are good."""
        if element.kind == "chain":
            source = next(iter(element.options.values()))
            names = found.fields.get("_middlewares", ())
            assert isinstance(names, tuple)
            for each in names:
                self._add(effects, route, each, source, inside)
            return
        before = set(effects.fields)
        EFFECTS[element.kind](effects, {**found.fields, "_name": element.name})
        first = self._first(element, found)
        effects.read.written.update({key: first for key in effects.fields if key not in before})
        if element.kind == "headers":
            for option in headers.without_origin(found.fields):
                bad = BadValue("is left out: no origin is named", "add accessControlAllowOriginList")
                effects.read.left.append(problem_of(self.service, *found.written[option], bad, route))

    def _problem(self, element: Element, found: Read, bad: BadValue, route: str) -> Problem:
        written = found.written.get(bad.key) if bad.key else None
        return problem_of(self.service, *(written or self._first(element, found)), bad, route)

    def _first(self, element: Element, found: Read) -> tuple[str, str]:
        """Return a middleware's first label, for what is said of the whole, and its value if that may be shown."""
        label = next(iter(element.options.values())).label
        return found.written.get(label, (label, ""))
