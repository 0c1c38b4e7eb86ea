"""The middlewares that a Traefik router names, followed through chains; what cannot be honoured closes the router.

A missing basicauth must never expose a service, so an unknown middleware counts as one that guards.

Source: traefik 3.7 pkg/server/middleware/middlewares.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from lbgen.base.problem import printable
from lbgen.labels.context import Provider
from lbgen.labels.definitions import FILE, Definitions, Undefined
from lbgen.labels.foreign_options import Element, Options, Written, read
from lbgen.labels.match import Alternative
from lbgen.labels.suggestions import alike
from lbgen.labels.traefik import headers
from lbgen.labels.traefik.middleware_effects import EFFECTS, Effects
from lbgen.labels.traefik.middleware_options import GUARD, KINDS, TCP_KINDS, guard_of
from lbgen.labels.traefik.names import local
from lbgen.labels.values.value_type import BadValue

_MAX_DEPTH = 16


@dataclass(slots=True)
class Middlewares:
    """The middlewares that a service's labels define."""

    service: str
    known: Mapping[str, Element]
    provider: Provider = field(default_factory=Provider)
    protocol: str = "http"
    services: Mapping[str, Element] = field(default_factory=dict)  # that they define, too
    definitions: Definitions = field(default_factory=Definitions)

    def of(self, route: str, names: Iterable[tuple[str, Written]], alternatives: tuple[Alternative, ...]) -> Effects:
        """Return the effects of these middlewares on a route.

        Args:
            names: each with the label that names it.
            alternatives: what the route matches.
        """
        effects = Effects(Options(self.service, route), self.provider, alternatives, services=self.services)
        for name, source in names:
            self._add(effects, name, source, ())
        return effects

    def _add(self, effects: Effects, reference: str, source: Written, inside: tuple[str, ...]) -> None:
        try:
            name = self._resolved(reference, inside)
        except BadValue as bad:
            near = bad.near.element if isinstance(bad, Undefined) and bad.near else None
            effects.options.lose(source, bad, *self._meant(reference, effects.seen, near))
            return
        if name in effects.seen:
            return
        effects.seen.add(name)
        kinds: dict[str, Element] = {}
        for option, written in self._element(name).options.items():
            kind, _, rest = option.partition(".")
            kinds.setdefault(kind, Element(self.protocol, kind, name)).options[rest] = written
        tables = KINDS if self.protocol == "http" else TCP_KINDS
        for element in kinds.values():
            table = tables.get(element.kind, {"<>": GUARD})
            own = read(self.service, effects.options.route, element, table, secret=True)
            effects.options.written.update({key: value for key, value in own.written.items() if key == value.label})
            effects.options.lost += own.lost
            effects.options.left += own.left
            if own.lost:
                effects.options.broken |= _guards(element.kind, own.broken)
            try:
                if len(kinds) > 1:
                    raise BadValue(f"is of several kinds ({', '.join(kinds)}), which Traefik refuses", "make it two")
                if not own.lost:
                    self._apply(effects, element, own, (*inside, name))
            except BadValue as bad:
                at = own.written.get(bad.key) or _first(element, own)
                effects.options.lose(at, bad, *_guards(element.kind, {bad.key}))

    def _meant(self, reference: str, seen: Collection[str], near: Element | None = None) -> frozenset[str]:
        """Return the guards that a middleware stands for which is not defined: of the one it looks like.

        Args:
            near: what it looks like among those of the settings.
        """
        close = alike(local(reference), [name for name in self.known if name not in seen])
        like = near or (self.known[close] if close else None)
        kinds = {option.partition(".")[0] for option in (like.options if like else ())}
        return frozenset(filter(None, map(guard_of, kinds))) or frozenset({printable(reference)})

    def _resolved(self, reference: str, inside: tuple[str, ...]) -> str:
        """Return the name that a middleware has here: of this service's, or ``NAME@file`` of one of the settings."""
        name = self._of_settings(reference, inside) or local(reference)
        if name in inside:
            raise BadValue(f"leads to middleware {name} again", "take it out of the chain")
        if len(inside) > _MAX_DEPTH:
            raise BadValue(f"nests chains more than {_MAX_DEPTH} deep", "name the middlewares themselves")
        if "@" not in name and name not in self.known:
            raise BadValue(
                f"names middleware {printable(reference)}, which is not among this service's labels",
                "define it among the labels of this service",
            )
        return name

    def _of_settings(self, reference: str, inside: tuple[str, ...]) -> str:
        """Return the name of a middleware of the settings, where names need no ``@file``; empty: it is none of them.

        Raises:
            BadValue: it is of the settings, and they define none of this name.
        """
        name, at, provider = reference.strip().lower().partition("@")
        if provider == FILE or (not at and inside and inside[-1].endswith(f"@{FILE}")):
            self.definitions.find(self.protocol, "middlewares", f"{name}@{FILE}", self.service)
            return f"{name}@{FILE}"
        return ""

    def _element(self, name: str) -> Element:
        known, at, _ = name.partition("@")
        return self.definitions.settings[self.protocol, "middlewares", known].element if at else self.known[name]

    def _apply(self, effects: Effects, element: Element, own: Options, inside: tuple[str, ...]) -> None:
        """Add what one middleware does; all its options are good."""
        if element.kind == "chain":
            source = next(iter(element.options.values()))
            for each in own.fields.get("_middlewares", ()):
                self._add(effects, each, source, inside)
            return
        before = set(effects.fields)
        EFFECTS[element.kind](effects, {**own.fields, "_name": element.name, "_labels": own.written})
        effects.options.written.update(dict.fromkeys(effects.fields.keys() - before, _first(element, own)))
        if element.kind == "headers":
            for option in headers.without_origin(own.fields):
                bad = BadValue("is left out: no origin is named", "add accessControlAllowOriginList")
                effects.options.leave(own.written[option], bad)


def _guards(kind: str, broken: Collection[str]) -> frozenset[str]:
    """Return the guards that are lost with options of a middleware."""
    if kind == "headers":
        return frozenset({"allowedhosts"} if "_hosts" in broken else ())
    return frozenset({guard_of(kind)} - {""})


def _first(element: Element, own: Options) -> Written:
    """Return a middleware's first label, for what is said of the whole, and its value if that may be shown."""
    label = next(iter(element.options.values())).label
    return own.written.get(label, Written(label, ""))
