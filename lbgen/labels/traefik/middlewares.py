"""The middlewares that a Traefik router names, followed through chains; what cannot be honoured closes the router.

A missing basicauth must never expose a service, so an unknown middleware counts as one that guards.

Source: traefik 3.7 pkg/server/middleware/middlewares.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from lbgen.base.problem import printable
from lbgen.labels.context import Provider
from lbgen.labels.definitions import FILE, SWARM, Definition, Undefined
from lbgen.labels.foreign_options import Element, Lost, Options, Table, Written, read
from lbgen.labels.match import Alternative
from lbgen.labels.suggestions import alike
from lbgen.labels.traefik import PREFIX, headers
from lbgen.labels.traefik.lookup import Names, of_another
from lbgen.labels.traefik.middleware_effects import EFFECTS, Effects
from lbgen.labels.traefik.middleware_options import GUARD, KINDS, TCP_KINDS, guard_of
from lbgen.labels.values.value_type import BadValue

_MAX_DEPTH = 16
_LIKE = 0.75  # of two words: "auth" is not basicauth


@dataclass(slots=True)
class Middlewares:
    """The middlewares that a service's labels can name."""

    names: Names
    provider: Provider = field(default_factory=Provider)
    protocol: str = "http"

    def of(self, route: str, names: Iterable[tuple[str, Written]], alternatives: tuple[Alternative, ...]) -> Effects:
        """Return the effects of these middlewares on a route.

        Args:
            names: each with the label that names it.
            alternatives: what the route matches.
        """
        effects = Effects(Options(self.names.service, route), self.names, self.provider, alternatives)
        for name, source in names:
            self._add(effects, name, source, ())
        return effects

    def _add(self, effects: Effects, reference: str, source: Written, inside: tuple[Definition, ...]) -> None:
        try:
            definition = self._resolved(reference, inside, source)
        except BadValue as bad:
            effects.options.lose(source, bad, *_meant(reference, bad, effects.seen))
            return
        place = definition.provider, definition.element.name
        if place in effects.seen:
            return
        effects.seen.add(place)
        if definition.against:
            message = f"is taken: middleware {definition.element.name} is that of service {definition.service}"
            message += f", and service {definition.against}, which is newer, defines it otherwise"
            effects.options.leave(source, BadValue(message, "have one of the two renamed"))
        options = Options(self.names.service, effects.options.route)
        effects.options, whole = options, effects.options
        self._read(effects, definition, inside)
        effects.options = whole
        if definition.service in (self.names.service, ""):  # its own, or a setting
            whole.add(options)
        else:  # what other labels say is told of by the label that names them, and notes on them by their owner
            whole.broken |= options.broken
            for problem in options.lost:
                whole.lose(source, of_another(definition, problem), *options.broken)
            whole.written.update(dict.fromkeys(options.written, source))

    def _read(self, effects: Effects, definition: Definition, inside: tuple[Definition, ...]) -> None:
        """Add what one middleware does, and what is wrong with it."""
        name = definition.element.name
        kinds: dict[str, Element] = {}
        for option, written in definition.element.options.items():
            kind, _, rest = option.partition(".")
            kinds.setdefault(kind, Element(self.protocol, kind, name.replace("@", "."))).options[rest] = written
        tables = KINDS if self.protocol == "http" else TCP_KINDS
        for element in kinds.values():
            table = tables.get(element.kind) or {"<>": _unknown_kind(element.kind, tables)}
            own = read(self.names.service, effects.options.route, element, table, secret=True)
            effects.options.written.update({key: value for key, value in own.written.items() if key == value.label})
            effects.options.lost += own.lost
            effects.options.left += own.left
            if own.lost:
                effects.options.broken |= _guards(element.kind, own.broken)
            try:
                if len(kinds) > 1:
                    raise BadValue(f"is of several kinds ({', '.join(kinds)}), which Traefik refuses", "make it two")
                if not own.lost:
                    self._apply(effects, definition, element, own, (*inside, definition))
            except BadValue as bad:
                at = own.written.get(bad.key) or _first(element, own)
                effects.options.lose(at, bad, *_guards(element.kind, {bad.key}))

    def _resolved(self, reference: str, inside: tuple[Definition, ...], source: Written) -> Definition:
        """Return what a name means, at this place."""
        provider = inside[-1].provider if inside else SWARM
        by_setting = provider == FILE or (not inside and not source.label.lower().startswith(PREFIX))
        definition = self.names.find(self.protocol, "middlewares", reference, provider, by_setting=by_setting)
        if any(each.element is definition.element for each in inside):
            raise BadValue(f"leads to middleware {definition.element.name} again", "take it out of the chain")
        if len(inside) > _MAX_DEPTH:
            raise BadValue(f"nests chains more than {_MAX_DEPTH} deep", "name the middlewares themselves")
        return definition

    def _apply(
        self, effects: Effects, definition: Definition, element: Element, own: Options, inside: tuple[Definition, ...]
    ) -> None:
        """Add what one middleware does; all its options are good."""
        if element.kind == "chain":
            source = next(iter(element.options.values()))
            for each in own.fields.get("_middlewares", ()):
                self._add(effects, each, source, inside)
            return
        before = set(effects.fields)
        EFFECTS[element.kind](effects, {**own.fields, "_definition": definition, "_labels": own.written})
        effects.options.written.update(dict.fromkeys(effects.fields.keys() - before, _first(element, own)))
        if element.kind == "headers":
            for option in headers.without_origin(own.fields):
                bad = BadValue("is left out: no origin is named", "add accessControlAllowOriginList")
                effects.options.leave(own.written[option], bad)


def _meant(reference: str, bad: BadValue, seen: Collection[tuple[str, str]]) -> frozenset[str]:
    """Return the guards that a middleware stands for which cannot be found: those of the one it looks like."""
    near = bad.near if isinstance(bad, Undefined) else None
    if near is None or (near.provider, near.element.name) in seen:
        return frozenset({printable(reference)})
    kinds = {option.partition(".")[0] for option in near.element.options}
    return frozenset(filter(None, map(guard_of, kinds))) or frozenset({printable(reference)})


def _unknown_kind(kind: str, tables: Mapping[str, Table]) -> Lost:
    """Return what is said of a kind of middleware that is none."""
    near = alike(kind, tables, _LIKE)
    return replace(GUARD, message="is no kind of middleware", remedy=f"did you mean {near}?") if near else GUARD


def _guards(kind: str, broken: Collection[str]) -> frozenset[str]:
    """Return the guards that are lost with options of a middleware."""
    if kind == "headers":
        return frozenset({"allowedhosts"} if "_hosts" in broken else ())
    return frozenset({guard_of(kind)} - {""})


def _first(element: Element, own: Options) -> Written:
    """Return a middleware's first label, for what is said of the whole, and its value if that may be shown."""
    label = next(iter(element.options.values())).label
    return own.written.get(label, Written(label, ""))
